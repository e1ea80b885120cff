"""Units of one group whose sizes differ so much that no power of two serves them all.

The functions below return 1 for a lane that has found one of these:

* beside a state above the limit, a pre-activation between `TINY`, where f is linear, and
  `ASYMPTOTIC`, as of a unit that reads none of the large ones. For gates, and where f(0) is not 0,
  smaller ones count, too. A cell with several slots is always reported: its slots grow apart;
* for f with a kink at zero, a pre-activation that is about to become zero beside others, if its
  derivative is not that at zero.

Where f(0) = 0 an exact zero stays zero at any scale, and is none of them: input terms are divided
by factors so bounded that only a zero becomes zero. (For a kink: as long as weights of one network
do not differ by more than a factor 2^(1000 - MIXED_BELOW), or 2^(149 - MIXED_BELOW) in float32.)
"""

from __future__ import annotations

from ..math import power_of_two
from ..precision import APART, MIXED_BELOW, SCALE_LIMIT, real
from ..targets.cpu import lanes, own_between, section

ASYMPTOTIC = 1024.0
"""From this magnitude on every activation that is not periodic is at its asymptote, to rounding."""

TINY = -60
"""Up to 2^TINY every activation without a kink is linear, to rounding."""


def off_asymptote(z, exponent, low, size, scaling):
    """1 if this lane has a pre-activation whose f is not the same at the limit and beyond."""
    least, found = power_of_two(TINY + SCALE_LIMIT - exponent), 0
    if scaling.origin == 0 or scaling.gated == 1:  # no zero or tiny number is the same
        least = real(0.0)
        found = any_zero(z, low, size)
    above = any_between(z, low, size, least, real(ASYMPTOTIC))
    below = any_between(z, low, size, real(-ASYMPTOTIC), -least)
    return max(found, above, below)


def lost_signs(z, low, size, total, kink):
    """1 if this lane has a pre-activation that is about to become zero where its sign counts.

    `total`: the size of the new state.
    """
    if kink == 0:
        return 0
    found = 0
    bound = min(total * power_of_two(-APART), power_of_two(-MIXED_BELOW))
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
