"""QR with pivoting of columns and rows, which is accurate row by row.

One step's Jacobian may have rows of any size: the derivative of a saturated unit is e^-100. Plain
Householder QR is accurate to eps times the largest row, and would lose the small ones. With the
largest remaining column taken first, and in it the largest entry brought to the top, the error of
every row is relative to that row (Powell and Reid 1969; Cox and Higham 1998).

Matrices are stored by columns: row j of an array here is column j of the matrix.
"""

from __future__ import annotations

from .collective import exchange, fill, first_of_largest, magnitude, scale, square_norm
from .math import exponent_of, power_of_two
from .precision import real
from .rows import dot, size_of
from .targets.cpu import barrier, lanes, sqrt

NEVER = -(2**30)
"""Exponent of a column that is zero."""


def pivoted_qr(columns, weight, q, r, reflector, swaps):
    """A Pi = Q R, with A and Q stored by columns and Pi as swaps of columns.

    Parameters
    ----------
    columns : (n, n)
        A, by columns; consumed.
    weight : (n,)
        Column j counts 2^weight[j] times its size when the largest is chosen; swapped with the
        columns. In a product, the exponents of the rows that R is going to meet: they must stay
        in descending order, or small rows would be added to large ones and lost.
    q : (n, n)
        Receives Q, by columns.
    r : (n, n)
        Receives R, by rows: upper triangular.
    reflector : (n,)
        Work space.
    swaps : (2, n)
        Receives, for every k, the column and the row that were swapped with the k-th, in order.
    """
    n = columns.shape[0]
    fill(r, real(0.0))
    for k in range(n):
        column = largest_column(columns, weight, k)
        exchange(columns, k, column)
        exchange_numbers(weight, k, column)
        exchange(r.T, k, column)
        row = largest_row(columns[k], k)
        exchange(columns[k:].T, k, row)
        swaps[0, k], swaps[1, k] = column, row
        r[k, k] = make_reflector(columns[k], k, reflector)
        barrier()
        for j in lanes(n - k - 1):
            rest = columns[k + 1 + j]
            reflect(columns[k], k, reflector, rest)
            r[k, k + 1 + j] = rest[k]
        barrier()
    for j in lanes(n):
        set_column_of_q(j, columns, reflector, swaps, q[j])
    barrier()


def set_column_of_q(j, columns, reflector, swaps, out):
    """Out = column j of the product of all reflections and row swaps."""
    for i in range(out.size):
        out[i] = real(0.0)
    out[j] = real(1.0)
    for k in range(out.size - 1, -1, -1):
        reflect(columns[k], k, reflector, out)
        other = swaps[1, k]
        out[k], out[other] = out[other], out[k]


def largest_column(columns, weight, k):
    """The first column j >= k of the largest exponent, counting the entries from row k on."""
    top, found = NEVER, k
    for j in lanes(columns.shape[0] - k):
        size = size_of(columns[k + j, k:])
        if size > real(0.0):
            exponent = weight[k + j] + exponent_of(size)
            if exponent > top:
                top, found = exponent, k + j
    return first_of_largest(top, found)


def largest_row(column, k):
    """The first row >= k where a column is largest."""
    found = k
    for i in range(k + 1, column.size):
        if abs(column[i]) > abs(column[found]):
            found = i
    return found


def exchange_numbers(numbers, i, j):
    """Swap two numbers."""
    first, second = numbers[i], numbers[j]
    barrier()
    numbers[i], numbers[j] = second, first
    barrier()


def make_reflector(column, k, reflector):
    """Turn column[k:] into the vector of its Householder reflection; returns R[k, k].

    ``reflector[k]`` gets the factor 2 / |v|^2 (0 for a zero column: no reflection).
    """
    tail = column[k:]
    size = magnitude(tail)
    reflector[k] = real(0.0)
    if size == real(0.0):
        return size
    e = exponent_of(size)
    scale(tail, power_of_two(-e))  # its square must not under- or overflow
    norm, first = sqrt(square_norm(tail)), tail[0]
    alpha = -norm if first > real(0.0) else norm
    barrier()
    tail[0] = first - alpha
    reflector[k] = real(2.0) / square_norm(tail)
    return alpha * power_of_two(e)


def reflect(column, k, reflector, target):
    """Apply the k-th reflection to target[k:]."""
    if reflector[k] != real(0.0):
        v, x = column[k:], target[k:]
        factor = reflector[k] * dot(v, x)
        for i in range(x.size):
            x[i] -= factor * v[i]
