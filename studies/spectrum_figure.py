"""The figure of the study ``spectrum``: exponents against i/N, and what follows; a row per net."""

from __future__ import annotations

from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import WIDTH, held, letter, number_ticks, provenance_line, style
from .spectrum import NETS

SHOWN = 3.0
"""Weight scale whose spectra are drawn, or the nearest there is."""

NAMES = {
    "tanh": "tanh, no input",
    "tanh driven": "tanh, inputs N(0, 1)",
    "tanh orthogonal": "tanh, orthogonal W",
}
WIDE: Any = {"color": "black", "lw": 0.9, "zorder": 1}
LEAST: Any = {**WIDE, "ls": "--"}
BARS: Any = {"lw": 0, "elinewidth": 0.8, "capsize": 1.5}
GREY = "#555555"


def draw(data: xr.Dataset) -> Figure:
    """Spectra at one weight scale; dimension and unstable share; entropy rate."""
    data = held(data, ("net", "hidden_size", "weight_scale"), "leading_exponent_mean")
    nets = [str(name) for name in data.net.values]
    figure = Figure(figsize=(WIDTH, 0.9 + 2.0 * len(nets)), layout="constrained")
    axes = figure.subplots(len(nets), 3, squeeze=False)
    scales = data.weight_scale.values
    at = float(scales[abs(scales - SHOWN).argmin()])
    titles = []
    for row, name in zip(axes, nets, strict=True):
        one = data.sel(net=name)
        _spectrum_panel(row[0], one.sel(weight_scale=at))
        for share, look in (("dimension_share", {}), ("unstable_share", {"mfc": "white"})):
            _share_panel(row[1], one, share, look)
        _share_panel(row[2], one, "entropy_share", {})
        row[0].set_ylabel("exponent (nats per step)")
        row[1].set_ylabel("directions over N")
        row[2].set_ylabel("entropy rate over N\n(nats per step)")
        what = (f"$\\sigma_w$ = {at:g}", "dimension, unstable share", "entropy rate")
        titles += [f"{NAMES[name]}: {what[0]}", *what[1:]]
    letter(axes.ravel(), titles)
    for ax, text in zip(axes[-1], ("place i / N", *["weight scale $\\sigma_w$"] * 2), strict=True):
        ax.set_xlabel(text)
    _legend(figure, axes[0, 0], data)
    provenance_line(figure, data, [NETS[name] for name in nets for _ in axes[0]])
    return figure


def _spectrum_panel(ax: Axes, data: xr.Dataset) -> None:
    """All exponents, and in the corner how far they are from the theory."""
    ax.axhline(0, color=GREY, lw=0.6, zorder=0)
    corner = ax.inset_axes((0.14, 0.14, 0.5, 0.42))
    for k, size in enumerate(data.hidden_size.values):
        one = data.sel(hidden_size=size)
        ax.plot(one.place, one.lyapunov_exponent_mean, **{**style(k), "markersize": 1.5, "lw": 0})
        low, high = (
            one[f"lyapunov_exponent_{end}"] - one.theory_exponent for end in ("low", "high")
        )
        corner.fill_between(one.place, low, high, color=style(k)["color"], alpha=0.5, lw=0)
    widest = data.isel(hidden_size=int(data.hidden_size.values.argmax()))
    ax.plot(widest.place, widest.theory_exponent, **WIDE)
    corner.axhline(0, **WIDE)
    corner.tick_params(labelsize=5, pad=1, length=2)
    corner.set_title("measured $-$ theory", fontsize=5, pad=2, loc="center")


def _share_panel(ax: Axes, data: xr.Dataset, name: str, look: Any) -> None:
    """A variable against the weight scale over its theory: means, 95 % intervals."""
    x = data.weight_scale.values
    for k, size in enumerate(data.hidden_size.values):
        one = data.sel(hidden_size=size)
        mean = one[f"{name}_mean"]
        errors = [mean - one[f"{name}_low"], one[f"{name}_high"] - mean]
        ax.errorbar(x, mean, yerr=errors, **{**style(k), **BARS, **look})
    line = LEAST if look else WIDE
    ax.plot(data.curve_scale, data[f"curve_{name}"].isel(hidden_size=0), **line)
    number_ticks(ax, x)


def _legend(figure: Figure, ax: Axes, data: xr.Dataset) -> None:
    """What is common to all panels; `ax` lends its lines."""

    def line(label: str, **look: Any) -> Any:
        return ax.plot([], [], label=label, **look)[0]

    handles = [
        line(f"N = {n}", **{**style(k), "lw": 0}) for k, n in enumerate(data.hidden_size.values)
    ]
    grey: Any = {"color": GREY, "marker": "o", "lw": 0}
    handles += [
        line("Kaplan-Yorke dimension, entropy rate", **grey),
        line("unstable directions", mfc="white", **grey),
        line("wide network, theory", **WIDE),
        line("the same, unstable directions", **LEAST),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=6.5)
