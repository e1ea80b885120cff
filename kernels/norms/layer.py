"""Layer normalisation: statistics of each sequence over the units of a gate."""

from __future__ import annotations

from ..precision import real
from ..targets.cpu import lanes
from .deviation import inverse_deviation, scales


def normalise(x, exponent, norm_scale, unit, gain, work):
    """See `norms.normalise`."""
    units = work.shape[1]
    shrink, epsilon = scales(exponent)
    for b in range(x.size // units):
        row, own = x[b * units : (b + 1) * units], unit[b * units : (b + 1) * units]
        mean = variance = real(0.0)
        for i in lanes(units):
            mean += row[i]
        mean /= real(units)
        for i in lanes(units):
            own[i] = row[i] - mean
            variance += own[i] * own[i]
        inverse = inverse_deviation(variance / real(units), shrink, epsilon)
        gain[b] = norm_scale * inverse
        for i in lanes(units):
            own[i] *= inverse * shrink
            row[i] = norm_scale * own[i]


def project(gradient, unit, gain, work):
    """See `norms.project`."""
    units = work.shape[1]
    for b in range(gradient.size // units):
        row, own = gradient[b * units : (b + 1) * units], unit[b * units : (b + 1) * units]
        mean = along = real(0.0)
        for i in lanes(units):
            mean += row[i]
            along += row[i] * own[i]
        mean /= real(units)
        along /= real(units)
        for i in lanes(units):
            row[i] = gain[b] * (row[i] - mean - along * own[i])
