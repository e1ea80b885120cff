"""The figure of the study ``phase``: a heat map of the rate per plane, and the lines compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import WIDTH, held, letter, provenance_line, style
from .phase import PLANES

LIMIT = 0.5
"""Nats per step at which the colours end, the same on both sides of 0, which is white."""

TITLES = {
    "deep bias": "deep net, fresh weights and biases",
    "recurrent bias": "recurrent net, constant biases",
    "recurrent input": "recurrent net, inputs",
}
DRIVES = {"bias_scale": "bias scale $\\sigma_b$", "input_scale": "input scale $\\sigma_u$"}
GREY = "#aaaaaa"
CRITICAL: Any = {"color": "black", "ls": "--", "lw": 1.2}
TRAINABLE: Any = {"color": "black", "ls": ":", "lw": 1.2}
ASIDE = 0.01
"""Between the planes' error bars at one drive, in units of the drive."""
BARS: Any = {"elinewidth": 0.8, "capsize": 1.5, "lw": 0}


def draw(data: xr.Dataset) -> Figure:
    """Panels in two columns, the comparison last; one colour bar for all."""
    data = held(data, ("plane", "drive_scale", "weight_scale"), "rate_mean")
    data = data.sortby(["drive_scale", "weight_scale"])
    planes = [str(name) for name in data.plane.values]
    rows = (len(planes) + 2) // 2
    figure = Figure(figsize=(WIDTH, 0.9 + 2.7 * rows), layout="constrained")
    axes = figure.subplots(rows, 2, squeeze=False).ravel()
    for ax in axes[len(planes) + 1 :]:
        ax.set_axis_off()
    for ax, name in zip(axes, planes, strict=False):
        mesh = _map_panel(ax, data.sel(plane=name), DRIVES[PLANES[name][0]])
    _difference_panel(axes[len(planes)], data)
    titles = [*(TITLES[name] for name in planes), "measured line less the theory's (95 % CI)"]
    letter(axes[: len(titles)], titles)
    bar = figure.colorbar(
        mesh, ax=list(axes), location="bottom", extend="both", shrink=0.5, aspect=40
    )
    bar.set_label("gradient rate (nats per step): blue vanishes, red explodes")
    _legend(figure, axes[0], data)
    provenance_line(figure, data, [PLANES[name][1] for name in planes])
    return figure


def _map_panel(ax: Axes, data: xr.Dataset, drive: str) -> Any:
    x, y = data.weight_scale.values, data.drive_scale.values
    ax.set_facecolor(GREY)
    ax.grid(False)
    mesh = ax.pcolormesh(
        edges(x), edges(y), data.rate_mean, cmap="RdBu_r", vmin=-LIMIT, vmax=LIMIT, rasterized=True
    )
    ends = ax.get_xlim(), ax.get_ylim()
    ax.plot(data.critical, y, **CRITICAL)
    for name in ("trainable_low", "trainable_high"):
        ax.plot(data[name], y, **TRAINABLE)
    ax.plot(data.measured_critical, y, **_marker(data))
    ax.set(xlabel="weight scale $\\sigma_w$", ylabel=drive, xlim=ends[0], ylim=ends[1])
    return mesh


def edges(values: Any) -> Any:
    """Edges of cells around values that ascend: half-way between neighbours."""
    if len(values) == 1:
        half = 0.5 * abs(values[0]) or 0.5
        return np.array([values[0] - half, values[0] + half])
    middles = 0.5 * (values[1:] + values[:-1])
    return np.concatenate([[2 * values[0] - middles[0]], middles, [2 * values[-1] - middles[-1]]])


def _marker(data: xr.Dataset) -> Any:
    """Colour and marker of a plane, the same in its map and in the comparison."""
    return {
        **style(list(PLANES).index(str(data.plane.values))),
        "lw": 0,
        "mec": "black",
        "mew": 0.5,
    }


def _difference_panel(ax: Axes, data: xr.Dataset) -> None:
    """Measured weight scales of rate 0 with 95 % intervals, and the lines, less the theory's."""
    for k, name in enumerate(data.plane.values):
        one = data.sel(plane=name)
        found = one.measured_critical
        errors = [found - one.measured_critical_low, one.measured_critical_high - found]
        aside = one.drive_scale + ASIDE * (k - 1)
        ax.errorbar(aside, found - one.critical, yerr=errors, **{**_marker(one), **BARS})
    for name in ("trainable_low", "trainable_high"):
        line = data[name].isel(plane=0) - data.critical.isel(plane=0)
        ax.plot(data.drive_scale, line, **TRAINABLE)
    ax.axhline(0, **CRITICAL)
    ax.set(xlabel="$\\sigma_b$ or $\\sigma_u$", ylabel="difference in $\\sigma_w$")


def _legend(figure: Figure, ax: Axes, data: xr.Dataset) -> None:
    """What is common to all panels; `ax` lends its lines."""

    def line(label: str, **look: Any) -> Any:
        return ax.plot([], [], label=label, **look)[0]

    steps = data.attrs["steps"]
    handles = [
        line("wide network: rate 0 ($\\chi_1 = 1$)", **CRITICAL),
        line(f"wide network: $6\\,\\xi_c$ = {steps} steps", **TRAINABLE),
    ]
    for name in data.plane.values:
        label = f"measured rate 0: {TITLES[str(name)]}"
        handles.append(line(label, **_marker(data.sel(plane=name))))
    figure.legend(handles=handles, loc="outside upper center", ncols=2, fontsize=6.5)
