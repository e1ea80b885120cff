"""The figure of the study ``eigenvalue``: which guess has the sign of the rate, and a transient."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from .eigenvalue import ABOVE, DIAGONAL, NETS, UNITS
from .figures import WIDTH, held, letter, number_ticks, provenance_line, style

NAMES = {
    "tanh": "tanh, no input",
    "tanh driven": "tanh, inputs",
    "relu driven": "ReLU, inputs",
}
LABELS = {
    "step": "largest |eigenvalue| of single steps",
    "weights": "spectral radius of W",
    "bound": "$\\|W\\|$ max |f'|",
    "mean square": "$\\sigma_w^2 \\langle f'^2 \\rangle$",
    "lyapunov": "$\\lambda_1$ of earlier steps",
}
GREY = "#555555"
EXPLODES: Any = {"color": "#dddddd", "lw": 0}
BARS: Any = {"elinewidth": 0.8, "capsize": 1.5}


def draw(data: xr.Dataset) -> Figure:
    """Share right, error of the guess; below, all weight scales together and the transient."""
    data = held(data, ("net", "weight_scale"), "rate_mean").sortby("weight_scale")
    nets = [str(name) for name in data.net.values]
    figure = Figure(figsize=(WIDTH, 6.6), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.75, 1))
    above, below = parts
    axes = above.subplots(2, len(nets), sharex=True, sharey="row", squeeze=False)
    for column, name in enumerate(nets):
        _right_panel(axes[0, column], data.sel(net=name))
        _excess_panel(axes[1, column], data.sel(net=name))
        axes[1, column].set_xlabel("weight scale $\\sigma_w$")
    axes[0, 0].set_ylabel("share of networks")
    axes[1, 0].set_ylabel("guess less measured\n(nats per step)")
    total, transient = below.subplots(1, 2, width_ratios=(1.4, 1))
    _total_panel(total, data)
    _transient_panel(transient, data)
    titles = [f"{NAMES[n]}: sign right" for n in nets] + [f"{NAMES[n]}: error" for n in nets]
    titles += ["sign wrong, all weight scales", "powers of a stable matrix"]
    letter([*axes.ravel(), total, transient], titles)
    # a patch of no figure: Matplotlib before 3.11 refuses one that stands in another
    handles = [Patch(label="share that explodes", **EXPLODES), *axes[0, 0].containers]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=6.5)
    provenance_line(figure, data, [NETS[name] for name in nets] * len(axes))
    return figure


def _looks(data: xr.Dataset) -> Any:
    """Each guess with its results, colour and marker."""
    for k, name in enumerate(data.guess.values):
        yield str(name), data.sel(guess=name), {**style(k), "markersize": 2.5, "lw": 0.8}


def _right_panel(ax: Axes, data: xr.Dataset) -> None:
    x = data.weight_scale.values
    ax.fill_between(x, data.explodes_mean, **EXPLODES)
    for name, one, look in _looks(data):
        share = one.right_mean
        errors = np.abs([one.right_low - share, one.right_high - share])
        ax.errorbar(x, share, yerr=errors, label=LABELS[name], **look, **BARS)
    ax.set_ylim(-0.03, 1.03)
    number_ticks(ax, x)


def _excess_panel(ax: Axes, data: xr.Dataset) -> None:
    x = data.weight_scale.values
    ax.axhline(0, color=GREY, lw=0.6, zorder=0)
    for _, one, look in _looks(data):
        mean, sd = one.excess_mean, one.excess_sd
        ax.fill_between(x, mean - sd, mean + sd, color=look["color"], alpha=0.15, lw=0)
        ax.plot(x, mean, **look)
    number_ticks(ax, x)


def _total_panel(ax: Axes, data: xr.Dataset) -> None:
    """False explosions to the right, false vanishings to the left, a row per guess and net."""
    rows = []
    for k, (name, one, look) in enumerate(_looks(data)):
        for j, net in enumerate(data.net.values):
            place = k + 0.22 * (j - (data.sizes["net"] - 1) / 2)
            cell = one.sel(net=net)
            for kind, sign in (("false_explosion", 1), ("false_vanishing", -1)):
                share = 100 * sign * float(cell[f"{kind}_total_share"])
                ends = [100 * sign * float(cell[f"{kind}_total_{end}"]) for end in ("low", "high")]
                ax.barh(place, share, 0.2, color=look["color"], alpha=(1.0, 0.7, 0.45)[j % 3])
                ax.plot(ends, [place] * 2, color="black", lw=0.7)
        rows.append(LABELS[name])
    ax.axvline(0, color=GREY, lw=0.8)
    ax.set_axisbelow(True)
    nets = "\n".join(["bars from above:", *(NAMES[str(net)] for net in data.net.values)])
    ax.text(0.98, 0.04, nets, transform=ax.transAxes, fontsize=6.5, ha="right")
    ax.set_yticks(range(len(rows)), rows, fontsize=6.5)
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter(lambda share, _: f"{abs(share):g} %")
    ax.set_xlabel("says vanishing, explodes   |   says explosion, vanishes")


def _transient_panel(ax: Axes, data: xr.Dataset) -> None:
    t = np.arange(data.sizes["power"])
    ax.plot(t, data.transient_norm, color=style(1)["color"], label="$\\ln \\|W^t\\|$, measured")
    ax.plot(t, data.transient_radius, color="black", ls="--", lw=0.9, label="$t \\ln \\rho(W)$")
    ax.axhline(0, color=GREY, lw=0.6, zorder=0)
    ax.set(xlabel="t (steps)", ylabel="nats")
    title = f"{DIAGONAL} on, {ABOVE} above\nthe diagonal, N = {UNITS}"
    ax.legend(loc="lower left", title=title, title_fontsize=7, alignment="left")
