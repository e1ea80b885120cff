"""Oracle F: signals and gradients in wide deep tanh and sigmoid nets (fresh weights per layer)."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

from ...engine import Array, NetworkSpec
from ..theory import critical_weight_scale, depth_scales, mean_field
from .check import EXTRAPOLATED, Check, Statistical
from .draws import Draws
from .estimates import Estimate, extrapolated, ratio_of

POOLE = "Poole et al. 2016"
SCHOENHOLZ = "Schoenholz et al. 2017"

BIAS = sqrt(0.05)
ORDERED, CHAOTIC = 1.0, sqrt(2.5)
SETTLED = 16
"""Layers after which variance and gradient are stationary to 1e-4."""
ANGLES_SETTLED = 80
"""Layers after which the correlation of two inputs is: seven times xi_c."""

LAYERS = 25


def nets(n: int, weight_scale: float, **fields: Any) -> NetworkSpec:
    """Deep nets of width n that no input disturbs."""
    return NetworkSpec(hidden_size=n, input_size=1, weight_scale=weight_scale, tied=False, **fields)


def of_layers(
    values: Callable[[Draws, int, int], Array], width: int, networks: int
) -> Callable[[Draws], Estimate]:
    """A value per network, given draws, width and number; extrapolated in width."""

    def measure(draws: Draws) -> Estimate:
        return extrapolated(lambda n, m: values(draws, n, m), width * draws.size.width, networks)

    return measure


def growth(weight_scale: float, **fields: Any) -> Callable[[Draws], Estimate]:
    """Growth of the gradient over a layer."""

    def values(draws: Draws, n: int, networks: int) -> Array:
        spec = nets(n, weight_scale, **fields)
        data = draws.measure(spec, networks, LAYERS, inputs="zero", burn_in=SETTLED)
        log: Array = data.log_gradient.values  # no direction settles: weights are fresh
        return log[:, -1] / (LAYERS - 1)

    return of_layers(values, 64, 400)


def variance(draws: Draws, n: int, networks: int) -> Array:
    """Variance of the pre-activations, weight_scale^2 <h^2> + bias_scale^2."""
    data = draws.measure(
        nets(n, CHAOTIC, bias_scale=BIAS),
        networks,
        20,
        inputs="zero",
        burn_in=SETTLED,
        products=("trajectory",),
    )
    found: Array = CHAOTIC**2 * data.activation_variance.mean("step").values + BIAS**2
    return found


def correlation(draws: Draws, n: int, networks: int) -> Array:
    """Correlation of the pre-activations of two sequences that start independently."""
    data = draws.measure(
        nets(n, CHAOTIC, bias_scale=BIAS, batch_size=2),
        networks,
        ANGLES_SETTLED + 10,
        inputs="zero",
        burn_in=0,
        products=(),
        keep=("states",),
    )
    first, second = (
        data.state.isel(step=slice(ANGLES_SETTLED, None))
        .transpose("sequence", "network", ...)
        .values
    )
    axes = tuple(range(1, first.ndim))
    covariance = CHAOTIC**2 * (first * second).mean(axis=axes) + BIAS**2
    own = 0.5 * CHAOTIC**2 * (first**2 + second**2).mean(axis=axes) + BIAS**2
    return ratio_of(covariance, own)


def tanh_growth(phase: str, weight_scale: float) -> Statistical:
    """Growth of the gradient, of tanh with biases."""
    return Statistical(
        "F",
        f"growth of the gradient over a layer, deep tanh, {phase}",
        SCHOENHOLZ,
        lambda: mean_field("tanh", weight_scale=weight_scale, bias_scale=BIAS).rate,
        growth(weight_scale, bias_scale=BIAS),
        EXTRAPOLATED,
    )


CHECKS: tuple[Check, ...] = (
    tanh_growth("ordered", ORDERED),
    tanh_growth("critical", critical_weight_scale("tanh", bias_scale=BIAS)),
    tanh_growth("chaotic", CHAOTIC),
    Statistical(
        "F",
        "variance of pre-activations, deep tanh, chaotic",
        POOLE,
        lambda: mean_field("tanh", weight_scale=CHAOTIC, bias_scale=BIAS).q,
        of_layers(variance, 128, 200),
        EXTRAPOLATED,
    ),
    Statistical(
        "F",
        "correlation of two inputs after many layers, chaotic",
        POOLE,
        lambda: depth_scales("tanh", weight_scale=CHAOTIC, bias_scale=BIAS).fixed_correlation,
        of_layers(correlation, 128, 200),
        EXTRAPOLATED,
    ),
    Statistical(
        "F",
        "growth of the gradient over a layer, deep sigmoid",
        SCHOENHOLZ,
        lambda: mean_field("sigmoid").rate,
        growth(1.0, activation="sigmoid"),
        EXTRAPOLATED,
    ),
)
