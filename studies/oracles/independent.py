"""Oracles C and D: untied linear and ReLU nets, whose gradients are exactly known at any width."""

from __future__ import annotations

from math import sqrt

import numpy as np

from ...engine import Array, NetworkSpec
from ..theory import deep_relu_increment, gaussian_product_exponents, mean_field, relu_rate
from .check import Check, Statistical
from .draws import Draws
from .estimates import Estimate, mean_of, median_of, variance_of

LINEAR = NetworkSpec(activation="linear", hidden_size=32, tied=False)
RELU = NetworkSpec(activation="relu", hidden_size=64, weight_scale=sqrt(2.0), tied=False)
LAYERS = 10
FEW_LAYERS = 5
"""So few that the long tail of |gradient|^2 does not govern its mean."""

EXPONENTS = gaussian_product_exponents(LINEAR.hidden_size)
INCREMENT = deep_relu_increment(RELU.hidden_size)
MATRICES = "Newman 1986; Forrester 2013"
HE = "Hanin & Nica 2020"


def increments(draws: Draws, spec: NetworkSpec, networks: int, steps: int) -> Array:
    """Growth of ln |gradient| over single layers, (network, lag): all independent."""
    data = draws.measure(spec, networks, steps, inputs="zero")
    return np.diff(data.log_gradient.values, axis=1)


def leading_exponent(draws: Draws) -> Estimate:
    """Mean growth of the gradient over a layer."""
    rise = increments(draws, LINEAR, 1000, 21)
    return mean_of(rise.ravel(), sqrt(EXPONENTS.step_variance[0]))


def step_variance(draws: Draws) -> Estimate:
    """Variance of the growth over a layer."""
    return variance_of(increments(draws, LINEAR, 1000, 21))


def all_exponents(draws: Draws) -> Estimate:
    """All exponents, in the order of the QR frame, where they are independent (Bartlett 1933)."""
    steps = 51
    data = draws.measure(LINEAR, 300, steps, inputs="zero", products=("lyapunov",))
    found = data.local_exponent.mean("block").values  # blocks are of equal length
    return mean_of(found, np.sqrt(EXPONENTS.step_variance / (steps - 1)))


def log_determinant(draws: Draws) -> Estimate:
    """Sum of the logarithms of a product's singular values, per factor."""
    data = draws.measure(LINEAR, 300, LAYERS + 1, inputs="zero", products=("jacobian",))
    total = data.log_singular_value.values.sum(axis=1) / LAYERS
    return mean_of(total, sqrt(EXPONENTS.step_variance.sum() / LAYERS))


def relu_mean(draws: Draws) -> Estimate:
    """Mean growth of ln |gradient|^2 over a layer."""
    rise = 2.0 * increments(draws, RELU, 1000, 21)
    return mean_of(rise.ravel(), sqrt(INCREMENT.variance))


def relu_variance(draws: Draws) -> Estimate:
    """Variance of that growth."""
    return variance_of(2.0 * increments(draws, RELU, 1000, 21))


def relu_mean_square(draws: Draws) -> Estimate:
    """Mean of |gradient|^2 after a few layers."""
    rise = increments(draws, RELU, 8000, FEW_LAYERS + 1)
    return mean_of(np.exp(2.0 * rise.sum(axis=1)))


def relu_median(draws: Draws) -> Estimate:
    """Rate of the median network."""
    rates = increments(draws, RELU, 4000, LAYERS + 1).mean(axis=1)
    law = relu_rate(RELU.hidden_size, LAYERS)
    return median_of(rates, float(law.density(law.quantile(0.5))))


CHECKS: tuple[Check, ...] = (
    Statistical(
        "C",
        "leading exponent, products of Gaussian 32 x 32 matrices",
        MATRICES,
        lambda: float(EXPONENTS.exponent[0]),
        leading_exponent,
    ),
    Statistical(
        "C",
        "variance of ln R_11 of a factor",
        MATRICES,
        lambda: float(EXPONENTS.step_variance[0]),
        step_variance,
    ),
    Statistical(
        "C",
        "all 32 exponents (means; z from chi^2)",
        MATRICES,
        lambda: EXPONENTS.exponent,
        all_exponents,
    ),
    Statistical(
        "C",
        "sum of the 32 exponents, ln |det|",
        MATRICES,
        lambda: float(EXPONENTS.exponent.sum()),
        log_determinant,
    ),
    Statistical(
        "D",
        "growth of ln |gradient|^2 over a layer, deep ReLU (He), n = 64",
        HE,
        lambda: INCREMENT.mean,
        relu_mean,
    ),
    Statistical(
        "D",
        "variance of ln |gradient|^2 over a layer, deep ReLU (He)",
        HE,
        lambda: INCREMENT.variance,
        relu_variance,
    ),
    Statistical(
        "D",
        "mean of |gradient|^2 after 5 layers, deep ReLU (He)",
        "He et al. 2015",
        lambda: mean_field("relu", weight_scale=RELU.weight_scale).chi_1 ** FEW_LAYERS,
        relu_mean_square,
    ),
    Statistical(
        "D",
        "rate of the median net, 10 layers, deep ReLU (He)",
        HE,
        lambda: float(relu_rate(RELU.hidden_size, LAYERS).quantile(0.5)),
        relu_median,
    ),
)
