"""Operations on whole arrays, by all lanes of a network together.

Each begins and ends with a barrier: what other lanes wrote before is there, what it leaves is there
for all. What they return is the same number in every lane.
"""

from __future__ import annotations

from .math import exponent_of, power_of_two
from .precision import EXPONENT_BIAS, RESCALE_AT, real
from .targets.cpu import barrier, flat, lanes, largest_integer, reshaped, total

FAR = 2**62
"""Beyond every index."""


def fill(array, value):
    """Array = value, everywhere."""
    numbers = flat(array)
    barrier()
    for i in lanes(numbers.size):
        numbers[i] = value
    barrier()


def scale(array, factor):
    """Array *= factor, in place."""
    numbers = flat(array)
    barrier()
    for i in lanes(numbers.size):
        numbers[i] *= factor
    barrier()


def magnitude(array):
    """Sum of absolute values."""
    numbers = flat(array)
    own = real(0.0)
    barrier()
    for i in lanes(numbers.size):
        own += abs(numbers[i])
    return total(own)


def square_norm(array):
    """Sum of squares."""
    numbers = flat(array)
    own = real(0.0)
    barrier()
    for i in lanes(numbers.size):
        own += numbers[i] * numbers[i]
    return total(own)


def scale_part(rows, low, high, factor):
    """Multiply the columns low, ..., high - 1 of all rows by a factor, in place."""
    barrier()
    for a in range(rows.shape[0]):
        row = rows[a]
        for i in lanes(high - low):
            row[low + i] *= factor
    barrier()


def magnitude_of_part(rows, low, high):
    """Sum of the absolute values in the columns low, ..., high - 1 of all rows."""
    own = real(0.0)
    barrier()
    for a in range(rows.shape[0]):
        row = rows[a]
        for i in lanes(high - low):
            own += abs(row[low + i])
    return total(own)


def normalise_part(rows, low, high):
    """Divide the columns low, ..., high - 1 of all rows by a power of two where they need one.

    Returns
    -------
    k : int
        The columns are divided by 2^k, so that their size, the sum of absolute values, is between
        1 and 2; 0 where the size is between 2^-RESCALE_AT and 2^RESCALE_AT already.
    size : real
        The size before.
    """
    size = magnitude_of_part(rows, low, high)
    limit = power_of_two(RESCALE_AT)
    if size > limit or (real(0.0) < size and size * limit < real(1.0)):
        k = exponent_of(size)
        if k <= EXPONENT_BIAS:  # an infinite or NaN state stays what it is
            scale_part(rows, low, high, power_of_two(-k))
            return k, size
    return 0, size


def normalise(array):
    """Divide an array by 2^k if its size has left the safe range; returns k, else 0."""
    k, _ = normalise_part(reshaped(array, (1, array.size)), 0, array.size)
    return k


def first_of_largest(value, index):
    """The smallest index among the lanes whose integer is the largest."""
    top = largest_integer(value)
    return -largest_integer(-index if value == top else -FAR)


def exchange(rows, i, j):
    """Swap two rows of a matrix."""
    if i != j:
        upper, lower = rows[i], rows[j]
        barrier()
        for c in lanes(upper.size):
            upper[c], lower[c] = lower[c], upper[c]
        barrier()
