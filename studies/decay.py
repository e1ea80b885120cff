"""The main job: gradient decay rate against derivative bound and weight scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .study import Study
from .wide import is_moderate, is_plain, wide_network

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .sweep import Cell, Sweep

ACTIVATIONS = ("tanh", "sigmoid", "relu", "gelu", "hard_tanh", "sin", "linear")
SLOPES = (0.5, 1.0, 2.0)
WEIGHT_SCALES = (0.25, 0.35, 0.5, 0.71, 1.0, 1.19, 1.41, 1.68, 2.0, 2.83, 4.0, 8.0)


THEORY = {
    "mean_field_rate": ("nats per step", "mean-field rate, infinitely wide network"),
    "derivative_bound": ("1", "derivative bound, slope * sup|phi'|"),
    "certified_rate": (
        "nats per step",
        "ln(derivative bound * |W|), |W| = 2 weight_scale at n = inf",
    ),
    "predicted_rate": ("nats per step", "1/2 ln(weight_scale^2 E f'^2) at the visited states"),
}


def complete(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """Set beside the measurement the mean-field rate, the certified bound, and the prediction.

    The prediction of the rate from the derivatives that the networks visit is
    1/2 ln(weight_scale^2 E f'^2).
    """
    import numpy as np

    visited = data["mean_square_derivative_mean"].values.ravel()
    rows = [_theory(cell, float(v)) for cell, v in zip(sweep.cells, visited, strict=True)]
    columns = np.array(rows).T
    return data.assign(
        {
            name: (*sweep.on_grid(column), {"units": units, "long_name": text})
            for (name, (units, text)), column in zip(THEORY.items(), columns, strict=True)
        }
    )


def _theory(cell: Cell, visited: float) -> tuple[float, ...]:
    """The values of `THEORY` for one cell; NaN where there is no theory."""
    from math import inf, log, nan

    from .theory import certified_rate, derivative_bound, mean_field

    spec, wide = cell.spec, wide_network(cell)
    if spec.cell != "rnn":  # has other derivatives than that of the activation
        return nan, nan, nan, nan
    bound = derivative_bound(spec.activation, spec.slope)
    if not is_plain(spec) or spec.weights == "pytorch":
        return nan, bound, nan, nan
    measured = visited > 0 and spec.weight_scale > 0
    predicted = log(spec.weight_scale) + 0.5 * log(visited) if measured else -inf
    if spec.weights not in ("gaussian", "uniform") or not is_moderate(spec):
        return nan, bound, nan, predicted
    certified = certified_rate(spec.activation, slope=spec.slope, weight_scale=spec.weight_scale)
    rate = nan if wide is None else mean_field(**wide).rate
    return rate, bound, certified, predicted


def figure(data: xr.Dataset) -> Figure:
    """Rate against weight scale, against the derivative bound, and what predicts it; horizon."""
    from matplotlib.figure import Figure

    from .figures import WIDTH, held, letter, provenance_line

    data = held(data, ("activation", "slope", "weight_scale"), "rate_mean")
    result = Figure(figsize=(WIDTH, 6.2), layout="constrained")
    axes = result.subplots(2, 2).ravel()
    slope = 1.0 if 1.0 in data.slope else float(data.slope[0])
    _rate_panel(axes[0], data.sel(slope=slope))
    _bound_panel(axes[1], data)
    _horizon_panel(axes[2], data.sel(slope=slope))
    _prediction_panel(axes[3], data)
    titles = (
        f"rate against weight scale (slope {slope:g})",
        "the derivative bound does not decide",
        f"how far the gradient reaches (slope {slope:g})",
        "the derivatives visited tell the rate",
    )
    letter(axes, titles)
    handles, labels = axes[0].get_legend_handles_labels()
    result.legend(handles, labels, loc="outside upper center", ncols=4)
    provenance_line(result, data)
    return result


def _rate_panel(ax: Axes, data: xr.Dataset) -> None:
    from .figures import number_ticks, style

    x, grey = data.weight_scale.values, "#555555"
    for k, name in enumerate(data.activation.values):
        one = data.sel(activation=name)
        look = style(k)
        band = one.rate_quantile
        low, high = band.sel(quantile=0.05), band.sel(quantile=0.95)
        ax.fill_between(x, low, high, color=look["color"], alpha=0.2, lw=0)
        ax.plot(x, one.mean_field_rate, color=look["color"], ls="--", lw=0.9)
        ax.plot(x, band.sel(quantile=0.5), lw=0, label=name, **look)
        errors = [one.rate_mean - one.rate_low, one.rate_high - one.rate_mean]
        ax.errorbar(x, one.rate_mean, yerr=errors, color=look["color"], **BARS)
        count = one.status_count
        lossy = (count.sel(status="ok") < 0.99 * count.sum("status")).values
        ax.plot(x[lossy], band.sel(quantile=0.5)[lossy], lw=0, mfc="white", **look)
    if data.mean_field_rate.notnull().any():
        ax.plot([], [], color=grey, ls="--", lw=0.9, label="mean-field theory")
    ax.fill_between([], [], [], color=grey, alpha=0.2, lw=0, label="5-95 % of networks")
    ax.plot([], [], color=grey, marker="o", lw=0, label="median")
    ax.plot([], [], color=grey, marker="o", mfc="white", lw=0, label="over 1 % of networks dead")
    ax.errorbar([], [], yerr=[], color=grey, **BARS, label="mean, 95 % CI (most within marker)")
    ax.axhline(0, color=grey, lw=0.8)
    ax.set(xlabel="weight scale $\\sigma_w$", ylabel="gradient rate (nats per step)")
    number_ticks(ax, x)


BARS: Any = {"lw": 0, "elinewidth": 1, "capsize": 2}


def _bound_panel(ax: Axes, data: xr.Dataset) -> None:
    import numpy as np

    x = (data.derivative_bound * data.weight_scale).where(lambda v: v > 0)
    _scatter(ax, data, x, data.rate_mean)
    if x.notnull().any():
        ends = np.array([float(x.min()) / 1.3, float(x.max()) * 1.3])
        ax.set(xscale="log", xlim=ends)
        ax.plot(ends, np.log(2 * ends), color="black", lw=1)
        ax.axvspan(ends[0], max(0.5, ends[0]), color="#dddddd", lw=0, zorder=0)
        at = float(np.exp(np.log(ends) @ [0.35, 0.65]))
        certified = "certified bound\n$\\ln(\\gamma\\,\\|W\\|)$, $\\|W\\|\\to 2\\sigma_w$"
        look: Any = {"textcoords": "offset points", "ha": "right", "va": "bottom", "fontsize": 7}
        ax.annotate(certified, (at, float(np.log(2 * at))), xytext=(-8, 2), **look)
    ax.axhline(0, color="#555555", lw=0.8)
    ax.text(0.03, 0.97, "vanishing\ncertified", transform=ax.transAxes, fontsize=7, va="top")
    slopes = ", ".join(f"{s:g}" for s in data.slope.values)
    text = f"marker size: slope a = {slopes}"
    ax.text(0.97, 0.03, text, transform=ax.transAxes, fontsize=7, ha="right", va="bottom")
    ax.set(
        xlabel="derivative bound \u00d7 weight scale, $\\gamma\\sigma_w$",
        ylabel="gradient rate (nats per step)",
    )


def _horizon_panel(ax: Axes, data: xr.Dataset) -> None:
    import numpy as np

    from .figures import number_ticks, style

    x = data.weight_scale.values
    longest = 2 * float(data.attrs["steps"])
    for k, name in enumerate(data.activation.values):
        band = data.sel(activation=name).horizon_quantile
        # what does not forget is drawn at the top of the panel
        drawn = band.where(np.isfinite(band) | band.isnull(), longest)
        low, median, high = (drawn.sel(quantile=q) for q in (0.05, 0.5, 0.95))
        ax.fill_between(x, low, high, color=style(k)["color"], alpha=0.2, lw=0)
        ax.plot(x, median, **style(k))
    ax.set(xlabel="weight scale $\\sigma_w$", ylabel="gradient horizon (steps)")
    ax.set(yscale="log", ylim=(0.25, longest))
    decades = [10.0**k for k in range(int(np.log10(longest)) + 1)]
    ax.set_yticks([*decades, longest], [*(f"{d:g}" for d in decades), "$\\infty$"])
    number_ticks(ax, x)


def _prediction_panel(ax: Axes, data: xr.Dataset) -> None:
    import numpy as np

    x, y = data.predicted_rate, data.rate_mean
    _scatter(ax, data, x, y)
    both = np.concatenate([v.values[np.isfinite(v.values)] for v in (x, y)])
    if both.size:
        ax.plot([both.min(), both.max()], [both.min(), both.max()], color="black", lw=1, zorder=0)
    ax.axhline(0, color="#555555", lw=0.8)
    ax.set(
        xlabel="$\\frac{1}{2}\\ln(\\sigma_w^2\\,\\langle f'^2\\rangle)$ (nats per step)",
        ylabel="gradient rate (nats per step)",
    )


def _scatter(ax: Axes, data: xr.Dataset, x: xr.DataArray, y: xr.DataArray) -> None:
    """All cells, a colour and marker per activation, larger markers for larger slopes."""
    from .figures import style

    for k, name in enumerate(data.activation.values):
        for j, slope in enumerate(data.slope.values):
            point = {"activation": name, "slope": slope}
            size = 2 + 1.2 * min(j, 4)
            ax.plot(x.sel(point), y.sel(point), lw=0, alpha=0.8, markersize=size, **style(k))


STUDY = Study(
    name="decay",
    summary="gradient decay rate against derivative bound and weight scale",
    grid={"activation": ACTIVATIONS, "slope": SLOPES, "weight_scale": WEIGHT_SCALES},
    products=("trajectory", "gradient"),
    complete=complete,
    figure=figure,
)
