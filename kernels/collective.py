"""Operations on whole arrays, by all lanes of a network together.

Each begins and ends with a barrier: what other lanes wrote before is there, what it leaves is there
for all. What they return is the same number in every lane.
"""

from __future__ import annotations

from .math import exponent_of, power_of_two
from .precision import EXPONENT_BIAS, RESCALE_AT, real
from .targets.cpu import barrier, flat, lanes, largest_integer, total

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


def normalise(array):
    """Divide an array by 2^k if its size has left the safe range; returns k, else 0."""
    size = magnitude(array)
    limit = power_of_two(RESCALE_AT)
    if size > limit or (real(0.0) < size and size * limit < real(1.0)):
        k = exponent_of(size)
        if k <= EXPONENT_BIAS:  # an infinite or NaN state stays what it is
            scale(array, power_of_two(-k))
            return k
    return 0


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
