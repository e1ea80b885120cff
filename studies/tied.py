"""Tied against fresh weights: where the theory of deep feed-forward nets misleads.

A recurrent net multiplies by one matrix at every step, a deep net by a fresh one. For lags T well
below sqrt N the gradient cannot tell; beyond, one W^T is far from a product of T independent
matrices. Linear nets at weight scale 1 show it bare: with fresh weights ln |gradient| has mean
T lambda_1 and variance T psi'(N/2) / 4, exactly (`gaussian_product_exponents`), and scatters over
T / N; with tied weights it grows at the rate ln rho(W) of the single network, which is positive
more often than not at practical N, and scatters over T / sqrt N but for logarithms of N (Rider and
Sinclair 2014). Measured from N = 16 to 128, the lag of one spread grows as N^0.63: curves against
T / sqrt N are near one another, not one. Tanh nets without inputs carry the same W through all
steps as well; inputs that are new at every step make their Jacobians nearly independent.

The mean square, E|.|^2, is another thing than the typical gradient, exp(E ln|.|): with tied weights
it belongs to networks too rare to be drawn. A real eigenvalue x > 1 has a probability that falls as
exp(-N (x^2 - 1 - 2 ln x) / 2) and contributes x^(2 T), most at x^2 = 1 + 2 T / N. At N = T = 64
that is x = 1.73, in one network of e^29; the ln of the mean square is 25 for 4096 networks and 28
for 102,400. So the mean square of the networks drawn is an estimate only while its standard error
is small, and is too low later.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import TYPE_CHECKING, Any

from .crossing import first_rise
from .study import Study, named
from .wide import is_plain, wide_network

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from .sweep import Cell, Sweep

FREE = {"input_scale": 0.0, "input_size": 1}

NETS: dict[str, dict[str, Any]] = {
    "linear": {"activation": "linear", "weight_scale": 1.0, **FREE},
    "tanh": {"activation": "tanh", "weight_scale": 1.5, **FREE},
    "tanh driven": {"activation": "tanh", "weight_scale": 1.8556},
}
"""Linear at its critical weight scale; tanh without inputs, chaotic; tanh at the weight scale that
is critical for wide networks with inputs N(0, 1)."""

SPREAD = 1.0
"""Nats. Networks whose ln |gradient| has this standard deviation differ by a factor of e."""

RESOLVED = 0.2
"""Relative standard error up to which a mean square is called measured."""


def fields(point: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a net by its name; the other axes are fields."""
    others = {axis: value for axis, value in point.items() if axis != "net"}
    return {**named("net", point["net"], NETS), **others}


def derive(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The squared gradient, whose mean over networks has an error that can be told."""
    import numpy as np

    with np.errstate(over="ignore"):  # infinite: no error can be told
        return {"square_gradient": np.exp(2 * arrays["log_gradient"])}


def _variables() -> dict[str, Any]:
    from ..engine import Variable

    text = "square of |dL/dnet(T - lag)| / |dL/dnet(T)|"
    return {"square_gradient": Variable(("network", "lag"), "1", text)}


def complete(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """Add the theory of fresh weights, the error of the mean square, and how the spread scales."""
    import numpy as np

    axes, theory = sweep.on_grid([_theory(cell) for cell in sweep.cells])
    added = {
        name: ((*axes, "lag"), theory[..., k, :], {"units": "nats", "long_name": text})
        for k, (name, text) in enumerate(THEORY.items())
    }
    networks = data.status_count.sel(status="ok")
    with np.errstate(invalid="ignore", divide="ignore"):
        error = data.square_gradient_sd / (data.square_gradient_mean * np.sqrt(networks))
    text = "standard error of the mean square of the gradient over the mean square"
    error = error.drop_vars("status").assign_attrs(units="1", long_name=text)
    return spread(data.assign({**added, "annealed_error": error}))


THEORY = {
    "theory_log_gradient": "log_gradient, mean over networks with fresh weights, exact",
    "theory_sd": "log_gradient, standard deviation over networks with fresh weights, exact",
    "theory_annealed": "half the ln of the mean square gradient, fresh weights, wide network",
}


def _theory(cell: Cell) -> Any:
    """The values of `THEORY` by lag, were the weights fresh; NaN where there is no theory."""
    import numpy as np

    from .theory import gaussian_product_exponents, mean_field

    spec, lag = cell.spec, np.arange(cell.sweep.steps)
    found = np.full((3, lag.size), nan)
    if not is_plain(spec) or spec.weights != "gaussian":
        return found
    if spec.activation == "linear" and spec.batch_size == 1:
        law = gaussian_product_exponents(spec.hidden_size, spec.slope * spec.weight_scale)
        found[0] = lag * law.exponent[0]
        found[1] = np.sqrt(lag * law.step_variance[0])
    wide = wide_network(cell)
    if wide is not None:
        found[2] = lag * mean_field(**wide).rate
    return found


def spread(data: xr.Dataset) -> xr.Dataset:
    """Add the lag at which networks spread by `SPREAD`, and the power of N with which it grows.

    The power is the slope of ln lag against ln N; NaN for one size only, or where a size does not
    reach the spread. It is 1/2 for what scales with T / sqrt N, and 1 for T / N.
    """
    import numpy as np
    import xarray as xr

    sizes = np.log(data.hidden_size.values)

    def power(lags: Any) -> float:
        if len(lags) < 2 or not np.isfinite(lags).all():
            return nan
        return float(np.polyfit(sizes, np.log(lags), 1)[0])

    above, at = data.log_gradient_sd - SPREAD, data.lag.values
    lag = xr.apply_ufunc(
        lambda sd: first_rise(at, sd), above, input_core_dims=[["lag"]], vectorize=True
    )
    exponent = xr.apply_ufunc(power, lag, input_core_dims=[["hidden_size"]], vectorize=True)
    where = f"lag at which log_gradient has a standard deviation of {SPREAD:g} over networks"
    return data.assign(
        spread_lag=lag.assign_attrs(units="steps", long_name=where),
        spread_exponent=exponent.assign_attrs(units="1", long_name=f"power of N of the {where}"),
    )


def figure(data: xr.Dataset) -> Figure:
    """Gradient against lag over sqrt N, tied and fresh, and its spread; a row per net."""
    from .tied_figure import draw

    return draw(data)


STUDY = Study(
    name="tied",
    summary="tied against fresh weights: spread of the gradient against lag over sqrt N",
    grid={"net": tuple(NETS), "tied": (True, False), "hidden_size": (16, 32, 64, 128)},
    fields=fields,
    networks=1024,
    steps=128,
    burn_in=10,
    derived=_variables,
    derive=derive,
    complete=complete,
    figure=figure,
)
