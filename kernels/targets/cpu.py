"""Primitives whose code differs between targets, for the CPU: one thread runs one network.

Bodies are written for one network as ``for i in lanes(n): ...; barrier()``. Here a single lane
walks through all units and there is nothing to wait for.
"""

from __future__ import annotations

import numpy as np

from ..math import exponent_of, power_of_two
from ..precision import EXPONENT_BIAS, RESCALE_AT, real

lanes = range
"""Units this lane works on."""


def barrier():
    """Wait for the other lanes of the network: there are none."""


def add_product(rows, matrix, out, backwards):
    """Out += rows @ matrix; what it computes, for reading: `product.add_product` is compiled.

    `rows` and `out` are (B J,) and (B I,), the matrix (J, I). `backwards`: in which direction to
    walk through the matrix.
    """
    count = rows.size // matrix.shape[0]
    out += (rows.reshape(count, matrix.shape[0]) @ matrix).reshape(out.size)


def gemm(a, b, out):
    """Out = a @ b through BLAS; the caller keeps BLAS to one thread."""
    np.dot(a, b, out)


def scale(array, factor):
    """Array *= factor, in place."""
    flat = array.reshape(array.size)
    for i in range(flat.size):
        flat[i] *= factor


def magnitude(array):
    """Sum of absolute values."""
    flat = array.reshape(array.size)
    total = real(0.0)
    for i in range(flat.size):
        total += abs(flat[i])
    return total


def square_norm(array):
    """Sum of squares."""
    flat = array.reshape(array.size)
    total = real(0.0)
    for i in range(flat.size):
        total += flat[i] * flat[i]
    return total


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


def normalise_row(row):
    """Divide a row by 2^k so that its size is between 1 and 2; returns k, 0 for a zero row."""
    size = magnitude(row)
    if size > real(0.0):
        k = exponent_of(size)
        if k <= EXPONENT_BIAS:
            scale(row, power_of_two(-k))
            return k
    return 0


def spectral_norm(matrix):
    """Largest singular value."""
    return np.linalg.norm(matrix, 2)


def launch(networks, *arguments):
    """Run `body` for every network of a chunk."""
    for k in range(networks):
        body(k, *arguments)


def body(k, *arguments):
    """What to launch; bound by `specialise`."""
