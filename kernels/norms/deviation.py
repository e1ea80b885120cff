"""The standard deviation that terms are divided by, whatever power of two they carry."""

from __future__ import annotations

from ..math import power_of_two
from ..precision import EXPONENT_BIAS, SCALE_LIMIT, real
from ..targets.cpu import sqrt

EPSILON = 1e-5
"""Added to variances: PyTorch's default."""


def scales(exponent):
    """(shrink, epsilon) for terms x 2^-exponent, see `inverse_deviation`.

    Terms far below EPSILON come out at the scale at which the cell is evaluated.
    """
    shrink = power_of_two(max(min(exponent, 0), -SCALE_LIMIT))
    return shrink, real(EPSILON) * power_of_two(-2 * max(exponent, 0))


def inverse_deviation(variance, shrink, epsilon):
    """1 / sqrt(variance + epsilon), at the terms' true scale or at that of large stored ones."""
    least = power_of_two(1 - EXPONENT_BIAS)  # large terms that are all equal: 0, not 0 / 0
    return real(1.0) / sqrt(max(variance * shrink * shrink + epsilon, least))
