"""What a single lane does with a row, while the others do the same with theirs."""

from __future__ import annotations

from .math import exponent_of, power_of_two
from .precision import EXPONENT_BIAS, real


def dot(x, y):
    """Inner product."""
    total = real(0.0)
    for i in range(x.size):
        total += x[i] * y[i]
    return total


def size_of(row):
    """Sum of absolute values."""
    total = real(0.0)
    for i in range(row.size):
        total += abs(row[i])
    return total


def rescale(row):
    """Divide a row by 2^k so that its size is between 1 and 2; returns k, 0 for a zero row."""
    size = size_of(row)
    if size > real(0.0):
        k = exponent_of(size)
        if k <= EXPONENT_BIAS:  # an infinite or NaN row stays what it is
            k = min(k, EXPONENT_BIAS - 1)  # 2^-EXPONENT_BIAS is 0 in `power_of_two`
            factor = power_of_two(-k)
            for i in range(row.size):
                row[i] *= factor
            return k
    return 0
