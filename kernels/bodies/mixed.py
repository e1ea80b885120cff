"""Units of one group whose sizes differ so much that no power of two serves them all.

The functions below return 1 for a lane that has found one of these:

* beside a state above the limit, a pre-activation between `TINY`, where f is linear, and
  `ASYMPTOTIC`, as of a unit that reads none of the large ones. For gates, and where f(0) is not 0,
  smaller ones count, too. A cell with several slots is always reported: its slots grow apart;
* beside a state below the limit, a pre-activation at which f is not linear;
* for f with a kink at zero, a pre-activation that is about to become zero beside others, if its
  derivative is not that at zero; or a state that becomes zero beside others;
* a variance of a norm that is lost beside a huge state.

Where f(0) = 0 an exact zero stays zero at any scale, and is none of them.
"""

from __future__ import annotations

import numpy as np

from ..math import power_of_two
from ..precision import APART, EXPONENT_BIAS, MANTISSA_BITS, MIXED_BELOW, SCALE_LIMIT, real
from ..targets.cpu import barrier, lanes, own_between, section, total

ASYMPTOTIC = 1024.0
"""From this magnitude on every activation that is not periodic is at its asymptote, to rounding."""

TINY = -60
"""Up to 2^TINY every activation without a kink is linear, to rounding."""


def off_asymptote(z, exponent, low, size, scaling):
    """1 if this lane has a pre-activation whose f is not the same at the limit and beyond."""
    least, found = power_of_two(TINY + SCALE_LIMIT - exponent) / scaling.slope, 0
    if scaling.origin == 0 or scaling.gated == 1:  # no zero or tiny number is the same
        least = real(0.0)
        found = any_zero(z, low, size)
    bound = real(ASYMPTOTIC) / scaling.slope
    above = any_between(z, low, size, least, bound)
    below = any_between(z, low, size, -bound, -least)
    return max(found, above, below)


def off_origin(z, low, size, scaling):
    """1 if this lane has a pre-activation of a tiny state whose f is not linear, as for huge W."""
    bound, largest = power_of_two(-MANTISSA_BITS - 7) / scaling.slope, real(np.inf)
    above = any_between(z, low, size, bound, largest)
    return max(above, any_between(z, low, size, -largest, -bound))


def lost_deviation(gain, norm_scale):
    """1 if this lane has a gain of a norm whose variance is lost beside a huge state.

    Terms that carry a power of two are then too small to be squared, as where W h is 0 beside
    inputs; or all are equal, and EPSILON is too small.
    """
    limit = abs(norm_scale) * power_of_two(EXPONENT_BIAS // 2 - MANTISSA_BITS // 2)
    size, largest = gain.shape[1], real(np.inf)
    above = any_between(gain, 0, size, limit, largest)
    return max(above, any_between(gain, 0, size, -largest, -limit))


def count_zeros(rows, low, size):
    """The numbers in the columns low, ..., low + size - 1 that are 0, of all lanes."""
    own = real(0.0)
    barrier()
    for a in range(rows.shape[0]):
        part = section(rows[a], low, size)
        for i in lanes(size):
            own += real(part[i] == real(0.0))
    return total(own)


def lost_signs(z, low, size, state_size, kink):
    """1 if this lane has a pre-activation that is about to become zero where its sign counts."""
    if kink == 0:
        return 0
    found = 0
    bound = min(state_size * power_of_two(-APART), power_of_two(-MIXED_BELOW))
    if kink != -1:
        found = any_between(z, low, size, real(0.0), bound)
    if kink != 1:
        found = max(found, any_between(z, low, size, -bound, real(0.0)))
    return found


def any_between(rows, low, size, least, bound):
    """1 if least < x < bound for a number x of this lane in these columns, else 0."""
    found = 0
    for a in range(rows.shape[0]):
        found = max(found, own_between(rows[a], low, size, least, bound))
    return found


def any_zero(rows, low, size):
    """1 if a number of this lane in the columns low, ..., low + size - 1 is 0."""
    found = 0
    for a in range(rows.shape[0]):
        part = section(rows[a], low, size)
        for i in lanes(size):
            found += part[i] == real(0.0)
    return min(found, 1)
