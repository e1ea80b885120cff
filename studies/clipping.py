"""What gradient clipping does and does not do: it bounds the step and leaves the rate alone.

ReLU and tanh nets around and above their critical weight scales (about 1.4 and 1.95 with N(0, 1)
inputs). Clipping acts on the weight gradient, after the BPTT sum: by norm it multiplies all terms
of the sum by one number, so that each is the same share of it as before; by value it turns the
gradient. A gradient that vanishes over the lags is clipped as well, if its recent terms are large.

The terms shown are those of U, dL/dnet_{T-lag} x^T: the inputs are of one size at all times, so
that terms grow or shrink at the gradient's rate. (Those of W also hold the state, and where ReLU
states grow forwards as fast as gradients do backwards, they are level although both explode.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .study import Study

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .sweep import Sweep

NORM, VALUE = (1.0, 10.0, 100.0), (0.01, 0.1, 1.0)
DECADES = (-1.0, 9.0)
BINS = 40
"""The histogram of log10 of the gradient norm; its end bins hold all that is beyond."""


def derive(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Histograms of the norm before and after clipping, and the BPTT terms of the clipped gradient.

    Clipping by norm, here at the first threshold, multiplies every term of the sum by the factor by
    which it changes the norm.
    """
    before, after = arrays["log_grad_norm"], arrays["log_clipped_norm"]
    factor = after[:, 0] - before
    return {
        "norm_histogram": _histogram(before),
        "clipped_norm_histogram": _histogram(after),
        "clipped_contribution_U": arrays["contribution_U"] + factor[:, None],
    }


def _histogram(log_norm: Any) -> Any:
    """One where a network is in a bin: the mean over networks is the histogram."""
    import numpy as np

    low, high = DECADES
    place = (log_norm / np.log(10) - low) * BINS / (high - low)
    bins = np.clip(np.floor(place), 0, BINS - 1)
    return (bins[..., None] == np.arange(BINS)).astype(np.float64)


def _variables() -> dict[str, Any]:
    from ..engine import Variable

    return {
        "norm_histogram": Variable(
            ("network", "bin"), "1", "share of networks by log10 of the norm of their gradient"
        ),
        "clipped_norm_histogram": Variable(
            ("network", "clip", "bin"), "1", "share of networks by log10 of the norm after clipping"
        ),
        "clipped_contribution_U": Variable(
            ("network", "lag"),
            "nats",
            f"ln of the BPTT term of U after clipping at norm {NORM[0]:g}",
        ),
    }


def complete(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """Say where the bins of the histograms are."""
    import numpy as np

    low, high = DECADES
    middle = low + (np.arange(BINS) + 0.5) * (high - low) / BINS
    return data.assign_coords(
        bin=("bin", middle, {"units": "1", "long_name": "log10 of the norm, middle of the bin"})
    )


def figure(data: xr.Dataset) -> Figure:
    """Norms before and after, who is clipped, by what angle, and the terms; a column each."""
    from matplotlib.figure import Figure

    from .figures import WIDTH, held, letter, provenance_line

    data = held(data, ("activation", "weight_scale"), "rate_mean")
    names = [str(name) for name in data.activation.values]
    result = Figure(figsize=(WIDTH, 8.0), layout="constrained")
    axes = result.subplots(4, len(names), sharey="row", squeeze=False)
    titles = []
    for column, name in zip(axes.T, names, strict=True):
        one = data.sel(activation=name)
        scale = _first_exploding(one)
        _norm_panel(column[0], one.sel(weight_scale=scale))
        _scale_panel(column[1], one, "clipped_share", "norm")
        _scale_panel(column[2], one, "clip_angle", "value")
        _terms_panel(column[3], one, scale)
        titles += [f"{name}, $\\sigma_w$ = {scale:g}: norms"]
        titles += [f"{name}: {w}" for w in ("clipped by norm", "turned by value", "BPTT terms")]
    letter(axes.ravel(), [titles[4 * k + row] for row in range(4) for k in range(len(names))])
    for ax, text in zip(axes[:, 0], LABELS, strict=True):
        ax.set_ylabel(text)
    axes[0, -1].legend(fontsize=6, loc="upper right")
    for ax in axes[1:3, 0]:
        ax.legend(fontsize=6, loc="lower right")
    for ax in axes[3]:
        ax.legend(fontsize=6, loc="upper left", ncols=2)
    provenance_line(result, data)
    return result


LABELS = (
    "share of networks",
    "share of networks clipped",
    "angle of the turn (degrees)",
    "BPTT term of U (ln of norm)",
)


def _first_exploding(data: xr.Dataset) -> float:
    """The smallest weight scale whose mean rate is not negative, else the largest."""
    exploding = data.weight_scale.values[data.rate_mean.values >= 0]
    return float(exploding.min() if exploding.size else data.weight_scale.max())


def _norm_panel(ax: Axes, data: xr.Dataset) -> None:
    from .figures import style

    width = (DECADES[1] - DECADES[0]) / BINS
    ax.bar(data.bin, data.norm_histogram_mean, width=width, color="#bbbbbb", label="before")
    shown = (f"norm {NORM[0]:g}", f"norm {NORM[-1]:g}", f"value {VALUE[-1]:g}")
    for k, clip in enumerate(shown):
        share = data.clipped_norm_histogram_mean.sel(clip=clip)
        ax.step(data.bin, share, where="mid", color=style(k)["color"], label=clip)
    ax.set(yscale="log", ylim=(2e-3, 1.3), xlabel="$\\log_{10}$ of the norm (ends: all beyond)")


def _scale_panel(ax: Axes, data: xr.Dataset, name: str, kind: str) -> None:
    import numpy as np

    from .figures import number_ticks, style

    x, degrees = data.weight_scale.values, 180 / np.pi if name == "clip_angle" else 1.0
    for k, threshold in enumerate(NORM if kind == "norm" else VALUE):
        y = data[f"{name}_mean"].sel(clip=f"{kind} {threshold:g}") * degrees
        ax.plot(x, y, label=f"{kind} {threshold:g}", **style(k))
    ax.set(xlabel="weight scale $\\sigma_w$")
    ax.set_ylim(bottom=0)
    number_ticks(ax, x)


def _terms_panel(ax: Axes, data: xr.Dataset, scale: float) -> None:
    """Below, at and above the weight scale where gradients begin to explode."""
    from .figures import style

    scales = list(data.weight_scale.values)
    at = scales.index(scale)
    for k, j in enumerate(sorted({max(0, at - 2), at, min(len(scales) - 1, at + 1)})):
        one, colour = data.isel(weight_scale=j), style(k)["color"]
        label = f"$\\sigma_w$ = {scales[j]:g}: rate {float(one.rate_mean):+.2f}"
        ax.plot(data.lag, one.contribution_U_mean, color=colour, label=label)
        ax.plot(data.lag, one.clipped_contribution_U_mean, color=colour, ls="--")
    ax.plot([], [], color="#555555", ls="--", label=f"after clipping at norm {NORM[0]:g}")
    ax.set_xlabel("lag (steps)")
    if data.sizes["lag"] >= STUDY.steps:  # over many lags what explodes would flatten the others
        ax.set_ylim(-80, 100)
    else:
        ax.margins(y=0.3)  # with room for the legend


STUDY = Study(
    name="clipping",
    summary="what gradient clipping does and does not do: norms, angles, terms by lag",
    grid={
        "activation": ("relu", "tanh"),
        "weight_scale": (0.71, 1.0, 1.19, 1.41, 1.68, 2.0, 2.83, 4.0),
    },
    products=("gradient", "weights"),
    clip={"norm": NORM, "value": VALUE},
    derived=_variables,
    derive=derive,
    complete=complete,
    figure=figure,
)
