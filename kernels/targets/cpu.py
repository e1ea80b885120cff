"""Primitives whose code differs between targets, for the CPU: one thread runs one network.

Bodies are written for one network as ``for i in lanes(n): ...; barrier()``. Here a single lane
walks through all units and there is nothing to wait for.
"""

from __future__ import annotations

import numpy as np

from ..math import exponent_of, power_of_two
from ..precision import EXPONENT_BIAS, RESCALE_AT, real
from .calls import call, of_network

BLOCK = 2**16
"""Numbers of a matrix that `multiply` goes through again and again."""

lanes = range
"""Units this lane works on."""


def barrier():
    """Wait for the other lanes of the network: there are none."""


def add_product(rows, matrix, out, backwards):
    """Out += rows @ matrix; what it computes, for reading: `product.add_product` is compiled.

    `rows` is (B, J) or, flat, (B J,); the matrix (J, I); `out` (B, I) or flat. `backwards`: in
    which direction to walk through the matrix.
    """
    count = rows.size // matrix.shape[0]
    product = rows.reshape(count, matrix.shape[0]) @ matrix
    out += product.reshape(out.shape)


def orthonormalise_panel(panel, diagonal):
    """Modified Gram-Schmidt; what it computes, for reading: that of `panel` is compiled.

    The columns of `panel` become orthonormal, `diagonal` the lengths they had left; a zero column
    stays zero.
    """
    for j in range(diagonal.size):
        diagonal[j] = np.sqrt((panel[:, j] ** 2).sum())
        panel[:, j] *= real(1.0) / diagonal[j] if diagonal[j] != real(0.0) else real(0.0)
        panel[:, j + 1 :] -= np.outer(panel[:, j], panel[:, j] @ panel[:, j + 1 :])


def multiply(rows, matrix, out):
    """Out += rows @ matrix for many rows, (B, J), (J, I) and (B, I).

    As many rows of the matrix at a time as stay in the second-level cache.
    """
    inner, width = matrix.shape
    block = max(1, BLOCK // width)
    for j in range(0, inner, block):
        add_product(rows[:, j : j + block], matrix[j : j + block], out, False)


def flat(array):
    """A contiguous array as one row; `calls.flat` is compiled, and takes no time."""
    return array.reshape(array.size)


def scale(array, factor):
    """Array *= factor, in place."""
    numbers = flat(array)
    for i in range(numbers.size):
        numbers[i] *= factor


def magnitude(array):
    """Sum of absolute values."""
    numbers = flat(array)
    total = real(0.0)
    for i in range(numbers.size):
        total += abs(numbers[i])
    return total


def square_norm(array):
    """Sum of squares."""
    numbers = flat(array)
    total = real(0.0)
    for i in range(numbers.size):
        total += numbers[i] * numbers[i]
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


def launch(networks, bodies, setting, chunk):
    """Run sweeps, one after the other, for every network of a chunk.

    Parameters
    ----------
    networks : int
    bodies : array of int
        Addresses of the compiled sweeps (`calls.address`). A network goes through all of them
        before the next one starts: what one leaves for the next is still in the cache.
    setting : Setting
    chunk : Chunk
    """
    for k in range(networks):
        network = of_network(k, chunk)
        for body in bodies:
            call(body, setting, network)
