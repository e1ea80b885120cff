"""The textbook's criterion on trial: "largest eigenvalue above 1 explodes, below 1 vanishes".

For every network some guesses at the gradient's rate are set beside what its gradient did over half
of the measured steps, its sign above all. Guesses, nats per step:

- ln of the largest |eigenvalue| of single step Jacobians, averaged over a few visited steps;
- ln of the spectral radius of W, as if all units were linear;
- ln of ||W|| times the largest derivative visited, which is a bound: below 0 it certifies vanishing
  (Pascanu, Mikolov & Bengio 2013), above 0 the textbook fears an explosion;
- ln(sigma_w^2 E f'^2) / 2 of the derivatives visited and the scale that W has, which is the growth
  of a mean square;
- the leading Lyapunov exponent, of steps before those.

Eigenvalues of single steps bound no product of Jacobians. The eigenvectors of Gaussian weights are
far from orthogonal, but change from step to step, and the largest |eigenvalue| of W diag(f') comes
near the mean-square growth as N -> infinity (the circular law). At N = 64 it is 0.04 to 0.07 nats
above the rate on average: enough to be wrong for three networks in four of tanh with inputs, just
below their transition. What no eigenvalue sees is a chain of units that each feed the next: 0.9 on
and 0.3 above the diagonal has the eigenvalue 0.9 alone, and ||W^t|| first grows by a factor of a
million (Trefethen & Embree 2005).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .study import Study, named, own_seed
from .tied import FREE

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from .sweep import Sweep

NETS: dict[str, dict[str, Any]] = {
    "tanh": {"activation": "tanh", **FREE},
    "tanh driven": {"activation": "tanh"},
    "relu driven": {"activation": "relu"},
}

GUESSES = ("step", "weights", "bound", "mean square", "lyapunov")
"""Along the axis ``guess``, in the order of the text above."""

EARLIER = 4
"""Tenths of the counted steps for the Lyapunov exponent. Burn-in, left out by it, is a tenth of the
window: these end before the half that the gradient comes through."""

UNITS, DIAGONAL, ABOVE, POWERS = 16, 0.9, 0.3, 600
"""The matrix whose powers grow before they vanish, and how many of them are measured."""


def fields(point: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a net by its name; the other axes are fields."""
    others = {axis: value for axis, value in point.items() if axis != "net"}
    return {**named("net", point["net"], NETS), **others}


def seed(run: int, point: Mapping[str, Any]) -> int:
    """A seed of its own for each cell: shares are added up over weight scales."""
    import numpy as np

    scale = int(np.float64(point["weight_scale"]).view(np.uint64))
    return own_seed(run, (tuple(NETS).index(point["net"]), scale))


def derive(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The guesses, how far each is from the rate, and whether it has the sign."""
    import numpy as np

    log, local = arrays["log_gradient"], arrays["local_exponent"]
    half = log.shape[1] // 2
    growth = log[:, half, None] / half
    with np.errstate(divide="ignore"):
        largest = np.log(arrays["max_derivative"])
        mean_square = 0.5 * np.log(arrays["mean_square_derivative"])
    guesses = {
        "step": arrays["log_step_radius"].mean(axis=1),
        "weights": arrays["log_weight_radius"][:, 0],
        "bound": arrays["log_weight_norm"][:, 0] + largest,
        "mean square": arrays["log_weight_scale"][:, 0] + mean_square,
        "lyapunov": local[:, : max(1, EARLIER * local.shape[1] // 10), 0].mean(axis=1),
    }
    guess = np.stack([guesses[name] for name in GUESSES], axis=1)
    said, explodes = guess > 0, growth > 0
    return {
        "growth": growth[:, 0],
        "explodes": explodes[:, 0].astype(float),
        "excess": guess - growth,
        "right": (said == explodes).astype(float),
        "false_explosion": (said & ~explodes).astype(float),
        "false_vanishing": (~said & explodes).astype(float),
    }


def _variables() -> dict[str, Any]:
    from ..engine import Variable

    one, each = ("network",), ("network", "guess")
    return {
        "growth": Variable(one, "nats per step", "ln |dL/dnet| over half of the steps, per step"),
        "explodes": Variable(one, "1", "whether the gradient grows over half of the steps"),
        "excess": Variable(each, "nats per step", "guess less what the gradient did"),
        "right": Variable(each, "1", "whether a guess has the sign of the growth"),
        "false_explosion": Variable(
            each, "1", "whether it says explosion and the gradient shrinks"
        ),
        "false_vanishing": Variable(each, "1", "whether it says vanishing and the gradient grows"),
    }


SHARES = ("right", "false_explosion", "false_vanishing")


def complete(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """Give shares their intervals, by cell and over all weight scales; add the transient."""
    data = data.assign_coords(guess=list(GUESSES))
    networks = data.status_count.sel(status="ok", drop=True)
    for name in SHARES:
        hits = (data[f"{name}_mean"] * networks).round().fillna(0)
        text = str(data[f"{name}_mean"].attrs["long_name"]).partition(":")[0]
        data = data.assign(_shares(name, "mean", hits, networks, text))
        total = (hits.sum("weight_scale"), networks.sum("weight_scale"))
        data = data.assign(_shares(f"{name}_total", "share", *total, f"{text}, all weight scales"))
    return data.assign(_transient())


def _shares(
    name: str, statistic: str, hits: xr.DataArray, networks: xr.DataArray, text: str
) -> dict[str, xr.DataArray]:
    """A share of networks and its 95 % interval (Wilson)."""
    from .intervals import wilson_interval

    trials = networks.broadcast_like(hits).transpose(*hits.dims)
    low, high = (hits.copy(data=end) for end in wilson_interval(hits.values, trials.values))
    found = {
        statistic: (hits / trials.where(trials > 0), "share of networks"),
        "low": (low, "lower end of the 95 % interval of the share"),
        "high": (high, "upper end of the 95 % interval of the share"),
    }
    return {
        f"{name}_{end}": value.assign_attrs(units="1", long_name=f"{text}: {what}")
        for end, (value, what) in found.items()
    }


def _transient() -> dict[str, Any]:
    """Norms of the powers of a matrix whose eigenvalues are all below 1, measured as a network."""
    import numpy as np

    from ..engine import NetworkSpec, measure, sample

    spec = NetworkSpec(activation="linear", hidden_size=UNITS, input_size=1)
    ensemble = sample(spec, 1, POWERS, inputs="zero", burn_in=0)
    ensemble["W"][0, 0] = DIAGONAL * np.eye(UNITS) + ABOVE * np.eye(UNITS, k=1)
    found = measure(ensemble, products=("jacobian", "eigenvalue"), workers=1).isel(network=0)
    norm = found.log_jacobian_norm.sel(norm="spectral").values
    radius = found.log_weight_radius.values[0] * np.arange(POWERS)
    text = f"W of {UNITS} units, {DIAGONAL} on and {ABOVE} above the diagonal"
    return {
        "transient_norm": ("power", norm, {"units": "nats", "long_name": f"ln |W^t|, {text}"}),
        "transient_radius": ("power", radius, {"units": "nats", "long_name": f"t ln rho, {text}"}),
    }


def figure(data: xr.Dataset) -> Figure:
    """Share of networks that each guess gets right, its error, and the transient."""
    from .eigenvalue_figure import draw

    return draw(data)


STUDY = Study(
    name="eigenvalue",
    summary="the textbook's criterion on trial: eigenvalues, norms, derivatives, Lyapunov exponent",
    grid={
        "net": tuple(NETS),
        "weight_scale": (
            *(0.35, 0.5, 0.71, 0.84, 1.0, 1.09, 1.19, 1.3, 1.41, 1.54, 1.68, 1.83),
            *(2.0, 2.18, 2.38, 2.83, 4.0),
        ),
    },
    fields=fields,
    seed=seed,
    products=("trajectory", "gradient", "lyapunov", "eigenvalue"),
    exponents=1,
    kept=("rate",),
    networks=256,
    steps=200,
    derived=_variables,
    derive=derive,
    complete=complete,
    figure=figure,
)
