"""What opens the path: gradient rate and horizon against the bias of the gate that keeps the state.

The gate is the forget gate of the LSTM, c' = f c + i g, and the update gate of the GRU in PyTorch's
form, h' = (1 - u) n + u h: a POSITIVE update bias keeps the state and opens the path for the
gradient. (Papers that write h' = u n + (1 - u) h need a negative one.) With bias 0 a gate stands at
1/2, and the memory is about two steps.

The axis ``ensemble`` names the weights: ``pytorch``, its default for all weights and biases, or
``gaussian S`` with weight scale S. The axis ``input_scale`` switches the input off (0), which is
where the theory of the zero fixed point applies: there every network comes to rest at zero, if that
is stable and, for ``pytorch``, but for its small biases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .study import Study, named
from .wide import is_bare

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .sweep import Cell, Sweep

GATE = {"lstm": "forget", "gru": "update"}
"""The gate that keeps the state."""

ENSEMBLES = ("pytorch", "gaussian 0.5", "gaussian 1", "gaussian 2")
BIASES = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)


def fields(point: Mapping[str, Any]) -> dict[str, Any]:
    """Cell, weights and gate bias of a point."""
    from ..engine import InputError

    cell, ensemble = point["cell"], point["ensemble"]
    found = {
        "gate_bias": {named("cell", cell, GATE): point["bias"]},
        "cell": cell,
        "input_scale": point["input_scale"],
    }
    weights, _, scale = str(ensemble).partition(" ")
    try:
        if weights == "gaussian":
            return {**found, "weights": weights, "weight_scale": float(scale)}
    except ValueError:
        weights = "unknown"
    if ensemble != "pytorch":
        raise InputError("ensemble", ensemble, "pytorch, or gaussian and a weight scale")
    return {**found, "weights": "pytorch"}


def complete(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """Add the rate of wide networks at the zero fixed point, where that is stable."""
    rates = sweep.on_grid([_fixed_point_rate(cell) for cell in sweep.cells])
    text = "rate of a wide network resting at zero; NaN where zero is not stable"
    attributes = {"units": "nats per step", "long_name": text}
    return data.assign(fixed_point_rate=(*rates, attributes))


def _fixed_point_rate(cell: Cell) -> float:
    """NaN also where networks are not tied or not plain, or where zero is not a fixed point."""
    from math import nan

    from .theory import PYTORCH_WEIGHT_SCALE

    spec = cell.spec
    pytorch = spec.weights == "pytorch"
    plain = spec.tied and is_bare(spec)
    known = pytorch or (spec.weights == "gaussian" and spec.bias_scale == 0)
    moved = any(spec.gate_bias.get(gate) for gate in ("cell", "candidate"))
    if not plain or not known or moved:
        return nan
    scale = spec.weight_scale * (PYTORCH_WEIGHT_SCALE if pytorch else 1)
    rate = _rates()[spec.cell](scale, lambda gate: float(spec.gate_bias.get(gate, 0.0)))
    return rate if rate < -1e-9 else nan


def _rates() -> dict[str, Callable[[float, Callable[[str], float]], float]]:
    """Theory by cell: from the weight scale and the biases of the gates to the rate at zero."""
    from .theory import gru_fixed_point_rate, lstm_fixed_point_rate

    return {
        "lstm": lambda scale, bias: lstm_fixed_point_rate(
            scale,
            input_bias=bias("input"),
            forget_bias=bias("forget"),
            output_bias=bias("output"),
        ),
        "gru": lambda scale, bias: gru_fixed_point_rate(
            scale, reset_bias=bias("reset"), update_bias=bias("update")
        ),
    }


def figure(data: xr.Dataset) -> Figure:
    """Rate and horizon against the bias, a column per cell, a colour per ensemble of weights."""
    from matplotlib.figure import Figure

    from .figures import WIDTH, held, letter, provenance_line

    data = held(data, ("cell", "ensemble", "input_scale", "bias"), "rate_mean")
    cells = [str(name) for name in data.cell.values]
    result = Figure(figsize=(WIDTH, 5.6), layout="constrained")
    axes = result.subplots(2, len(cells), sharex=True, sharey="row", squeeze=False)
    for column, name in enumerate(cells):
        one = data.sel(cell=name)
        _rate_panel(axes[0, column], one)
        _horizon_panel(axes[1, column], one)
        axes[1, column].set_xlabel(f"bias of the {GATE[name]} gate")
    axes[0, 0].set_ylabel("gradient rate (nats per step)")
    axes[1, 0].set_ylabel("median gradient horizon (steps)")
    names = [name.upper() for name in cells]
    driven = ", with inputs" if _driven(data) else ""
    horizons = [f"{n}: horizon{driven}" for n in names]
    letter(axes.ravel(), [f"{n}: rate" for n in names] + horizons)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    result.legend(handles, labels, loc="outside upper center", ncols=4)
    provenance_line(result, data)
    return result


INPUTS = {"gaussian": "inputs N(0, 1)", "zero": "inputs 0"}
"""In words, by the name of a run's inputs."""


def _driven(data: xr.Dataset) -> bool:
    """Whether the networks whose horizon is drawn read anything."""
    return bool(data.input_scale.max() > 0) and data.attrs["inputs"] != "zero"


def _rate_panel(ax: Axes, data: xr.Dataset) -> None:
    from .figures import style

    grey = "#555555"
    for k, name in enumerate(data.ensemble.values):
        colour = style(k)["color"]
        for scale in data.input_scale.values:
            one = data.sel(ensemble=name, input_scale=scale)
            face = colour if scale else "white"
            label = _label(str(name)) if scale == data.input_scale.values[0] else None
            ax.plot(data.bias, one.rate_mean, lw=0, mfc=face, label=label, **style(k))
            if scale:
                low, high = (one.rate_quantile.sel(quantile=q) for q in (0.05, 0.95))
                ax.fill_between(data.bias, low, high, color=colour, alpha=0.25, lw=0)
        theory = data.sel(ensemble=name).isel(input_scale=0).fixed_point_rate
        ax.plot(data.bias, theory, color=colour, ls="--", lw=0.9)
    if data.input_scale.max() > 0:
        inputs = INPUTS.get(data.attrs["inputs"], "inputs from a file")
        ax.plot([], [], color=grey, marker="o", lw=0, label=f"mean, {inputs}")
        ax.fill_between([], [], [], color=grey, alpha=0.25, lw=0, label="5-95 % of networks")
    if data.input_scale.min() == 0:
        ax.plot([], [], color=grey, marker="o", mfc="white", lw=0, label="mean, no input")
    ax.plot([], [], color=grey, ls="--", lw=0.9, label="theory at zero, if stable")
    ax.axhline(0, color=grey, lw=0.8)


def _label(ensemble: str) -> str:
    scale = ensemble.partition(" ")[2]
    return f"Gaussian, $\\sigma_w$ = {scale}" if scale else "PyTorch's default"


def _horizon_panel(ax: Axes, data: xr.Dataset) -> None:
    import numpy as np

    from .figures import style

    driven = data.isel(input_scale=int(np.argmax(data.input_scale.values)))
    longest = 10.0 ** np.ceil(np.log10(5 * float(data.attrs["steps"])))
    for k, name in enumerate(data.ensemble.values):
        band = driven.sel(ensemble=name).horizon_quantile
        # what does not forget, or not within the reach of the panel, is drawn at its top
        drawn = band.where(band.isnull() | (band < longest), longest)
        low, median, high = (drawn.sel(quantile=q) for q in (0.05, 0.5, 0.95))
        ax.fill_between(data.bias, low, high, color=style(k)["color"], alpha=0.15, lw=0)
        ax.plot(data.bias, median, clip_on=False, **style(k))
    decades = [10.0**k for k in range(int(np.log10(longest)))]
    ax.set(yscale="log", ylim=(0.5, longest))
    ax.set_yticks(
        [*decades, longest], [*(f"{d:g}" for d in decades), f"over {longest:g}\nor explodes"]
    )
    ax.minorticks_off()


STUDY = Study(
    name="gates",
    summary="what opens the path of LSTM and GRU: horizon against forget and update bias",
    grid={
        "cell": tuple(GATE),
        "ensemble": ENSEMBLES,
        "input_scale": (1.0, 0.0),
        "bias": BIASES,
    },
    fields=fields,
    networks=128,
    complete=complete,
    figure=figure,
)
