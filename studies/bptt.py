"""Which time steps the weight gradient comes from: the terms of the BPTT sum, by lag."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .study import Study

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RECENT = 10
"""Steps that count as recent."""


def derive(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Terms relative to the gradient they add up to, and the recent steps' share.

    The share of the last ten steps is the sum of their terms' norms over the sum of all terms'
    norms; both sums are taken in logarithms. A network whose terms are all zero (of U, without
    inputs) has nothing to share and is left out.
    """
    import numpy as np

    found = {}
    for weight in ("W", "U"):
        terms = arrays[f"contribution_{weight}"]
        terms = terms[np.isfinite(terms).any(axis=1)]
        total = np.logaddexp.reduce(terms, axis=1)
        recent = np.logaddexp.reduce(terms[:, :RECENT], axis=1)
        found[f"recent_share_{weight}"] = np.exp(recent - total)
        found[f"relative_{weight}"] = terms - total[:, None]
    return found


def _variables() -> dict[str, Any]:
    from ..engine import Variable

    found = {}
    for weight in ("W", "U"):
        found[f"recent_share_{weight}"] = Variable(
            ("network",), "1", f"share of the last {RECENT} steps in the BPTT terms of {weight}"
        )
        found[f"relative_{weight}"] = Variable(
            ("network", "lag"), "nats", f"ln of a BPTT term of {weight} relative to their sum"
        )
    return found


def figure(data: xr.Dataset) -> Figure:
    """Terms by lag for W and U at each weight scale, and the share of the recent steps."""
    from matplotlib.figure import Figure

    from .figures import WIDTH, held, letter, provenance_line

    data = held(data, ("activation", "weight_scale"), "log_grad_W_mean")
    weights = [w for w in ("W", "U") if data[f"recent_share_{w}_mean"].notnull().any()]
    names = list(data.activation.values)
    result = Figure(figsize=(WIDTH, 5.6), layout="constrained")
    axes = result.subplots(2, len(names), sharey="row", squeeze=False)
    for column, name in enumerate(names):
        _terms_panel(axes[0, column], data.sel(activation=name), weights)
        _share_panel(axes[1, column], data.sel(activation=name), weights)
    axes[0, 0].set_ylabel("share of a BPTT term\n(geometric mean over networks)")
    axes[1, 0].set_ylabel(f"share of the last {RECENT} steps")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    result.legend(handles, labels, loc="outside upper center", ncols=4)
    if weights:
        axes[1, 0].legend()
    titles = [f"{n}: terms by lag" for n in names] + [f"{n}: recent share" for n in names]
    letter(axes.ravel(), titles)
    provenance_line(result, data)
    return result


def _terms_panel(ax: Axes, data: xr.Dataset, weights: list[str]) -> None:
    import numpy as np

    from .figures import style

    for k, scale in enumerate(data.weight_scale.values):
        one, colour = data.sel(weight_scale=scale), style(k)["color"]
        label: str | None = f"$\\sigma_w$ = {scale:g}"
        for weight, line in zip(weights, ("-", (0, (1, 3))), strict=False):
            y = np.exp(one[f"relative_{weight}_mean"])
            ax.plot(data.lag, y, color=colour, ls=line, label=label, lw=1 if line == "-" else 2)
            label = None
    for weight, line in zip(weights, ("-", (0, (1, 3))), strict=False):
        ax.plot([], [], color="#555555", ls=line, label=f"terms of {weight}")
    ax.set_yscale("log")
    ax.set(xlabel="lag (steps)", ylim=(1e-12, 2))


def _share_panel(ax: Axes, data: xr.Dataset, weights: list[str]) -> None:
    from .figures import number_ticks, style

    x = data.weight_scale.values
    for k, weight in enumerate(weights):
        band = data[f"recent_share_{weight}_quantile"]
        low, high = band.sel(quantile=0.05), band.sel(quantile=0.95)
        label = "5-95 % of networks" if k == 0 else None
        ax.fill_between(x, low, high, color=style(k)["color"], alpha=0.2, lw=0, label=label)
        mean = data[f"recent_share_{weight}_mean"]
        ax.plot(x, mean, markersize=5 - 2 * k, label=f"mean, terms of {weight}", **style(k))
    ax.set(xlabel="weight scale $\\sigma_w$", ylim=(0, 1.03))
    number_ticks(ax, x)


STUDY = Study(
    name="bptt",
    summary="which time steps the weight gradient comes from: the terms of the BPTT sum",
    grid={
        "activation": ("tanh", "sigmoid", "relu"),
        "weight_scale": (0.5, 0.71, 1.0, 1.41, 2.0, 2.83),
    },
    products=("weights",),
    headline="recent_share_W",
    derived=_variables,
    derive=derive,
    figure=figure,
)
