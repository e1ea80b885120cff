"""QR with pivoting of columns and rows, which is accurate row by row.

One step's Jacobian may have rows of any size: the derivative of a saturated unit is e^-100. Plain
Householder QR is accurate to eps times the largest row, and would lose the small ones. With the
largest remaining column taken first, and in it the largest entry brought to the top, the error of
every row is relative to that row (Powell and Reid 1969; Cox and Higham 1998).

Matrices are stored by columns: row j of an array here is column j of the matrix.
"""

from __future__ import annotations

import numpy as np

from .math import exponent_of, power_of_two
from .precision import real
from .targets.cpu import magnitude, scale


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
    r[:] = real(0.0)
    for k in range(n):
        swaps[0, k] = largest_column(columns, weight, k)
        exchange(columns, k, swaps[0, k])
        weight[k], weight[swaps[0, k]] = weight[swaps[0, k]], weight[k]
        exchange(r.T, k, swaps[0, k])
        swaps[1, k] = k + np.abs(columns[k, k:]).argmax()
        exchange(columns[k:].T, k, swaps[1, k])
        r[k, k] = make_reflector(columns[k], k, reflector)
        for j in range(k + 1, n):
            reflect(columns[k], k, reflector, columns[j])
            r[k, j] = columns[j, k]
    for j in range(n):
        q[j] = real(0.0)
        q[j, j] = real(1.0)
        for k in range(n - 1, -1, -1):
            reflect(columns[k], k, reflector, q[j])
            other = swaps[1, k]
            q[j, k], q[j, other] = q[j, other], q[j, k]


def largest_column(columns, weight, k):
    """The first column j >= k of the largest exponent, counting the entries from row k on."""
    best, found = k, False
    largest = 0
    for j in range(k, columns.shape[0]):
        size = magnitude(columns[j, k:])
        if size > real(0.0):
            exponent = weight[j] + exponent_of(size)
            if not found or exponent > largest:
                best, largest, found = j, exponent, True
    return best


def exchange(rows, i, j):
    """Swap two rows of a matrix."""
    if i != j:
        for c in range(rows.shape[1]):
            rows[i, c], rows[j, c] = rows[j, c], rows[i, c]


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
    norm = np.sqrt(np.dot(tail, tail))
    alpha = -norm if tail[0] > real(0.0) else norm
    tail[0] -= alpha
    reflector[k] = real(2.0) / np.dot(tail, tail)
    return alpha * power_of_two(e)


def reflect(column, k, reflector, target):
    """Apply the k-th reflection to target[k:]."""
    if reflector[k] != real(0.0):
        v, x = column[k:], target[k:]
        factor = reflector[k] * np.dot(v, x)
        for i in range(x.size):
            x[i] -= factor * v[i]
