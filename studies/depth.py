"""Which layers of a deep feed-forward net learn: plain, residual and with batch normalisation.

A net with fresh weights at every step and no input but its first state h_0 ~ N(0, 1) is the deep
feed-forward net: step t is layer t, and what a recurrent net forgets over time, a deep one loses
over layers. Normalised nets have a batch of 16, all others read one sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import TYPE_CHECKING, Any

from .study import Study, named

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .sweep import Cell, Sweep

HE = {"activation": "relu", "weight_scale": sqrt(2.0)}
BATCH = {"normalization": "batch", "batch_size": 16}

FAMILIES: dict[str, dict[str, dict[str, Any]]] = {
    "plain": {
        "tanh pytorch": {"weights": "pytorch"},
        "tanh 1": {},
        "tanh critical": {"weight_scale": sqrt(1.76096), "bias_scale": sqrt(0.05)},
        "relu he": HE,
    },
    "residual": {
        "tanh residual": {"skip": 1.0},
        "relu residual": {**HE, "skip": 1.0},
        "relu residual 0.1": {**HE, "skip": 1.0, "branch": 0.1},
    },
    "batch norm": {
        "tanh batch": BATCH,
        "relu batch": {**HE, **BATCH},
        "tanh batch residual": {**BATCH, "skip": 1.0},
        "relu batch residual": {**HE, **BATCH, "skip": 1.0},
    },
}
"""Nets by family. Critical tanh: sigma_w^2 at sigma_b^2 = 0.05 (Schoenholz et al. 2017); ReLU: He
et al. 2015; without biases tanh is critical at sigma_w = 1."""

TITLES = {
    "tanh pytorch": "tanh, PyTorch's weights",
    "tanh 1": "tanh, $\\sigma_w$ = 1",
    "tanh critical": "tanh, critical",
    "relu he": "ReLU, He",
    "tanh residual": "tanh, h + f",
    "relu residual": "ReLU, h + f",
    "relu residual 0.1": "ReLU, h + 0.1 f",
    "tanh batch": "tanh",
    "relu batch": "ReLU",
    "tanh batch residual": "tanh, h + f",
    "relu batch residual": "ReLU, h + f",
}

NETS = {name: fields for family in FAMILIES.values() for name, fields in family.items()}

LEARNING = 0.1
"""A layer learns if its weight gradient is at least this share of the largest layer's."""


def fields(point: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a net by its name."""
    return named("net", point["net"], NETS)


def derive(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Weight gradients of the layers relative to the largest, and the share of layers that learn.

    The variance of the activations is taken in logarithms, as it may grow by a factor a layer.
    """
    import numpy as np

    terms = arrays["contribution_W"]
    relative = terms - terms.max(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        variance = np.log(arrays["activation_variance"])
    return {
        "relative_W": relative,
        "learning_share": (relative >= np.log(LEARNING)).mean(axis=1),
        "log_activation_variance": variance,
    }


def _variables() -> dict[str, Any]:
    from ..engine import Variable

    text = f"share of layers whose weight gradient is over {LEARNING:g} of the largest layer's"
    return {
        "relative_W": Variable(
            ("network", "lag"), "nats", "ln of a layer's weight gradient over the largest one"
        ),
        "learning_share": Variable(("network",), "1", text),
        "log_activation_variance": Variable(
            ("network", "step"), "nats", "ln of the variance of the state over units"
        ),
    }


def complete(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """Add the theory of the gradient by layer, for wide nets; NaN where there is none."""
    axes, theory = sweep.on_grid([_theory(cell) for cell in sweep.cells])
    attributes = {"units": "nats", "long_name": "log_gradient in theory, wide network"}
    return data.assign(theory_log_gradient=((*axes, "lag"), theory, attributes))


def _theory(cell: Cell) -> Any:
    """By lag; NaN but for plain tanh and ReLU, tanh with a skip and plain batch normalised nets.

    ReLU without bias and skip: exact at the width of the net. Tanh: layer by layer in a wide net,
    from its first state on. PyTorch's weights and batch norm: the rate of the state that a deep
    wide net comes to, times the lag. All but the first are of the mean square: the mean ln of nets
    that scatter lies below, the less the wider they are.
    """
    import numpy as np

    from .theory import deep_relu_increment, finite_batch_mean_field, mean_field, residual_path

    spec, steps = cell.spec, cell.sweep.steps
    lag, scale, nothing = np.arange(steps), spec.weight_scale, np.full(steps, np.nan)
    usual = (spec.cell, spec.slope, spec.norm_scale, spec.tied) == ("rnn", 1, 1, False)
    shifted = any(spec.gate_bias.values())
    if not usual or shifted or scale == 0 or cell.sweep.inputs_name != "zero":
        return nothing
    plain, gaussian = (spec.skip, spec.branch) == (0, 1), spec.weights == "gaussian"
    unbiased = gaussian and spec.bias_scale == 0
    if spec.normalization == "batch" and plain and unbiased and spec.batch_size > 3:
        batch = finite_batch_mean_field(spec.activation, spec.batch_size, weight_scale=scale)
        return lag * batch.rate
    if spec.normalization != "none":
        return nothing
    if plain and spec.weights == "pytorch":
        bias = sqrt(2.0 / (3.0 * spec.hidden_size))  # the sum of two, U(-1/sqrt n, 1/sqrt n)
        return (
            lag * mean_field(spec.activation, weight_scale=scale / sqrt(3.0), bias_scale=bias).rate
        )
    if plain and unbiased and spec.activation == "relu":
        return lag * 0.5 * deep_relu_increment(spec.hidden_size, scale).mean
    if gaussian and spec.activation == "tanh":
        options = {"bias_scale": spec.bias_scale, "skip": spec.skip, "branch": spec.branch}
        try:
            return residual_path("tanh", steps, weight_scale=scale, **options).log_gradient
        except ValueError:  # the state dies out
            return nothing
    return nothing


def figure(data: xr.Dataset) -> Figure:
    """Gradient, weight gradient and activation variance by layer, a column per family of nets."""
    from matplotlib.figure import Figure

    from .figures import WIDTH, held, letter, provenance_line

    data = held(data, ("net",), "log_gradient_mean")
    there = {str(name) for name in data.net.values}
    chosen = {f: [n for n in nets if n in there] for f, nets in FAMILIES.items()}
    families = {family: nets for family, nets in chosen.items() if nets}
    result = Figure(figsize=(WIDTH, 6.4), layout="constrained")
    axes = result.subplots(3, len(families), sharex=True, sharey="row", squeeze=False)
    for column, nets in enumerate(families.values()):
        _panels(axes[:, column], data, nets)
        axes[2, column].set_xlabel("layer (1 next to the input)")
    labels = (
        "gradient over the last layer's\n$|\\partial L/\\partial net|$",
        "weight gradient $|\\partial L/\\partial W|$\nover the largest layer's",
        "variance of the activations",
    )
    for ax, text in zip(axes[:, 0], labels, strict=True):
        ax.set_ylabel(text)
    _legend(result, axes[0, 0])
    what = ("gradient", "which layers learn", "activations")
    letter(axes.ravel(), [f"{family}: {w}" for w in what for family in families])
    provenance_line(result, data)
    return result


def _panels(axes: Any, data: xr.Dataset, nets: list[str]) -> None:
    import numpy as np

    from .figures import style

    layer, depth = data.step.values + 1, data.sizes["lag"]
    for k, name in enumerate(nets):
        one, colour = data.sel(net=name), style(k)["color"]
        by_layer = {"color": colour, "markevery": (8 * k, depth // 4)}
        mean, sd = one.log_gradient_mean.values[::-1], one.log_gradient_sd.values[::-1]
        axes[0].fill_between(layer, *np.exp([mean - sd, mean + sd]), color=colour, alpha=0.2, lw=0)
        axes[0].plot(layer, np.exp(mean), label=TITLES[name], marker=style(k)["marker"], **by_layer)
        axes[0].plot(layer, np.exp(one.theory_log_gradient)[::-1], color="black", ls=":", lw=0.9)
        axes[1].plot(
            layer, np.exp(one.relative_W_mean)[::-1], marker=style(k)["marker"], **by_layer
        )
        variance = np.exp(one.log_activation_variance_mean)
        axes[2].plot(layer, variance, marker=style(k)["marker"], **by_layer)
    # what leaves a panel goes on as a straight line
    for ax, ends in zip(axes, ((1e-12, 1e12), (1e-8, 3), (1e-3, 1e6)), strict=True):
        ax.set(yscale="log", ylim=ends)
    axes[0].legend(fontsize=6)


def _legend(figure: Figure, ax: Axes) -> None:
    """What is common to all panels; `ax` lends its lines."""
    line = ax.plot([], [], color="black", ls=":", lw=0.9, label="theory")[0]
    band = ax.fill_between(
        [], [], [], color="#555555", alpha=0.3, lw=0, label="$\\pm$ 1 sd of networks"
    )
    figure.legend(handles=[line, band], loc="outside upper center", ncols=2)


STUDY = Study(
    name="depth",
    summary="which layers of a deep net learn: plain, residual, batch normalised",
    grid={"net": tuple(NETS)},
    base={"tied": False, "input_size": 1},
    fields=fields,
    products=("trajectory", "gradient", "weights"),
    networks=256,
    steps=100,
    inputs="zero",
    headline="learning_share",
    derived=_variables,
    derive=derive,
    complete=complete,
    figure=figure,
)
