"""The figure of the study ``remedies``: a ranking, and the gradient against lag for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import COLOURS, WIDTH, held, letter, provenance_line
from .remedy_settings import REMEDIES

DEFAULT, BEST = COLOURS[1], COLOURS[0]
LOOKS = ((DEFAULT, "--", "usual default"), (BEST, "-", "best setting of the grid"))
COLUMNS = 4


def draw(data: xr.Dataset) -> Figure:
    """Ranking above, a small panel per remedy below, in the order of the ranking."""
    data = held(data, ("remedy", "setting"), "rate_mean")
    order = np.argsort(-_at_best(data, "reach").fillna(-1).values, kind="stable")
    data = data.isel(remedy=order)
    rows = -(-data.sizes["remedy"] // COLUMNS)
    heights = (1.1 + 0.2 * data.sizes["remedy"], 0.45 + 1.25 * rows)
    figure = Figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=heights)
    above, below = parts
    top = above.subplots()
    _ranking(top, data)
    above.legend(*top.get_legend_handles_labels(), fontsize=6, loc="outside upper center", ncols=4)
    axes = below.subplots(rows, COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, name in zip(axes, data.remedy.values, strict=False):
        _lag_panel(ax, data.sel(remedy=name))
        ax.set_title(REMEDIES[str(name)].title, fontsize=7)
    for ax in axes[data.sizes["remedy"] :]:
        ax.set_axis_off()
    letter([top], ["how far the gradient reaches"])
    below.suptitle("(b) the gradient against lag", x=0.01, ha="left", fontsize=8)
    below.supylabel("ln of gradient norm over lag 0", fontsize=8)
    below.supxlabel("lag (steps)", fontsize=8)
    provenance_line(figure, data)
    return figure


def _at_best(data: xr.Dataset, name: str) -> xr.DataArray:
    return data[name].sel(setting=data.best)


def _shown(data: xr.Dataset) -> list[tuple[xr.DataArray | int, Any]]:
    """The settings that are drawn: the usual default, if it was measured, and the best."""
    default: Any = [(0, LOOKS[0])] if 0 in data.setting.values else []
    return [*default, (data.best, LOOKS[1])]


def _ranking(ax: Axes, data: xr.Dataset) -> None:
    places = np.arange(data.sizes["remedy"])
    steps = data.attrs["steps"]
    ax.axvline(steps, color="#555555", ls=":", lw=1, label=f"the {steps} steps measured")
    for setting, (colour, line, text) in _shown(data):
        found = {name: data[name].sel(setting=setting).values for name in NAMES}
        _points(ax, places, found, colour)
        ax.plot([], [], color=colour, ls=line, lw=2, label=text)
    drawn = np.array([data.reach.sel(setting=setting).values for setting, _ in _shown(data)])
    drawn = drawn[np.isfinite(drawn)]
    ax.set(xscale="log", xlabel="e-folding length of the gradient, 1 / mean |rate| (steps)")
    if drawn.size:  # with room for words at the left
        ax.set_xlim(drawn.min() / 5, drawn.max() * 3)
    ax.set_yticks(places, [REMEDIES[str(name)].title for name in data.remedy.values])
    ax.invert_yaxis()
    for place, words in zip(places, _at_best(data, "label").values, strict=True):
        at: Any = {"xycoords": ("axes fraction", "data"), "va": "center", "fontsize": 6}
        ax.annotate(str(words), (1.01, place), color=BEST, annotation_clip=False, **at)
    for marker, text in MARKS.items():
        ax.plot([], [], marker=marker, color="#555555", lw=0, label=text)
    ax.plot(
        [], [], marker="D", mfc="white", ms=3, color=BEST, lw=0.6, label="1 / |mean rate|, 95 %"
    )
    ax.fill_between([], [], [], color="#555555", alpha=0.2, lw=0, label="(b): $\\pm$ 1 sd")


NAMES = (
    *("reach", "reach_low", "reach_high", "rate_low", "rate_high", "label"),
    *("reach_of_mean", "reach_of_mean_low", "reach_of_mean_high"),
)
MARKS = {"v": "vanishes", "^": "explodes", "o": "mean rate 0 within its interval"}


def _points(ax: Axes, places: Any, found: dict[str, Any], colour: str) -> None:
    """A point per remedy with its interval, its marker the direction; the default in words."""
    for k, place in enumerate(places):
        one = {name: values[k].item() for name, values in found.items()}
        if not np.isfinite(one["reach"]):
            continue
        errors = [[one["reach"] - one["reach_low"]], [one["reach_high"] - one["reach"]]]
        marker = "v" if one["rate_high"] < 0 else "^" if one["rate_low"] > 0 else "o"
        ax.errorbar(one["reach"], place, xerr=errors, color=colour, marker=marker, ms=4.5)
        if colour == DEFAULT:
            look: Any = {"textcoords": "offset points", "ha": "right", "va": "center"}
            at = (one["reach_low"], place)
            ax.annotate(one["label"], at, xytext=(-5, 0), color=colour, fontsize=6, **look)
        else:
            ends = [one["reach_of_mean_low"], min(one["reach_of_mean_high"], 1e9)]
            ax.plot(ends, [place + 0.25] * 2, color=colour, lw=0.6)
            ax.plot(one["reach_of_mean"], place + 0.25, "D", color=colour, mfc="white", ms=3)


def _lag_panel(ax: Axes, data: xr.Dataset) -> None:
    for setting, (colour, line, _) in _shown(data):
        one = data.sel(setting=setting)
        mean, sd = one.log_gradient_mean, one.log_gradient_sd
        ax.fill_between(data.lag, mean - sd, mean + sd, color=colour, alpha=0.2, lw=0)
        ax.plot(data.lag, mean, color=colour, ls=line)
    ax.axhline(0, color="#555555", lw=0.6)
    ax.set(ylim=(-25, 10))
