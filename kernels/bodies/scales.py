"""The powers of two of the states: how a group of sequences of any size goes through a step.

A group's state is kept as h 2^k. For |k| up to `SCALE_LIMIT` the cell is evaluated at its true
scale. Beyond, recurrent terms and state enter at 2^+-SCALE_LIMIT times the stored numbers. That is
right to rounding as long as every f is at its asymptote there: homogeneous of degree one, or
constant, in which case f keeps its true size (`keep_constants`). A tiny f is linear; where biases,
inputs or f(0) act beside a tiny state, the step is done at the true scale. An f that is homogeneous
everywhere is evaluated at the stored scale.

Units of one group share its power of two. Where their sizes differ so much that this is wrong, the
functions below return 1, for the lane that has found it:

* beside a state above the limit, a pre-activation between `TINY`, where f is linear, and
  `ASYMPTOTIC`, as of a unit that reads none of the large ones. For gates, and where f(0) is not 0,
  smaller ones count, too. A cell with several slots is always reported: its slots grow apart;
* for f with a kink at zero, a pre-activation that is about to become zero beside others, if its
  derivative is not that at zero.

Where f(0) = 0 an exact zero stays zero at any scale, and is no such case: input terms are divided
by factors so bounded that only a zero becomes zero. (For a kink: as long as weights of one network
do not differ by more than a factor 2^(1000 - MIXED_BELOW), or 2^(149 - MIXED_BELOW) in float32.)
"""

from __future__ import annotations

from ..collective import magnitude, magnitude_of_part, normalise_part, off_range, scale_part
from ..math import power_of_two
from ..precision import (
    APART,
    EXPONENT_BIAS,
    MANTISSA_BITS,
    MIXED_BELOW,
    SCALE_LIMIT,
    real,
)
from ..targets.cpu import barrier, lanes, largest_integer, own_between, section

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


def starts_in_range(size, tape):
    """Whether no initial state needs a power of two; sets their exponents to 0."""
    inside = True
    for c in range(tape.exponent.shape[1]):
        tape.exponent[0, c] = 0
        inside = inside and not off_range(magnitude_of_part(tape.state[0], c * size, size))
    return inside


def match_scales(t, b, recurrent, size, setting, tape):
    """Bring the state and the terms that meet W h to one scale; returns whether units are mixed."""
    terms, scaling = tape.net[t, :recurrent], setting.scaling
    mixed = 0
    for c in range(tape.exponent.shape[1]):
        exponent, low = tape.exponent[t, c], c * size
        if exponent > 0:
            smooth = scaling.homogeneous == 1 and scaling.kink == 0
            factor = power_of_two(-exponent) if smooth else bounded_power(-exponent)
            scale_part(terms, low, size, factor)
        elif exponent < 0 and others_act(t, b, low, size, setting, tape):
            alive = magnitude_of_part(tape.state[t], low, size) > real(0.0)
            if scaling.kink != 0 and exponent < -MIXED_BELOW and alive:
                mixed = max(mixed, any_zero(terms, low, size))
            scale_part(tape.state[t], low, size, power_of_two(exponent))
            tape.exponent[t, c] = 0
        elif exponent < 0 and setting.scaling.gated == 1:  # biases and inputs of gates
            scale_part(terms, low, size, power_of_two(-clip_exponent(exponent)))
    return mixed


def others_act(t, b, low, size, setting, tape):
    """Whether a state of zero would be moved: by inputs, by biases, or by f(0).

    Terms of gates do not. Without a norm, biases are among the terms.
    """
    wiring, net, found = setting.wiring, tape.net[t], real(setting.scaling.origin == 0)
    if wiring.norm != 0:
        return found + magnitude_of_part(net, low, size) + magnitude(b) > real(0.0)
    for p in range(wiring.driving_row.size):
        row = wiring.driving_row[p]
        found += magnitude_of_part(net[row : row + 1], low, size)
    return found > real(0.0)


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
            found = off_asymptote(z, exponent, low, size, setting.scaling)
            mixed = max(mixed, found, 1 if s.shape[0] > 1 else 0)
    return mixed


def off_asymptote(z, exponent, low, size, scaling):
    """1 if this lane has a pre-activation whose f is not the same at the limit and beyond."""
    least, found = power_of_two(TINY + SCALE_LIMIT - exponent), 0
    if scaling.origin == 0 or scaling.gated == 1:  # no zero or tiny number is the same
        least = real(0.0)
        found = any_zero(z, low, size)
    above = any_between(z, low, size, least, real(ASYMPTOTIC))
    below = any_between(z, low, size, real(-ASYMPTOTIC), -least)
    return max(found, above, below)


def leave_scale(t, recurrent, size, setting, tape):
    """Undo `enter_scale`, for states and for what f has made of them."""
    s, new = tape.state[t], tape.state[t + 1]
    for c in range(tape.exponent.shape[1]):
        exponent, low = tape.exponent[t, c], c * size
        factor = power_of_two(-clip_exponent(exponent))
        if exponent != 0:
            scale_part(s, low, size, factor)
        if exponent > SCALE_LIMIT:
            keep_constants(t, c, recurrent, size, factor, setting, tape)
        elif exponent != 0:
            scale_part(new, low, size, factor)


def keep_constants(t, c, recurrent, size, factor, setting, tape):
    """Multiply f by a factor, but keep its true size where it does not depend on a large state.

    These are the f of a normalised network, and every f whose derivatives are all 0. A group that
    has no others, and no skip connection, starts again at the true scale.
    """
    new, dz, ds = tape.state[t + 1], tape.dz[t], tape.ds[t]
    free = setting.wiring.norm != 0
    varying = 0
    barrier()  # a lane has other units here than in a loop over all sequences
    for i in lanes(size):
        varying += 0 if free or is_constant(recurrent, c * size + i, dz, ds) else 1
    if largest_integer(varying) == 0 and setting.skip == real(0.0):
        tape.exponent[t + 1, c] = 0
    else:
        own = bounded_power(-tape.exponent[t, c])
        for i in lanes(size):
            unit = c * size + i
            constant = free or is_constant(recurrent, unit, dz, ds)
            for a in range(new.shape[0]):
                new[a, unit] *= own if constant else factor
    barrier()


def is_constant(recurrent, unit, dz, ds):
    """Whether h' of a unit depends neither on the recurrent terms nor on the state."""
    found = ds[0, 0, unit] == real(0.0)
    for g in range(recurrent):
        found = found and dz[0, g, unit] == real(0.0)
    return found


def divide_state(t, c, size, tape):
    """Divide the state of a group by a power of two if it needs one; returns its size before."""
    exponent = tape.exponent[t, c]  # read before the barriers of what follows
    k, total = normalise_part(tape.state[t], c * size, size)
    # a state of zeros starts again at the true scale, that of the terms to come
    tape.exponent[t, c] = 0 if total == real(0.0) else exponent + k
    return total


def normalise_states(t, recurrent, size, setting, tape):
    """Divide the new states by powers of two where they need one; returns whether mixed."""
    mixed = 0
    for c in range(tape.exponent.shape[1]):
        total = divide_state(t + 1, c, size, tape)
        mixed = max(mixed, lost_signs(t, recurrent, c * size, size, total, setting, tape))
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
    kink = setting.scaling.kink
    if kink == 0:
        return 0
    z, found = tape.net[t, :recurrent], 0
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
