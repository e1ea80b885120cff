"""The two factors of the terms of a weight gradient, delta (x) row.

Each group of sequences has an exponent at each step. delta is the gradient with respect to W h, U x
or a pre-activation, row the state, the input or 1.
"""

from __future__ import annotations

from ..collective import normalise
from ..math import power_of_two
from ..norms import project
from ..precision import RESCALE_AT, real
from ..targets.cpu import barrier, lanes, largest, reshaped


def collect(first, recurrent, rows, terms, norm, tape, gradient):
    """Fill `gradient.delta` by dL/d(terms), (lag B, len(rows) n).

    It is made of the gradients of the pre-activations `rows`, and needed only where what the
    adjoint sweep left is not in this form already.

    `terms` are the rows of the normalisation to pass; those below `recurrent` hold W h, in units
    of the state's power of two. The gradients of a group get an exponent of their own at each step,
    as they may be far smaller than others of the step.
    """
    if gradient.delta.shape[0] == 0:
        return
    steps, _, size = tape.net.shape
    window, units = steps - first, tape.work.shape[1]
    used, sequences = window * rows.size * size, size // units
    groups = tape.exponent.shape[1]
    members = sequences // groups
    delta = reshaped(gradient.delta[:used], (window * sequences, rows.size * units))
    passed = gradient.passed
    for low in range(window):
        t = first + low
        for g in range(rows.size):
            copy_scaled(tape.net[t, rows[g]], real(1.0), passed)
            barrier()
            if norm != 0:
                unit, gain = tape.normalised[t, terms[g]], tape.gain[t, terms[g]]
                project(norm, passed, unit, gain, tape.work)
                barrier()
            for b in range(sequences):
                above = exponent_above(tape.exponent[t, b // members], norm)
                common = above if last_of(terms) < recurrent else 0
                factor = power_of_two(common - above) if terms[g] < recurrent else real(1.0)
                own = passed[b * units : (b + 1) * units]
                out = delta[low * sequences + b, g * units : (g + 1) * units]
                copy_scaled(own, factor, out)
            barrier()
        for c in range(groups):
            above = exponent_above(tape.exponent[t, c], norm)
            common = above if last_of(terms) < recurrent else 0
            before = gradient.step_exponent[low, c] - common
            start = low * sequences + c * members
            k = normalise(delta[start : start + members])
            gradient.step_exponent[low, c] = before + k


def exponent_above(exponent, norm):
    """The power of two of the terms that the gain of a normalisation was found at."""
    return max(exponent, 0) if norm != 0 else 0


def last_of(rows):
    """The largest row number."""
    last = 0
    for g in range(rows.size):
        last = max(last, rows[g])
    return last


def copy_states(states, sequences, rows):
    """States of one slot, (lag, B n), as rows (lag B, n)."""
    units = rows.shape[1]
    for row in range(rows.shape[0]):
        b = row % sequences
        copy_scaled(states[row // sequences, b * units : (b + 1) * units], real(1.0), rows[row])


def normalise_steps(rows, sequences, exponent, out):
    """Copy rows, those of each group and step divided by 2^k, where k is added to its exponent."""
    for row in range(rows.shape[0]):
        copy_scaled(rows[row], real(1.0), out[row])
    window, groups = exponent.shape
    members = sequences // groups
    for j in range(window):
        for c in range(groups):
            before, start = exponent[j, c], j * sequences + c * members
            exponent[j, c] = before + normalise(out[start : start + members])


def moderate(numbers):
    """Whether all are of a size that can be squared, and the squares multiplied."""
    low, high = power_of_two(-RESCALE_AT), power_of_two(RESCALE_AT)
    outside = real(0.0)
    for i in lanes(numbers.size):
        if not (low <= abs(numbers[i]) and abs(numbers[i]) <= high):
            outside = real(1.0)
    return largest(outside) == real(0.0)


def bring_to_scale(rows, sequences, exponent, largest, out):
    """Out = the rows of each group and step times 2^(exponent - largest)."""
    window, groups = exponent.shape
    members = sequences // groups
    for j in range(window):
        for b in range(sequences):
            # a term above the largest that counts is zero itself
            factor = power_of_two(min(max(exponent[j, b // members] - largest, -2000), 0))
            copy_scaled(rows[j * sequences + b], factor, out[j * sequences + b])


def all_equal(numbers):
    """Whether all are the same number."""
    same = 0
    for i in range(numbers.size):
        same += numbers[i] == numbers[0]
    return same == numbers.size


def copy_reversed(source, out):
    """Out = source, (lag, C), in the other order: by step instead of by lag."""
    window, groups = out.shape
    for j in lanes(window):
        for c in range(groups):
            out[j, c] = source[window - 1 - j, c]


def copy_scaled(source, factor, out):
    """Out = factor * source."""
    for i in lanes(source.size):
        out[i] = factor * source[i]
