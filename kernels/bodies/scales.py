"""The powers of two of the states: how a group of sequences of any size goes through a step.

A group's state is kept as h 2^k. For |k| up to `SCALE_LIMIT` the cell is evaluated at its true
scale. Beyond, recurrent terms and state enter at 2^+-SCALE_LIMIT times the stored numbers. That is
right to rounding as long as every f is at its asymptote there: homogeneous of degree one, or
constant, in which case f keeps its true size (`keep_constants`). A tiny f is linear, or has left
zero at once (f(0) != 0). An f that is homogeneous everywhere is evaluated at the stored scale.

Units of one group share its power of two. Where their sizes differ so much that this is wrong, the
functions below return 1, for the lane that has found it:

* beside a state above the limit, a pre-activation between `TINY`, where f is linear, and
  `ASYMPTOTIC`, as of a unit that reads none of the large ones. For gates, and where f(0) is not 0,
  smaller ones count, too. A cell with several slots is always reported: its slots grow apart;
* for f with a kink at zero, a pre-activation that is about to become zero beside others.

Where f(0) = 0 an exact zero stays zero at any scale, and is no such case: input terms are divided
by factors so bounded that only a zero becomes zero. (For a kink: as long as weights of one network
do not differ by more than a factor 2^(1000 - MIXED_BELOW), or 2^(149 - MIXED_BELOW) in float32.)
"""

from __future__ import annotations

from ..collective import magnitude_of_part, normalise_part, off_range, scale_part
from ..math import power_of_two
from ..precision import (
    APART,
    EXPONENT_BIAS,
    MANTISSA_BITS,
    MIXED_BELOW,
    RESCALE_AT,
    SCALE_LIMIT,
    real,
)
from ..targets.cpu import barrier, lanes, own_between, section

ASYMPTOTIC = 1024.0
"""From this magnitude on every activation that is not periodic is at its asymptote, to rounding."""

TINY = -60
"""Up to 2^TINY every activation without a kink is linear, to rounding."""


def off_scale(exponent):
    """Whether any group of a step has an exponent that is not 0."""
    found = False
    for c in range(exponent.size):
        found = found or exponent[c] != 0
    return found


def bounded_power(k):
    """2^k; for a k too small, the least that leaves numbers of size 1 in the normal range."""
    return power_of_two(max(k, MANTISSA_BITS - EXPONENT_BIAS))


def clip_exponent(exponent):
    """The power of two at which a group is evaluated."""
    return min(max(exponent, -SCALE_LIMIT), SCALE_LIMIT)


def match_scales(t, recurrent, size, setting, tape):
    """Bring the state and the terms that meet W h to one scale; returns whether units are mixed."""
    terms = tape.net[t, :recurrent]
    acting = tape.net[t] if setting.wiring.norm == 0 else terms
    mixed = 0
    for c in range(tape.exponent.shape[1]):
        exponent, low = tape.exponent[t, c], c * size
        if exponent > 0:
            smooth = setting.homogeneous == 1 and setting.kink == 0
            factor = power_of_two(-exponent) if smooth else bounded_power(-exponent)
            scale_part(terms, low, size, factor)
        elif exponent < 0 and magnitude_of_part(acting, low, size) > real(0.0):
            alive = magnitude_of_part(tape.state[t], low, size) > real(0.0)
            if setting.kink == 1 and exponent < -MIXED_BELOW and alive:
                mixed = max(mixed, any_zero(terms, low, size))
            scale_part(tape.state[t], low, size, power_of_two(exponent))
            tape.exponent[t, c] = 0
    return mixed


def enter_scale(t, recurrent, size, setting, tape):
    """Bring states and pre-activations to where the cell is evaluated; returns whether mixed."""
    z, s = tape.net[t, :recurrent], tape.state[t]
    mixed = 0
    for c in range(tape.exponent.shape[1]):
        exponent, low = tape.exponent[t, c], c * size
        effective = clip_exponent(exponent)
        if effective != 0:
            if setting.wiring.norm == 0:
                scale_part(z, low, size, power_of_two(effective))
            scale_part(s, low, size, power_of_two(effective))
        if exponent > SCALE_LIMIT and setting.wiring.norm == 0:
            several = 1 if s.shape[0] > 1 else 0
            least = power_of_two(TINY + SCALE_LIMIT - exponent)
            if setting.origin == 0:  # neither zero nor a tiny number is the same at any scale
                least = real(0.0)
                several = max(several, any_zero(z, low, size))
            found = any_between(z, low, size, least, real(ASYMPTOTIC))
            mixed = max(mixed, several, found)
    return mixed


def keep_constants(t, recurrent, size, setting, tape):
    """Give f its true size where it does not depend on a state above the limit.

    These are the f of a normalised network, and every f whose derivatives are all 0.
    """
    new, dz, ds = tape.state[t + 1], tape.dz[t], tape.ds[t]
    barrier()  # a lane has other units here than in a loop over all sequences
    for c in range(tape.exponent.shape[1]):
        exponent = tape.exponent[t, c]
        if exponent > SCALE_LIMIT:
            factor = bounded_power(SCALE_LIMIT - exponent)
            for i in lanes(size):
                unit = c * size + i
                if setting.wiring.norm != 0 or is_constant(recurrent, unit, dz, ds):
                    new[0, unit] *= factor
    barrier()


def is_constant(recurrent, i, dz, ds):
    """Whether h' of a unit depends neither on the recurrent terms nor on the state."""
    found = ds[0, 0, i] == real(0.0)
    for g in range(recurrent):
        found = found and dz[0, g, i] == real(0.0)
    return found


def leave_scale(t, c, size, tape):
    """Undo `enter_scale` for the states of group c; returns the exponent of the new one."""
    s, new, exponent, low = tape.state[t], tape.state[t + 1], tape.exponent[t, c], c * size
    effective = clip_exponent(exponent)
    if effective != 0:
        scale_part(s, low, size, power_of_two(-effective))
        tiny = exponent < -SCALE_LIMIT
        if tiny and magnitude_of_part(new, low, size) > power_of_two(-RESCALE_AT):
            return 0  # f(0) is not 0: one step leads back from any tiny state
        scale_part(new, low, size, power_of_two(-effective))
    return exponent


def normalise_states(t, recurrent, size, evaluated, setting, tape):
    """Divide the new states by powers of two where they need one; returns whether mixed.

    `evaluated`: whether `enter_scale` has been called.
    """
    mixed = 0
    for c in range(tape.exponent.shape[1]):
        exponent, low = tape.exponent[t, c], c * size
        if evaluated:
            exponent = leave_scale(t, c, size, tape)
        k, total = normalise_part(tape.state[t + 1], low, size)
        # a state of zeros starts again at the true scale, that of the terms to come
        tape.exponent[t + 1, c] = 0 if total == real(0.0) else exponent + k
        mixed = max(mixed, lost_signs(t, recurrent, low, size, total, setting, tape))
    return mixed


def check_range(t, recurrent, size, setting, tape):
    """(whether no new state needs a power of two, whether units are mixed), at the true scale."""
    inside, mixed = True, 0
    for c in range(tape.exponent.shape[1]):
        low = c * size
        total = magnitude_of_part(tape.state[t + 1], low, size)
        tape.exponent[t + 1, c] = 0
        inside = inside and not off_range(total)
        mixed = max(mixed, lost_signs(t, recurrent, low, size, total, setting, tape))
    return inside, mixed


def lost_signs(t, recurrent, low, size, total, setting, tape):
    """1 if this lane has a pre-activation that is about to become zero where its sign counts.

    `total`: the size of the new state.
    """
    if setting.kink == 0:
        return 0
    bound = min(total * power_of_two(-APART), power_of_two(-MIXED_BELOW))
    return any_between(tape.net[t, :recurrent], low, size, real(0.0), bound)


def any_between(rows, low, size, least, bound):
    """1 if least < |x| < bound for a number x of this lane in these columns, else 0."""
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
