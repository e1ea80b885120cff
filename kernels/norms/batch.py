"""Batch normalisation: statistics of each unit over the sequences of the network."""

from __future__ import annotations

from ..precision import real
from ..targets.cpu import lanes
from .deviation import inverse_deviation, scales


def normalise(x, exponent, norm_scale, unit, gain, work):
    """See `norms.normalise`."""
    mean, variance = work[0], work[1]
    units = mean.size
    shrink, epsilon = scales(exponent[0])
    share = real(units) / real(x.size)
    for i in lanes(units):
        mean[i] = variance[i] = real(0.0)
    for b in range(0, x.size, units):
        for i in lanes(units):
            unit[b + i] = x[b + i] - x[i]
            mean[i] += unit[b + i] * share
    for b in range(0, x.size, units):
        for i in lanes(units):
            unit[b + i] -= mean[i]
            variance[i] += unit[b + i] * unit[b + i] * share
    for i in lanes(units):
        inverse = inverse_deviation(variance[i], shrink, epsilon)
        gain[i] = norm_scale * inverse
        variance[i] = inverse * shrink
    for b in range(0, x.size, units):
        for i in lanes(units):
            unit[b + i] *= variance[i]
            x[b + i] = norm_scale * unit[b + i]


def project(gradient, unit, gain, work):
    """See `norms.project`."""
    mean, along = work[0], work[1]
    units = mean.size
    share = real(units) / real(gradient.size)
    for i in lanes(units):
        mean[i] = along[i] = real(0.0)
    # the first sequence last: it is subtracted from all
    for b in range(gradient.size - units, -1, -units):
        for i in lanes(units):
            gradient[b + i] -= gradient[i]
            mean[i] += gradient[b + i] * share
            along[i] += gradient[b + i] * unit[b + i] * share
    for b in range(0, gradient.size, units):
        for i in lanes(units):
            gradient[b + i] = gain[i] * (gradient[b + i] - mean[i] - along[i] * unit[b + i])
