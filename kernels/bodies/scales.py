"""The powers of two of the states: how a group of sequences of any size goes through a step.

A group's state is kept as h 2^k. For |k| up to `SCALE_LIMIT` the cell is evaluated at its true
scale. Beyond, recurrent terms and state enter at 2^+-SCALE_LIMIT times the stored numbers. That is
right to rounding as long as every f is at its asymptote there: homogeneous of degree one, or
constant, in which case f keeps its true size (`keep_constants`). A tiny f is linear; where biases,
inputs or f(0) act beside a tiny state, the step is done at the true scale. An f that is homogeneous
everywhere is evaluated at the stored scale.

Units of one group share its power of two; where that is wrong, functions of `mixed` say so.
"""

from __future__ import annotations

from ..collective import (
    magnitude,
    magnitude_of_part,
    normalise_part,
    off_range,
    scale_part,
    surely_in_range,
)
from ..math import power_of_two
from ..precision import EXPONENT_BIAS, MANTISSA_BITS, MIXED_BELOW, SCALE_LIMIT, real
from ..targets.cpu import barrier, lanes, largest_integer
from .mixed import any_zero, lost_signs, off_asymptote


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
    new, groups = tape.state[t + 1], tape.exponent.shape[1]
    inside, mixed, every = True, 0, magnitude(new)
    for c in range(groups):
        low, total = c * size, every
        tape.exponent[t + 1, c] = 0
        if setting.scaling.kink == 0 and surely_in_range(new, low, every):
            continue
        if groups > 1:
            total = magnitude_of_part(new, low, size)
        inside = inside and not off_range(total)
        mixed = max(mixed, lost_signs(t, recurrent, low, size, total, setting, tape))
    return inside, mixed
