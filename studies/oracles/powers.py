"""Oracle E: what tying the weights does to linear nets, by the exact laws of one random matrix."""

from __future__ import annotations

import numpy as np

from ...engine import Array, NetworkSpec
from ..theory import ginibre_spectral_radius, linear_rate, power_mean_square
from .check import Check, Statistical
from .draws import Draws
from .estimates import Estimate, mean_of, variance_of

TIED = NetworkSpec(activation="linear", hidden_size=16)
FRESH = NetworkSpec(activation="linear", hidden_size=64, tied=False)
GINIBRE = "Forrester & Nagao 2007; Rider & Sinclair 2014"

LAYERS = 64
FEW_LAYERS = 4
"""So few that the long tail of |gradient|^2 does not govern its mean, which is 1 were the weights
fresh."""

LAG = 500
"""The rate is measured from here to twice as far. Other eigenvalues have faded by then, but for
networks where two are within 1/LAG: of N = 16 so few that the mean rate keeps 1e-5 of it and the
variance 1e-6, a hundredth of the standard errors."""


def late_rates(draws: Draws) -> Array:
    """Growth of the gradient per step at large lags: ln of the spectral radius."""
    log: Array = draws.measure(
        TIED, 2000, 2 * LAG + 1, inputs="zero", burn_in=0
    ).log_gradient.values
    return (log[:, 2 * LAG] - log[:, LAG]) / LAG


def mean_rate(draws: Draws) -> Estimate:
    """Mean over networks of the late rate."""
    return mean_of(late_rates(draws))


def rate_variance(draws: Draws) -> Estimate:
    """Its variance: ln |gradient| of tied networks spreads by this times lag^2."""
    return variance_of(late_rates(draws))


def mean_square(draws: Draws) -> Estimate:
    """Mean of |gradient|^2 a few steps back."""
    data = draws.measure(TIED, 20_000, FEW_LAYERS + 1, inputs="zero", burn_in=0)
    return mean_of(np.exp(2.0 * data.log_gradient.values[:, -1]))


def fresh_variance(draws: Draws) -> Estimate:
    """Variance of ln |gradient| after many layers of fresh weights."""
    data = draws.measure(FRESH, 500, LAYERS + 1, inputs="zero")
    return variance_of(data.log_gradient.values[:, -1])


CHECKS: tuple[Check, ...] = (
    Statistical(
        "E",
        "tied linear, n = 16: mean late rate, ln of the spectral radius",
        GINIBRE,
        lambda: ginibre_spectral_radius(TIED.hidden_size).mean_log,
        mean_rate,
    ),
    Statistical(
        "E",
        "tied linear, n = 16: variance of the late rate over networks",
        GINIBRE,
        lambda: ginibre_spectral_radius(TIED.hidden_size).sd_log ** 2,
        rate_variance,
    ),
    Statistical(
        "E",
        f"tied linear, n = 16: mean of |gradient|^2 at lag {FEW_LAYERS} (fresh weights: 1)",
        "Isserlis 1918",
        lambda: power_mean_square(TIED.hidden_size, FEW_LAYERS),
        mean_square,
    ),
    Statistical(
        "E",
        f"untied linear, n = 64: variance of ln |gradient| over {LAYERS} layers",
        "Newman 1986",
        lambda: (LAYERS * linear_rate(FRESH.hidden_size, LAYERS).sd) ** 2,
        fresh_variance,
    ),
)
