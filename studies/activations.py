"""Activation functions: range and derivative bound beside the derivatives networks visit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .study import Study

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .sweep import Sweep

ACTIVATIONS = (
    "linear",
    "tanh",
    "sigmoid",
    "relu",
    "leaky_relu",
    "softplus",
    "elu",
    "gelu",
    "silu",
    "erf",
    "hard_tanh",
    "sin",
)

SPAN = 6.0
"""Curves are drawn for |z| up to this; range and bound are measured on a wider grid."""


def complete(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """Add the curves f and f', their measured range and bound, as the engine evaluates them."""
    import numpy as np

    from ..engine import activation_curve

    names = [str(a) for a in sweep.grid.get("activation", (sweep.cells[0].spec.activation,))]
    slope = sweep.cells[0].spec.slope
    z = np.linspace(-SPAN, SPAN, 241)
    wide = np.concatenate([np.linspace(-50, 50, 20001), [-1e6, 1e6]])
    curves = np.array([activation_curve(name, slope, z) for name in names])
    ends = np.array([activation_curve(name, slope, wide) for name in names])
    value, derivative = ends[:, 0], ends[:, 1]
    found = {
        "f": (("activation", "z"), curves[:, 0], {"units": "1", "long_name": "f(z)"}),
        "f_prime": (("activation", "z"), curves[:, 1], {"units": "1", "long_name": "f'(z)"}),
        "range_low": (
            "activation",
            value.min(axis=1),
            {"units": "1", "long_name": "least f, |z| <= 1e6"},
        ),
        "range_high": (
            "activation",
            value.max(axis=1),
            {"units": "1", "long_name": "largest f, |z| <= 1e6"},
        ),
        "measured_bound": (
            "activation",
            np.abs(derivative).max(axis=1),
            {"units": "1", "long_name": "largest |f'|, |z| <= 1e6"},
        ),
    }
    return data.assign(found).assign_coords(z=z, activation=names)


def figure(data: xr.Dataset) -> Figure:
    """A panel per activation: f, f', its bound, and the derivatives at the visited states."""
    from matplotlib.figure import Figure

    from .figures import WIDTH, held, letter, provenance_line

    data = held(data, ("activation", "weight_scale"), "mean_square_derivative_mean")
    names = list(data.activation.values)
    rows = -(-len(names) // 4)
    result = Figure(figsize=(WIDTH, 1.75 * rows + 0.7), layout="constrained")
    axes = result.subplots(rows, min(4, len(names)), sharex=True, squeeze=False).ravel()
    for ax, name in zip(axes, names, strict=False):
        _panel(ax, data.sel(activation=name))
    for ax in axes[len(names) :]:
        ax.set_axis_off()
    letter(axes[: len(names)], names)
    result.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    for ax in axes[max(0, len(names) - 4) :]:
        ax.set_xlabel("pre-activation z", fontsize=7)
    result.supylabel("f and f'", fontsize=8)
    provenance_line(result, data)
    return result


def _panel(ax: Axes, data: xr.Dataset) -> None:
    from .figures import COLOURS, style

    ax.plot(data.z, data.f, color="#555555", label="f(z)")
    ax.plot(data.z, data.f_prime, color=COLOURS[0], label="f'(z)")
    ax.axhline(float(data.measured_bound), color=COLOURS[0], ls=":", label="bound on |f'|")
    scales = data.weight_scale.values
    for k, scale in enumerate(scales):
        visited = float(data.mean_square_derivative_mean.sel(weight_scale=scale)) ** 0.5
        label = f"rms f' visited, $\\sigma_w$ = {scale:g}"
        # short lines side by side at the right, so that none is taken for the bound or hides one
        width = 4.8 / len(scales)
        span = [1.2 + k * width, 1.2 + (k + 0.9) * width]
        ax.plot(span, [visited] * 2, color=style(1 + k)["color"], lw=2.2, label=label)
    low, high = float(data.range_low), float(data.range_high)
    ends = [
        "$-\\infty$" if low < -900 else f"{low:.3g}",
        "$\\infty$" if high > 900 else f"{high:.3g}",
    ]
    text = f"range {ends[0]} to {ends[1]}\nbound {float(data.measured_bound):.3g}"
    ax.text(0.03, 0.97, text, transform=ax.transAxes, va="top", fontsize=6.5)
    ax.set(ylim=(-1.2, 2.4), xlim=(-SPAN, SPAN))


STUDY = Study(
    name="activations",
    summary="f and f' with range and bound, beside the derivatives that networks visit",
    grid={"activation": ACTIVATIONS, "weight_scale": (0.5, 1.0, 2.0)},
    products=("trajectory",),
    networks=512,
    headline="mean_square_derivative",
    complete=complete,
    figure=figure,
)
