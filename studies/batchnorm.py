"""What normalisation does to the gradient: rate against batch size and norm_scale (gamma).

Feed-forward nets have fresh weights in every layer and no input but their first state; the first
ten layers are run and left out, as the state is not yet that of a deep layer there. Recurrent nets
read N(0, 1) inputs through the same norm (``batch``, ``layer``), or through one of their own
(``batch-separate``, Cooijmans et al. 2017, who propose gamma = 0.1). All are at initialisation, in
training mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .study import Study, named

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .sweep import Cell, Sweep

ARRANGEMENTS: dict[str, dict[str, Any]] = {
    "feed-forward": {"tied": False, "input_scale": 0.0, "input_size": 1},
    "recurrent": {},
}
NETS = {
    f"{arrangement} {norm}": {**fields, "normalization": norm}
    for arrangement, fields in ARRANGEMENTS.items()
    for norm in ("batch", "batch-separate", "layer")
    if (arrangement, norm) != ("feed-forward", "batch-separate")  # without input that is batch
}


def fields(point: Mapping[str, Any]) -> dict[str, Any]:
    """Arrangement and normalisation of a point; its other axes are fields."""
    others = {axis: value for axis, value in point.items() if axis != "net"}
    return {**named("net", point["net"], NETS), **others}


def complete(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """Add the rate of wide nets: for ``batch`` at the batch size, else for a large one."""
    theory = sweep.on_grid([_theory(cell) for cell in sweep.cells])
    attributes = {"units": "nats per step", "long_name": "rate of a wide network in theory"}
    return data.assign(theory_rate=(*theory, attributes))


def _theory(cell: Cell) -> float:
    """The rate; NaN where there is no theory, for ``batch`` also with a bias.

    Of ``batch-separate`` it is the limit of large batches; ``layer`` does not know the batch.
    """
    from math import nan

    from .theory import finite_batch_mean_field, normalized_mean_field

    spec, inputs = cell.spec, cell.sweep.inputs
    plain = (spec.cell, spec.skip, spec.branch, spec.weights) == ("rnn", 0, 1, "gaussian")
    plain = plain and not any(spec.gate_bias.values())
    if not plain or not isinstance(inputs, str) or spec.weight_scale == 0:
        return nan
    scales: dict[str, Any] = {
        "slope": spec.slope,
        "weight_scale": spec.weight_scale,
        "norm_scale": spec.norm_scale,
        "input_variance": spec.input_scale**2 if inputs == "gaussian" else 0.0,
    }
    if spec.normalization == "batch":
        if spec.batch_size < 4 or spec.bias_scale > 0:  # below 4 the mean square is infinite
            return nan
        return finite_batch_mean_field(spec.activation, spec.batch_size, **scales).rate
    scales |= {"bias_scale": spec.bias_scale}
    return normalized_mean_field(spec.activation, normalization=spec.normalization, **scales).rate


def figure(data: xr.Dataset) -> Figure:
    """Gradient against lag, rate against batch size and against gamma; a row per arrangement."""
    from matplotlib.figure import Figure

    from .figures import WIDTH, held, letter, provenance_line

    data = held(data, ("net", "activation", "batch_size", "norm_scale"), "rate_mean")
    rows = [a for a in ARRANGEMENTS if _norms(data, a)]
    result = Figure(figsize=(WIDTH, 2.6 * len(rows) + 0.6), layout="constrained")
    axes = result.subplots(len(rows), 3, squeeze=False)
    at = {"batch_size": _chosen(data.batch_size, 16), "norm_scale": _chosen(data.norm_scale, 1)}
    for row, arrangement in zip(axes, rows, strict=True):
        _lag_panel(row[0], data.sel(at), arrangement)
        _rate_panel(row[1], data.sel(norm_scale=at["norm_scale"]), arrangement, "batch_size")
        _rate_panel(row[2], data.sel(batch_size=at["batch_size"]), arrangement, "norm_scale")
    size, scale = at["batch_size"], at["norm_scale"]
    titles = [
        f"{arrangement}, {text}"
        for arrangement in rows
        for text in (f"B = {size}, $\\gamma$ = {scale:g}", f"$\\gamma$ = {scale:g}", f"B = {size}")
    ]
    letter(axes.ravel(), titles)
    handles, labels = axes[-1, 1].get_legend_handles_labels()
    result.legend(handles, labels, loc="outside upper center", ncols=4)
    provenance_line(result, data, [ARRANGEMENTS[a] for a in rows for _ in axes[0]])
    return result


LOOKS: Any = {"batch": 0, "batch-separate": 1, "layer": 2}


def _norms(data: xr.Dataset, arrangement: str) -> list[str]:
    return [norm for norm in LOOKS if f"{arrangement} {norm}" in data.net.values]


def _chosen(axis: xr.DataArray, wanted: float) -> Any:
    """The usual value if it is on the axis, else the middle one."""
    values = list(axis.values)
    return wanted if wanted in values else values[len(values) // 2]


def _curves(data: xr.Dataset, arrangement: str) -> Any:
    """Each norm and activation with its look: colour by norm, filled for the first activation."""
    from .figures import MARKERS, style

    for norm in _norms(data, arrangement):
        for j, activation in enumerate(data.activation.values):
            one = data.sel(net=f"{arrangement} {norm}", activation=activation)
            colour = style(LOOKS[norm])["color"]
            look = {"color": colour, "marker": MARKERS[j], "mfc": "white" if j else colour}
            yield f"{norm}, {activation}", one, look


def _line(data: xr.Dataset, activation: str) -> str:
    return ("--", ":", "-.")[list(data.activation.values).index(activation) % 3]


def _lag_panel(ax: Axes, data: xr.Dataset, arrangement: str) -> None:
    for _, one, look in _curves(data, arrangement):
        mean = one.log_gradient_mean
        ax.plot(data.lag, mean, markevery=(0, len(mean) // 4), **look)
    ax.axhline(0, color="#555555", lw=0.8)
    what = "layers" if arrangement == "feed-forward" else "steps"
    ax.set(xlabel=f"lag ({what})", ylabel="ln of gradient norm over lag 0")


def _rate_panel(ax: Axes, data: xr.Dataset, arrangement: str, axis: str) -> None:
    import numpy as np

    from .figures import number_ticks

    x = data[axis].values
    for label, one, look in _curves(data, arrangement):
        errors = np.array([one.rate_mean - one.rate_low, one.rate_high - one.rate_mean])
        ax.errorbar(
            x, one.rate_mean, yerr=errors, lw=0, elinewidth=1, capsize=2, label=label, **look
        )
        ax.plot(x, one.theory_rate, color=look["color"], ls=_line(data, one.activation.item()))
    ax.axhline(0, color="#555555", lw=0.8)
    for name in data.activation.values:
        ax.plot([], [], color="#555555", ls=_line(data, name), label=f"wide-network theory, {name}")
    if "batch-separate" in _norms(data, arrangement):
        ax.plot([], [], lw=0, label="(batch-separate: B = $\\infty$)")
    names = {"batch_size": "batch size B", "norm_scale": "norm_scale $\\gamma$"}
    what = "layer" if arrangement == "feed-forward" else "step"
    ax.set(xlabel=names[axis], ylabel=f"gradient rate (nats per {what})")
    number_ticks(ax, x)


STUDY = Study(
    name="batchnorm",
    summary="what normalisation does: rate against batch size and norm_scale",
    grid={
        "net": tuple(NETS),
        "activation": ("tanh", "relu"),
        "batch_size": (4, 8, 16, 32),
        "norm_scale": (0.1, 0.3, 1.0, 3.0),
    },
    fields=fields,
    networks=64,
    steps=60,
    burn_in=10,
    complete=complete,
    figure=figure,
)
