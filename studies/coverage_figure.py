"""The figure of the study ``coverage``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .coverage import CONFIDENCE, TOLERANCE

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 100
"""Repetitions whose intervals are drawn one by one."""

TITLES = {"linear": "linear", "relu": "ReLU"}


def draw(data: xr.Dataset) -> Figure:
    """Coverage by statistic, the exact density with one measurement, and intervals one by one."""
    from matplotlib.figure import Figure

    from .figures import WIDTH, held, letter, provenance_line

    data = held(data, ("net", "repetition"), "rate_mean")
    result = Figure(figsize=(WIDTH, 5.6), layout="constrained")
    axes = result.subplot_mosaic([["coverage", "coverage"], ["density", "intervals"]])
    _coverage_panel(axes["coverage"], data)
    _density_panel(axes["density"], data)
    last = data.isel(net=-1)
    _intervals_panel(axes["intervals"], last)
    count = data.sizes["repetition"]
    repetitions, first = f"{count} repetitions", f"the first {min(SHOWN, count)}"
    titles = (
        f"how often a 95 % interval covers the truth, {repetitions}",
        "exact density of the rate, and one measurement",
        f"intervals of the sd, {TITLES[last.net.item()]}: {first} repetitions",
    )
    letter(axes.values(), titles)
    handles, labels = axes["coverage"].get_legend_handles_labels()
    result.legend(handles, labels, loc="outside upper center", ncols=6)
    notes = [text for text in (data.attrs["held"], repetitions) if text]
    provenance_line(result, data.assign_attrs(held=", ".join(notes)))
    return result


def _percent(text: str, *shares: float) -> str:
    return text.format(*(f"{100 * share:g}" for share in shares)) + " %"


def _looks(data: xr.Dataset) -> Any:
    """Each net with its place beside the tick, its colour and its marker."""
    from .figures import style

    for k, net in enumerate(data.net.values):
        yield data.sel(net=net), TITLES[str(net)], 0.3 * (k - (data.sizes["net"] - 1) / 2), style(k)


def _coverage_panel(ax: Axes, data: xr.Dataset) -> None:
    import numpy as np

    ticks = np.arange(data.sizes["statistic"])
    ends = CONFIDENCE - TOLERANCE, CONFIDENCE + TOLERANCE
    ax.axhspan(*ends, color="#e8e8e8", lw=0, label=_percent("{} to {}", *ends))
    ax.axhline(CONFIDENCE, color="#555555", lw=0.8, label=_percent("nominal, {}", CONFIDENCE))
    sd = list(data.statistic.values).index("sd")
    for one, title, aside, look in _looks(data):
        _shares(ax, ticks + aside, one, "coverage", label=title, **look)
        label = f"{title}, sd by $\\chi^2$"
        _shares(ax, sd + aside, one, "coverage_normal_sd", label=label, mfc="white", **look)
    names = [str(name).replace("quantile ", "quantile\n") for name in data.statistic.values]
    ax.set_xticks(ticks, ["mean", "standard\ndeviation", *names[2:]])
    ax.set(ylabel="share of repetitions", xlim=(-0.6, len(ticks) - 0.4))
    ax.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
    ax.grid(visible=False, axis="x")


def _shares(ax: Axes, x: Any, one: xr.Dataset, name: str, **look: Any) -> None:
    """Shares with their intervals."""
    import numpy as np

    share = one[name].values
    errors = np.abs([one[f"{name}_low"].values - share, one[f"{name}_high"].values - share])
    errors = errors.reshape(2, -1)
    ax.errorbar(np.atleast_1d(x), np.atleast_1d(share), yerr=errors, lw=0, elinewidth=1, **look)


def _density_panel(ax: Axes, data: xr.Dataset) -> None:
    """Each measured quantile with its interval, at the height of the density there."""
    import numpy as np

    for one, title, _, look in _looks(data):
        ax.plot(one.exact_rate, one.exact_density, color=look["color"], label=f"{title}, exact")
        first = one.isel(repetition=0)
        x = first.rate_quantile.values
        height = np.interp(x, one.exact_rate, one.exact_density)
        ends = np.abs([first.rate_quantile_low - x, first.rate_quantile_high - x])
        ends = np.where(np.isfinite(ends), ends, 0.0)  # few networks bound no outer quantile
        ax.errorbar(x, height, xerr=ends, lw=0, elinewidth=1.2, capsize=2, **look)
    quantiles = ", ".join(f"{100 * q:g}" for q in data["quantile"].values)
    ax.plot([], [], color="#555555", marker="o", lw=0, label=f"measured {quantiles} %")
    ax.set(xlabel="gradient rate (nats per layer)", ylabel="probability density (layers per nat)")
    ax.set_ylim(0, 1.3 * ax.get_ylim()[1])  # room for the legend
    ax.legend(loc="upper left")


def _intervals_panel(ax: Axes, one: xr.Dataset) -> None:
    import numpy as np

    shown = one.isel(repetition=slice(SHOWN))
    truth = one.exact_statistic.sel(statistic="sd").item()
    x = np.arange(shown.sizes["repetition"])
    low, high = shown.rate_sd_low.values, shown.rate_sd_high.values
    missed = (low > truth) | (high < truth)
    ax.vlines(x[~missed], low[~missed], high[~missed], color="#999999", lw=1)
    label = f"miss the truth ({missed.sum()})"
    ax.vlines(x[missed], low[missed], high[missed], color="#D55E00", lw=1.4, label=label)
    ax.axhline(truth, color="black", lw=0.8, label="exact")
    ax.set(xlabel="repetition", ylabel="sd of the rate (nats per layer)")
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top + 0.12 * (top - bottom))
    ax.legend(loc="upper right", ncols=2)
