"""The main job: gradient decay rate against derivative bound and weight scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .study import Study

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .sweep import Sweep

ACTIVATIONS = ("tanh", "sigmoid", "relu", "gelu", "hard_tanh", "sin", "linear")
SLOPES = (0.5, 1.0, 2.0)
WEIGHT_SCALES = (0.25, 0.35, 0.5, 0.71, 1.0, 1.19, 1.41, 1.68, 2.0, 2.83, 4.0, 8.0)


def complete(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """Set beside the measurement the mean-field rate, the certified bound, and the prediction.

    The prediction of the rate from the derivatives that the networks visit is
    1/2 ln(weight_scale^2 E f'^2).
    """
    import numpy as np

    from .theory import derivative_bound, mean_field

    shape = tuple(len(values) for values in sweep.grid.values())
    theory: dict[str, Any] = {
        name: np.full(shape, np.nan)
        for name in ("mean_field_rate", "derivative_bound", "certified_rate", "predicted_rate")
    }
    for index, cell in zip(np.ndindex(*shape), sweep.cells, strict=True):
        spec = cell.spec
        gaussian = spec.weights in ("gaussian", "uniform") and (spec.skip, spec.branch) == (0, 1)
        driven = isinstance(sweep.inputs, str)
        bound = derivative_bound(spec.activation, spec.slope)
        theory["derivative_bound"][index] = bound
        with np.errstate(divide="ignore"):
            visited = data["mean_square_derivative_mean"].values[index]
            theory["predicted_rate"][index] = 0.5 * np.log(spec.weight_scale**2 * visited)
            if gaussian:
                theory["certified_rate"][index] = np.log(2 * bound * spec.weight_scale)
        if gaussian and driven:
            theory["mean_field_rate"][index] = mean_field(
                spec.activation,
                slope=spec.slope,
                weight_scale=spec.weight_scale,
                bias_scale=spec.bias_scale,
                input_variance=spec.input_scale**2 if sweep.inputs == "gaussian" else 0.0,
            ).rate
    words = {
        "mean_field_rate": ("nats per step", "mean-field rate, infinitely wide network"),
        "derivative_bound": ("1", "derivative bound, slope * sup|phi'|"),
        "certified_rate": ("nats per step", "ln(2 derivative bound * weight scale)"),
        "predicted_rate": ("nats per step", "1/2 ln(weight_scale^2 E f'^2) at the visited states"),
    }
    return data.assign(
        {
            name: (
                tuple(sweep.grid),
                values,
                dict(zip(("units", "long_name"), words[name], strict=True)),
            )
            for name, values in theory.items()
        }
    )


def figure(data: xr.Dataset) -> Figure:
    """Rate against weight scale, against the derivative bound, and what predicts it; horizon."""
    from matplotlib.figure import Figure

    from .figures import WIDTH, letter, provenance_line

    # every axis the figure does not draw is held at its middle value
    drawn = ("activation", "slope", "weight_scale")
    data = data.isel({d: data.sizes[d] // 2 for d in data.dims if _is_grid(data, d, drawn)})
    for axis in drawn:
        if axis not in data.dims:
            data = data.expand_dims({axis: [_fixed(data, axis)]})
    result = Figure(figsize=(WIDTH, 6.2), layout="constrained")
    axes = result.subplots(2, 2).ravel()
    middle = data.sel(slope=1.0) if 1.0 in data.slope else data.isel(slope=0)
    _rate_panel(axes[0], middle)
    _bound_panel(axes[1], data)
    _horizon_panel(axes[2], middle)
    _prediction_panel(axes[3], data)
    titles = (
        "rate against weight scale",
        "the derivative bound does not decide",
        "how far the gradient reaches",
        "what predicts the rate: the derivatives visited",
    )
    letter(axes, titles)
    handles, labels = axes[0].get_legend_handles_labels()
    result.legend(handles, labels, loc="outside upper center", ncols=4)
    provenance_line(result, data)
    return result


def _is_grid(data: xr.Dataset, dim: Any, drawn: tuple[str, ...]) -> bool:
    return dim in data["rate_mean"].dims and dim not in drawn


def _fixed(data: xr.Dataset, axis: str) -> Any:
    import json

    from ..engine import NetworkSpec

    return json.loads(data.attrs["base"]).get(axis, getattr(NetworkSpec(), axis))


def _rate_panel(ax: Axes, data: xr.Dataset) -> None:
    from .figures import COLOURS, MARKERS, number_ticks

    x = data.weight_scale.values
    for k, name in enumerate(data.activation.values):
        one = data.sel(activation=name)
        colour = COLOURS[k % 8]
        band = one.rate_quantile
        ax.fill_between(
            x, band.sel(quantile=0.05), band.sel(quantile=0.95), color=colour, alpha=0.2, lw=0
        )
        ax.plot(x, one.mean_field_rate, color=colour, ls="--", lw=0.9)
        ax.plot(x, band.sel(quantile=0.5), color=colour, lw=0, marker=MARKERS[k % 8], label=name)
        errors = [one.rate_mean - one.rate_low, one.rate_high - one.rate_mean]
        ax.errorbar(x, one.rate_mean, yerr=errors, color=colour, lw=0, elinewidth=1, capsize=2)
    grey = "#555555"
    ax.plot([], [], color=grey, ls="--", lw=0.9, label="mean-field theory")
    ax.fill_between([], [], [], color=grey, alpha=0.2, lw=0, label="5-95 % of networks")
    ax.errorbar([], [], yerr=[], color=grey, lw=0, elinewidth=1, capsize=2, label="mean, 95 % CI")
    ax.plot([], [], color=grey, marker="o", lw=0, label="median")
    ax.axhline(0, color="#555555", lw=0.8)
    ax.set(xlabel="weight scale $\\sigma_w$", ylabel="gradient rate (nats per step)")
    number_ticks(ax, x)


def _bound_panel(ax: Axes, data: xr.Dataset) -> None:
    import numpy as np

    x = data.derivative_bound * data.weight_scale
    _scatter(ax, data, x, data.rate_mean)
    ends = np.array([float(x.min()) / 1.3, float(x.max()) * 1.3])
    ax.plot(ends, np.log(2 * ends), color="black", lw=1)
    ax.axvspan(ends[0], 0.5, color="#dddddd", lw=0, zorder=0)
    ax.axhline(0, color="#555555", lw=0.8)
    ax.annotate(
        "certified bound\n$\\ln(\\gamma\\,\\|W\\|)$",
        (ends[1] / 6, float(np.log(ends[1] / 3))),
        xytext=(-6, 6),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=7,
    )
    ax.text(0.03, 0.97, "vanishing\ncertified", transform=ax.transAxes, fontsize=7, va="top")
    slopes = ", ".join(f"{s:g}" for s in data.slope.values)
    ax.text(
        0.97,
        0.03,
        f"marker size: slope a = {slopes}",
        transform=ax.transAxes,
        fontsize=7,
        ha="right",
        va="bottom",
    )
    ax.set_xscale("log")
    ax.set(
        xlim=ends,
        xlabel="derivative bound x weight scale, $\\gamma\\sigma_w$",
        ylabel="gradient rate (nats per step)",
    )


def _horizon_panel(ax: Axes, data: xr.Dataset) -> None:
    import numpy as np

    from .figures import COLOURS, MARKERS, number_ticks

    x = data.weight_scale.values
    for k, name in enumerate(data.activation.values):
        band = data.sel(activation=name).horizon_quantile
        low, median, high = (
            band.sel(quantile=q).where(np.isfinite(band.sel(quantile=q))) for q in (0.05, 0.5, 0.95)
        )
        colour = COLOURS[k % 8]
        ax.fill_between(x, low, high, color=colour, alpha=0.2, lw=0)
        ax.plot(x, median, color=colour, marker=MARKERS[k % 8])
    ax.set_yscale("log")
    ax.set(xlabel="weight scale $\\sigma_w$", ylabel="gradient horizon (steps)")
    number_ticks(ax, x)


def _prediction_panel(ax: Axes, data: xr.Dataset) -> None:
    x, y = data.predicted_rate, data.rate_mean
    _scatter(ax, data, x, y)
    ends = [float(min(x.min(), y.min())), float(max(x.max(), y.max()))]
    ax.plot(ends, ends, color="black", lw=1, zorder=0)
    ax.axhline(0, color="#555555", lw=0.8)
    ax.set(
        xlabel="$\\frac{1}{2}\\ln(\\sigma_w^2\\,\\langle f'^2\\rangle)$ (nats per step)",
        ylabel="gradient rate (nats per step)",
    )


def _scatter(ax: Axes, data: xr.Dataset, x: xr.DataArray, y: xr.DataArray) -> None:
    """All cells, a colour and marker per activation, larger markers for larger slopes."""
    from .figures import COLOURS, MARKERS

    for k, name in enumerate(data.activation.values):
        for j, slope in enumerate(data.slope.values):
            point = {"activation": name, "slope": slope}
            style: Any = {"color": COLOURS[k % 8], "marker": MARKERS[k % 8], "lw": 0, "alpha": 0.8}
            ax.plot(x.sel(point), y.sel(point), markersize=2 + 1.2 * j, **style)


STUDY = Study(
    name="decay",
    summary="gradient decay rate against derivative bound and weight scale",
    grid={"activation": ACTIVATIONS, "slope": SLOPES, "weight_scale": WEIGHT_SCALES},
    products=("trajectory", "gradient"),
    complete=complete,
    figure=figure,
)
