"""Primitives whose code differs between targets, for CUDA: a block of threads runs one network.

A lane is a thread. Functions that read or write whole arrays are called by all lanes of a block and
begin and end with a barrier. The names are those of `cpu`.
"""

from __future__ import annotations

import math

from numba import cuda

from ..collective import fill
from ..graded import make_orthogonal
from ..math import power_of_two
from ..precision import real
from ..rows import dot
from .cuda_recurrent import add_product, hold
from .cuda_reductions import largest, largest_integer, total
from .cuda_tiles import multiply
from .cuda_views import flat, here, of_network, reshaped, section

sqrt = math.sqrt
log = math.log


def lanes(count):
    """Units this lane works on: neighbouring lanes have neighbouring units.

    Were the lane's number known to be the same all along, the bounds of all loops of a sweep would
    be computed in advance, and stay in registers: some 60 of them.
    """
    return range(here(cuda.threadIdx.x), count, cuda.blockDim.x)


def barrier():
    """Wait for the other lanes of the network."""
    cuda.syncthreads()


def orthonormalise_panel(panel, diagonal):
    """Modified Gram-Schmidt of a few columns; a zero column stays zero."""
    rows, columns = panel.shape
    for j in range(columns):
        own = real(0.0)
        cuda.syncthreads()
        for r in range(cuda.threadIdx.x, rows, cuda.blockDim.x):
            own += panel[r, j] * panel[r, j]
        length = math.sqrt(total(own))
        diagonal[j] = length
        factor = real(1.0) / length if length != real(0.0) else real(0.0)
        for r in range(cuda.threadIdx.x, rows, cuda.blockDim.x):
            panel[r, j] *= factor
        for c in range(j + 1, columns):
            own = real(0.0)
            for r in range(cuda.threadIdx.x, rows, cuda.blockDim.x):
                own += panel[r, j] * panel[r, c]
            overlap = total(own)
            for r in range(cuda.threadIdx.x, rows, cuda.blockDim.x):
                panel[r, c] -= overlap * panel[r, j]
    cuda.syncthreads()


def own_magnitude(row, low, size):
    """Sum of the absolute values of row[low], ..., row[low + size - 1] that this lane has."""
    part, own = section(row, low, size), real(0.0)
    for i in lanes(size):
        own += abs(part[i])
    return own


def own_square(row, low, size):
    """Sum of the squares of row[low], ..., row[low + size - 1] that this lane has."""
    part, own = section(row, low, size), real(0.0)
    for i in lanes(size):
        own += part[i] * part[i]
    return own


def own_between(row, low, size, least, bound):
    """1 if least < x < bound for a number x of row[low], ... that this lane has, else 0."""
    part, found = section(row, low, size), 0
    for i in lanes(size):
        found = 1 if least < part[i] and part[i] < bound else found
    return found


def spectral_norm(matrix, exponent):
    """Largest singular value, of which the rows are consumed."""
    fill(exponent, 0)
    make_orthogonal(matrix, exponent)
    top = real(0.0)
    for i in range(cuda.threadIdx.x, matrix.shape[0], cuda.blockDim.x):
        top = max(top, math.sqrt(dot(matrix[i], matrix[i])) * power_of_two(exponent[i]))
    return largest(top)


def run(networks, setting, chunk):
    """Run the sweeps that are bound to `first`, ..., `seventh` for all networks of a chunk.

    A block takes one network after the other through all of them, so that one tape for each block
    is enough.
    """
    for k in range(cuda.blockIdx.x, networks, cuda.gridDim.x):
        network = of_network(k, cuda.blockIdx.x, networks, chunk)
        first(setting, network)
        cuda.syncthreads()
        second(setting, network)
        cuda.syncthreads()
        third(setting, network)
        cuda.syncthreads()
        fourth(setting, network)
        cuda.syncthreads()
        fifth(setting, network)
        cuda.syncthreads()
        sixth(setting, network)
        cuda.syncthreads()
        seventh(setting, network)
        cuda.syncthreads()


def nothing(setting, network):
    """In the place of a sweep that is not wanted."""


first = second = third = fourth = fifth = sixth = seventh = nothing

PLACES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")

PRIMITIVES = {
    function.__name__: function
    for function in (
        lanes,
        barrier,
        total,
        largest,
        largest_integer,
        hold,
        add_product,
        multiply,
        orthonormalise_panel,
        own_magnitude,
        own_square,
        own_between,
        spectral_norm,
    )
} | {"sqrt": sqrt, "log": log, "flat": flat, "reshaped": reshaped, "section": section}
"""What takes the place of the primitives of `cpu`."""
