"""The powers of two of the states: how a group of sequences of any size goes through a step.

A group's state is kept as h 2^k. For |k| up to `SCALE_LIMIT` the cell is evaluated at its true
scale. Beyond, recurrent terms and state enter at 2^+-SCALE_LIMIT times the stored numbers. That is
right to rounding as long as every f is at its asymptote there: homogeneous of degree one, or
constant, in which case f keeps its true size (`leave_scale`). f is linear where its argument is
tiny; where biases, inputs or f(0) act beside a tiny state, the step is done at the true scale. An f
that is homogeneous everywhere is evaluated at the stored scale.

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
from .mixed import any_zero, count_zeros, lost_signs, off_asymptote, off_origin


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


def starts_in_range(state, exponent, size):
    """Whether no initial state needs a power of two; sets their exponents to 0."""
    inside = True
    for c in range(exponent.size):
        exponent[c] = 0
        inside = inside and not off_range(magnitude_of_part(state, c * size, size))
    return inside


def match_scales(net, terms, b, s, exponent, size, wiring, scaling):
    """Bring the state s and the other terms of a step to one scale, in place, before W h is added.

    `terms`: the rows of `net` that W h is added to. Where the step is done at the true scale, the
    exponent of the state becomes 0. Returns whether units are mixed.
    """
    mixed = 0
    for c in range(exponent.size):
        k, low = exponent[c], c * size
        if k > 0:
            smooth = scaling.homogeneous == 1 and scaling.kink == 0
            scale_part(terms, low, size, power_of_two(-k) if smooth else bounded_power(-k))
        elif k < 0 and others_act(net, b, low, size, wiring, scaling.origin):
            zeros = count_zeros(s, low, size)
            scale_part(s, low, size, power_of_two(k))
            # the sign of a net is lost where it has no other term; h may be too small for its W
            lost = k < -MIXED_BELOW and zeros < real(s.shape[0] * size)
            if scaling.kink != 0 and (lost or count_zeros(s, low, size) > zeros):
                mixed = max(mixed, any_zero(terms, low, size))
            exponent[c] = 0
        elif k < 0 and scaling.gated == 1:  # biases and inputs of gates
            scale_part(terms, low, size, power_of_two(-clip_exponent(k)))
    return mixed


def others_act(net, b, low, size, wiring, origin):
    """Whether a state of zero would be moved: by inputs, by biases, or by f(0).

    Terms of gates do not; with a norm, inputs of gates are counted as well. Without one, biases are
    among the terms.
    """
    found = real(origin == 0)
    if wiring.norm != 0:
        found += magnitude_of_part(net, low, size)
    for p in range(wiring.driving_row.size):
        row = wiring.driving_row[p]
        if wiring.norm != 0:
            found += magnitude(b[row])
        else:
            found += magnitude_of_part(net[row : row + 1], low, size)
    return found > real(0.0)


def enter_scale(z, s, exponent, size, norm, scaling):
    """Bring states and pre-activations to where the cell is evaluated; returns whether mixed.

    `z`: the pre-activations that hold W h.
    """
    mixed = 0
    for c in range(exponent.size):
        k, low = exponent[c], c * size
        factor = power_of_two(clip_exponent(k))
        if k != 0:
            if norm == 0:
                scale_part(z, low, size, factor)
            scale_part(s, low, size, factor)
        if k > SCALE_LIMIT and norm == 0:
            several = 1 if s.shape[0] > 1 else 0
            mixed = max(mixed, several, off_asymptote(z, k, low, size, scaling))
        if k < -SCALE_LIMIT and norm == 0 and scaling.gated == 0:
            mixed = max(mixed, off_origin(z, low, size, scaling))
    return mixed


def leave_scale(s, new, dz, ds, exponent, following, size, norm, skip):
    """Undo `enter_scale`, for states and for what f has made of them.

    An f that does not depend on a large state keeps its true size. These are the f of a normalised
    network, and every f whose derivatives are all 0. A group that has no others, and no skip
    connection, starts again at the true scale: its exponent in `following` is 0.

    `dz`: the derivatives by the pre-activations that hold W h.
    """
    for c in range(exponent.size):
        k, low = exponent[c], c * size
        factor = power_of_two(-clip_exponent(k))
        if k != 0:
            scale_part(s, low, size, factor)
        if k <= SCALE_LIMIT:
            if k != 0:
                scale_part(new, low, size, factor)
        elif norm == 0 and any_varies(low, size, dz, ds):
            scale_varying(new, low, size, factor, bounded_power(-k), dz, ds)
        elif skip != real(0.0):
            scale_part(new, low, size, bounded_power(-k))
        else:
            following[c] = 0
    barrier()


def any_varies(low, size, dz, ds):
    """Whether an h' of a group depends on the recurrent terms or on the state."""
    found = 0
    barrier()  # a lane has other units here than in a loop over all sequences
    for i in lanes(size):
        found += 0 if is_constant(low + i, dz, ds) else 1
    return largest_integer(found) > 0


def scale_varying(new, low, size, factor, constant_factor, dz, ds):
    """Multiply new states by a factor, those that are constant by another."""
    barrier()
    for i in lanes(size):
        own = constant_factor if is_constant(low + i, dz, ds) else factor
        for a in range(new.shape[0]):
            new[a, low + i] *= own
    barrier()


def is_constant(unit, dz, ds):
    """Whether the derivatives of h' of a unit are all 0."""
    found = ds[0, 0, unit] == real(0.0)
    for g in range(dz.shape[1]):
        found = found and dz[0, g, unit] == real(0.0)
    return found


def divide_state(state, exponent, c, size):
    """Divide the state of a group by a power of two if it needs one; returns its size before."""
    before = exponent[c]  # read before the barriers of what follows
    k, total = normalise_part(state, c * size, size)
    # a state of zeros starts again at the true scale, that of the terms to come
    exponent[c] = 0 if total == real(0.0) else before + k
    return total


def normalise_states(z, new, exponent, size, kink):
    """Divide the new states by powers of two where they need one; returns whether mixed."""
    mixed = 0
    for c in range(exponent.size):
        low, zeros = c * size, count_zeros(new, c * size, size)
        total = divide_state(new, exponent, c, size)
        if kink != 0 and count_zeros(new, low, size) > zeros:
            mixed = 1
        mixed = max(mixed, lost_signs(z, low, size, total, kink))
    return mixed


def check_range(z, new, exponent, size, kink):
    """(whether no new state needs a power of two, whether units are mixed), at the true scale."""
    inside, mixed, every = True, 0, magnitude(new)
    for c in range(exponent.size):
        low, total = c * size, every
        exponent[c] = 0
        if kink == 0 and surely_in_range(new, low, every):
            continue
        if exponent.size > 1:
            total = magnitude_of_part(new, low, size)
        inside = inside and not off_range(total)
        mixed = max(mixed, lost_signs(z, low, size, total, kink))
    return inside, mixed
