"""The figure of the study ``tied``: gradient and spread against lag over sqrt N, a row per net."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from .figures import WIDTH, held, letter, provenance_line, style
from .tied import NETS, RESOLVED, SPREAD

ARRANGEMENTS = {True: "tied", False: "fresh weights"}
NAMES = {"linear": "linear", "tanh": "tanh, no input", "tanh driven": "tanh, inputs"}
GREY = "#555555"
DARK: Any = {"mfc": "white", "markersize": 3.2, "mew": 0.7}
"""The markers of theory, whose lines have the colours of the sizes, darker."""
EXACT: Any = {"color": "black", "ls": ":", "lw": 1.2, "zorder": 3, **DARK}
ANNEALED: Any = {"ls": "--", "lw": 1.2}
BEYOND: Any = {"ls": "-.", "lw": 0.5}
WIDE: Any = {"color": "black", "ls": (0, (8, 2)), "lw": 0.7, "zorder": 2, **DARK}


def draw(data: xr.Dataset) -> Figure:
    """Mean and spread of ln |gradient| for tied and for fresh weights, then both spreads."""
    data = held(data, ("net", "tied", "hidden_size"), "log_gradient_mean")
    nets = [str(name) for name in data.net.values]
    arrangements = [bool(tied) for tied in data.tied.values]
    columns = len(arrangements) + 1
    figure = Figure(figsize=(WIDTH, 0.9 + 2.1 * len(nets)), layout="constrained")
    axes = figure.subplots(len(nets), columns, sharex=True, squeeze=False)
    titles = []
    for row, name in zip(axes, nets, strict=True):
        one = data.sel(net=name)
        for ax, tied in zip(row, arrangements, strict=False):
            _gradient_panel(ax, one.sel(tied=tied))
            ax.sharey(row[0])
        row[0].set_ylim(_ends(one))
        scale = f"$\\sigma_w$ = {NETS[name]['weight_scale']:g}"
        row[0].set_ylabel(f"{scale}\nln of gradient norm over lag 0")
        _spread_panel(row[-1], one)
        what = (*(ARRANGEMENTS[tied] for tied in arrangements), "spread")
        titles += [f"{NAMES[name]}: {w}" for w in what]
    letter(axes.ravel(), titles)
    for ax in axes[-1]:
        ax.set_xlabel("lag $/ \\sqrt{N}$")
    _legend(figure, axes[0, 0], data)
    provenance_line(figure, data, [NETS[name] for name in nets for _ in range(columns)])
    return figure


def _curves(data: xr.Dataset) -> Any:
    """Each size with its style, the lags over sqrt N, and the results up to the shortest reach."""
    end = (data.sizes["lag"] - 1) / np.sqrt(data.hidden_size.values.max())
    for k, size in enumerate(data.hidden_size.values):
        x = data.lag.values / np.sqrt(size)
        shown = x <= end
        yield style(k), x[shown], data.sel(hidden_size=size).isel(lag=shown)


def _theory(look: Any, k: int, points: int) -> Any:
    """Colour of a theory of the k-th size, and its marker, once, where those of others are not."""
    start = int(points * (0.45 + 0.14 * (k % 4)))
    at = {"marker": look["marker"], "markevery": (start, points)}
    return {"color": _darker(look["color"]), **at}


def _darker(colour: str) -> Any:
    return tuple(0.55 * part for part in to_rgb(colour))


def _ends(data: xr.Dataset) -> Any:
    """What a row shows: the bands of all sizes. Mean squares may leave it."""
    drawn = [one for _, _, one in _curves(data)]
    edges = [one.log_gradient_mean + s * one.log_gradient_sd for one in drawn for s in (-1, 1)]
    found = np.concatenate([edge.values.ravel() for edge in edges])
    found = found[np.isfinite(found)]
    low, high = (found.min(), found.max()) if found.size else (-1.0, 1.0)
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def _gradient_panel(ax: Axes, data: xr.Dataset) -> None:
    for k, (look, x, one) in enumerate(_curves(data)):
        colour = look["color"]
        mean, sd = one.log_gradient_mean, one.log_gradient_sd
        ax.fill_between(x, mean - sd, mean + sd, color=colour, alpha=0.1, lw=0)
        for edge in (mean - sd, mean + sd):
            ax.plot(x, edge, color=colour, lw=0.4, alpha=0.7)
        ax.plot(x, mean, color=colour)
        annealed, measured = one.log_gradient_annealed, one.annealed_error <= RESOLVED
        ax.plot(x, annealed, color=colour, **BEYOND)
        ax.plot(x, annealed.where(measured), color=colour, **ANNEALED)
        for theory, line in ((one.theory_log_gradient, EXACT), (one.theory_annealed, WIDE)):
            ax.plot(x, theory, **{**line, **_theory(look, k, len(x))})
    ax.axhline(0, color=GREY, lw=0.6, zorder=0)


def _spread_panel(ax: Axes, data: xr.Dataset) -> None:
    """Standard deviations, tied full and fresh open, and the powers of N of their lags."""
    lines = []
    for tied in data.tied.values:
        chosen = data.sel(tied=tied)
        for k, (look, x, one) in enumerate(_curves(chosen)):
            look = {**look, "mfc": look["color"] if tied else "white", "markersize": 3}
            every = (k, max(1, len(x) // 6))
            ax.plot(x, one.log_gradient_sd, lw=0.9, markevery=every, **look)
            if not tied:
                ax.plot(x, one.theory_sd, **{**EXACT, "color": _darker(look["color"])})
        power = float(chosen.spread_exponent)
        if np.isfinite(power):
            lines.append(f"{ARRANGEMENTS[bool(tied)]}: lag $\\propto N^{{{power:.2f}}}$")
    if lines:
        text = "\n".join([f"sd = {SPREAD:g} reached at", *lines])
        ax.text(0.04, 0.97, text, transform=ax.transAxes, fontsize=6, va="top")
    ax.set_ylabel("sd over networks (nats)")
    ax.set_ylim(0, 1.3 * ax.get_ylim()[1])  # with room for the text


def _legend(figure: Figure, ax: Axes, data: xr.Dataset) -> None:
    """What is common to all panels; `ax` lends its lines."""

    def line(label: str, **look: Any) -> Any:
        return ax.plot([], [], label=label, **look)[0]

    handles = [line(f"N = {n}", **style(k)) for k, n in enumerate(data.hidden_size.values)]
    band: Any = {"color": GREY, "alpha": 0.25, "lw": 0, "label": "mean $\\pm$ 1 sd of networks"}
    handles += [
        ax.fill_between([], [], [], **band),
        line("$\\frac{1}{2}$ ln of mean square", color=GREY, **ANNEALED),
        line("the same, of too few networks", color=GREY, **BEYOND),
        line("fresh weights, exact: mean, sd (darker, by N)", **EXACT),
        line("fresh weights, wide: $\\frac{1}{2}$ ln of mean square (likewise)", **WIDE),
    ]
    for tied, face in ((True, GREY), (False, "white")):
        handles.append(
            line(f"spread, {ARRANGEMENTS[tied]}", color=GREY, marker="o", mfc=face, lw=0.9)
        )
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=6.5)
