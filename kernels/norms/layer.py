"""Layer normalisation: statistics of each sequence over the units of a gate."""

from __future__ import annotations

from ..precision import real
from ..targets.cpu import barrier, lanes, total
from .deviation import inverse_deviation, scales


def normalise(x, exponent, norm_scale, unit, gain, work):
    """See `norms.normalise`."""
    units = work.shape[1]
    for b in range(x.size // units):
        shrink, epsilon = scales(exponent[b])
        row, own = x[b * units : (b + 1) * units], unit[b * units : (b + 1) * units]
        plain = square = real(0.0)
        first = row[0]
        for i in lanes(units):
            own[i] = row[i] - first
            plain += own[i]
        mean = total(plain) / real(units)
        for i in lanes(units):
            own[i] -= mean
            square += own[i] * own[i]
        inverse = inverse_deviation(total(square) / real(units), shrink, epsilon)
        gain[b] = norm_scale * inverse
        for i in lanes(units):
            own[i] *= inverse * shrink
            row[i] = norm_scale * own[i]


def project(gradient, unit, gain, work):
    """See `norms.project`."""
    units = work.shape[1]
    for b in range(gradient.size // units):
        row, own = gradient[b * units : (b + 1) * units], unit[b * units : (b + 1) * units]
        plain = product = real(0.0)
        first = row[0]
        barrier()  # before lane 0 changes row[0]
        for i in lanes(units):
            row[i] -= first
            plain += row[i]
            product += row[i] * own[i]
        mean, along = total(plain) / real(units), total(product) / real(units)
        for i in lanes(units):
            row[i] = gain[b] * (row[i] - mean - along * own[i])
