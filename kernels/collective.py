"""Operations on whole arrays, by all lanes of a network together.

Each begins and ends with a barrier: what other lanes wrote before is there, what it leaves is there
for all. What they return is the same number in every lane.
"""

from __future__ import annotations

from .math import exponent_of, power_of_two
from .precision import EXPONENT_BIAS, RESCALE_AT, real
from .targets.cpu import (
    barrier,
    flat,
    lanes,
    largest_integer,
    own_magnitude,
    own_square,
    reshaped,
    section,
    total,
)

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


def scale_part(rows, low, size, factor):
    """Multiply the columns low, ..., low + size - 1 of all rows by a factor, in place."""
    barrier()
    for a in range(rows.shape[0]):
        part = section(rows[a], low, size)
        for i in lanes(size):
            part[i] *= factor
    barrier()


def magnitude_of_part(rows, low, size):
    """Sum of the absolute values in the columns low, ..., low + size - 1 of all rows."""
    own = real(0.0)
    barrier()
    for a in range(rows.shape[0]):
        own += own_magnitude(rows[a], low, size)
    return total(own)


def square_of_part(row, low, size):
    """Sum of the squares of row[low], ..., row[low + size - 1]."""
    if size == row.size:
        return square_norm(row)
    barrier()
    return total(own_square(row, low, size))


def off_range(size):
    """Whether numbers of this size, the sum of their absolute values, need a power of two."""
    limit = power_of_two(RESCALE_AT)
    return size > limit or (real(0.0) < size and size * limit < real(1.0))


def normalise_part(rows, low, size):
    """Divide the columns low, ..., low + size - 1 of all rows by a power of two, if they need one.

    Returns
    -------
    k : int
        The columns are divided by 2^k, so that the sum of their absolute values is between 1 and 2;
        0 where that is between 2^-RESCALE_AT and 2^RESCALE_AT already.
    before : real
        The sum before.
    """
    before = magnitude_of_part(rows, low, size)
    if off_range(before):
        k = exponent_of(before)
        if k <= EXPONENT_BIAS:  # an infinite or NaN state stays what it is
            k = min(k, EXPONENT_BIAS - 1)  # 2^-EXPONENT_BIAS is 0 in `power_of_two`
            scale_part(rows, low, size, power_of_two(-k))
            return k, before
    return 0, before


def surely_in_range(rows, low, total):
    """Whether one number shows that columns from `low` on need no power of two.

    `total`: the size of all columns. One number of a usual size is cheaper to see than a sum.
    """
    limit = power_of_two(RESCALE_AT)
    return total <= limit and abs(rows[0, low]) * limit >= real(1.0)


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
