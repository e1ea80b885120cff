"""Primitives whose code differs between targets, for the CPU: one thread runs one network.

Bodies are written for one network as ``for i in lanes(n): ...; barrier()``. Here a single lane
walks through all units and there is nothing to wait for.
"""

from __future__ import annotations

import numpy as np

from ..contract import UNFINISHED
from ..precision import real
from .calls import call, of_network

BLOCK = 2**16
"""Numbers of a matrix that `multiply` goes through again and again."""

lanes = range
"""Units this lane works on."""

sqrt = np.sqrt
log = np.log


def barrier():
    """Wait for the other lanes of the network: there are none."""


def total(own):
    """Sum over the lanes of what each of them has."""
    return own


def largest(own):
    """The largest of what the lanes have."""
    return own


def largest_integer(own):
    """The largest of the integers that the lanes have."""
    return own


def hold(matrices):
    """Matrices that serve all steps, as near to the lanes as they fit: caches see to it."""
    return matrices


def add_product(rows, matrix, out, backwards):
    """Out += rows @ matrix for the rows of a network's sequences, (B J,), (J, I) and (B I,).

    `backwards`: in which direction to walk through the matrix.
    """
    if out.size == matrix.shape[1]:
        row_product(rows, matrix, out, backwards)
    else:
        add_several(rows, matrix, out, backwards)


def add_several(rows, matrix, out, backwards):
    """`add_product` for more than one row: beside that of one row its code would slow down both."""
    rows_product(rows, matrix, out, backwards)


def row_product(row, matrix, out, backwards):
    """Out += row @ matrix for a single row; what is compiled is in `product`."""
    out += row @ matrix


def rows_product(rows, matrix, out, backwards):
    """Out += rows @ matrix; what it computes, for reading: what is compiled is in `product`.

    `rows` is (B, J) or, flat, (B J,); the matrix (J, I); `out` (B, I) or flat.
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
        rows_product(rows[:, j : j + block], matrix[j : j + block], out, False)


def reshaped(array, shape):
    """A contiguous array in another shape; what is compiled, and takes no time, is in `calls`."""
    return array.reshape(shape)


def flat(array):
    """A contiguous array as one row."""
    return array.reshape(array.size)


def section(row, low, size):
    """The numbers low, ..., low + size - 1 of a row; what is compiled is in `calls`."""
    return row[low : low + size]


def own_magnitude(row, low, size):
    """Sum of the absolute values of row[low], ..., row[low + size - 1] that this lane has.

    Written for reading: `row_part` is compiled in its place.
    """
    own = real(0.0)
    for i in lanes(size):
        own += abs(row[low + i])
    return own


def own_square(row, low, size):
    """Sum of the squares of row[low], ..., row[low + size - 1] that this lane has.

    Written for reading: `row_part` is compiled in its place.
    """
    own = real(0.0)
    for i in lanes(size):
        own += row[low + i] * row[low + i]
    return own


def own_between(row, low, size, least, bound):
    """1 if least < x < bound for a number x of row[low], ... that this lane has, else 0.

    Written for reading: `row_part` is compiled in its place.
    """
    found = 0
    for i in lanes(size):
        found += (least < row[low + i]) & (row[low + i] < bound)
    return min(found, 1)


def spectral_norm(matrix, exponent):
    """Largest singular value; `exponent`, (rows,), is work space of other targets."""
    return np.linalg.norm(matrix, 2)


def launch(networks, bodies, setting, chunk):
    """Run sweeps, one after the other, for every network of a chunk.

    Parameters
    ----------
    networks : int
    bodies : array of int
        Addresses of the compiled sweeps (`calls.address`). A network goes through all of them
        before the next one starts: what one leaves for the next is still in the cache. 0 in the
        place of `forward_scaled`, which is not compiled yet: a network that needs it stops there.
    setting : Setting
    chunk : Chunk
    """
    for k in range(networks):
        network = of_network(k, 0, networks, chunk)
        for body in bodies:
            if body != 0:
                call(body, setting, network)
            elif network.tape.largest_exponent[0] == UNFINISHED:
                break
