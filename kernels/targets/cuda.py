"""Primitives whose code differs between targets, for CUDA: a block of threads runs one network.

A lane is a thread. Functions that read or write whole arrays are called by all lanes of a block and
begin and end with a barrier. The names are those of `cpu`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda

from ..collective import fill
from ..graded import make_orthogonal
from ..math import power_of_two
from ..precision import real
from ..rows import dot
from .cuda_views import flat, of_network, reshaped

MOST_LANES = 256
"""Of a block: a power of two, as is any number of lanes.

As many numbers of shared memory serve sums over the lanes. It is asked for at the launch: arrays of
a fixed size would be one for every place that takes in their function."""

KEPT_FROM = 2 * MOST_LANES
"""Where `hold` puts its numbers: after the sums, which may be of twice the width."""

RESIDENT = False
"""Whether `hold` finds room: bound by `specialise`, so that the compiler knows which memory it
reads."""

format = np.dtype("float64")
"""Of shared memory: that of `real`."""

INTEGER = np.dtype("int64")

sqrt = math.sqrt
log = math.log


def lanes(count):
    """Units this lane works on: neighbouring lanes have neighbouring units."""
    return range(cuda.threadIdx.x, count, cuda.blockDim.x)


def barrier():
    """Wait for the other lanes of the network."""
    cuda.syncthreads()


def total(own):
    """Sum over the lanes of what each of them has, in pairs."""
    sums = cuda.shared.array(0, format)
    lane = cuda.threadIdx.x
    cuda.syncthreads()
    sums[lane] = own
    cuda.syncthreads()
    half = cuda.blockDim.x >> 1
    while half > 0:
        if lane < half:
            sums[lane] += sums[lane + half]
        cuda.syncthreads()
        half >>= 1
    return sums[0]


def largest(own):
    """The largest of what the lanes have."""
    return largest_in(cuda.shared.array(0, format), own)


def largest_integer(own):
    """The largest of the integers that the lanes have."""
    return largest_in(cuda.shared.array(0, INTEGER), own)


def largest_in(found, own):
    """The largest of what the lanes have, found in shared memory."""
    lane = cuda.threadIdx.x
    cuda.syncthreads()
    found[lane] = own
    cuda.syncthreads()
    half = cuda.blockDim.x >> 1
    while half > 0:
        if lane < half:
            found[lane] = max(found[lane], found[lane + half])
        cuda.syncthreads()
        half >>= 1
    return found[0]


def hold(matrices):
    """Matrices that serve all steps, copied to the chip if there is room."""
    if not RESIDENT:
        return matrices
    room = cuda.shared.array(0, format)[KEPT_FROM:][: matrices.size]
    source = flat(matrices)
    cuda.syncthreads()
    for i in range(cuda.threadIdx.x, source.size, cuda.blockDim.x):
        room[i] = source[i]
    cuda.syncthreads()
    return reshaped(room, matrices.shape)


def add_product(rows, matrix, out, backwards):
    """Out += rows @ matrix: (B J,), (J, I) and (B I,); a lane for each number of `out`.

    Lanes read neighbouring entries of a row of the matrix, and the same entry of `rows`.
    """
    inner, width = matrix.shape
    cuda.syncthreads()
    for place in range(cuda.threadIdx.x, out.size, cuda.blockDim.x):
        row = place // width
        column, first = place - row * width, row * inner
        even = odd = real(0.0)
        for j in range(0, inner - 1, 2):
            even += rows[first + j] * matrix[j, column]
            odd += rows[first + j + 1] * matrix[j + 1, column]
        if inner & 1:
            even += rows[first + inner - 1] * matrix[inner - 1, column]
        out[place] += even + odd
    cuda.syncthreads()


def multiply(rows, matrix, out):
    """Out += rows @ matrix for many rows, (B, J), (J, I) and (B, I)."""
    inner, width = matrix.shape
    cuda.syncthreads()
    for place in range(cuda.threadIdx.x, rows.shape[0] * width, cuda.blockDim.x):
        row = place // width
        column = place - row * width
        even = odd = real(0.0)
        for j in range(0, inner - 1, 2):
            even += real(rows[row, j]) * matrix[j, column]
            odd += real(rows[row, j + 1]) * matrix[j + 1, column]
        if inner & 1:
            even += real(rows[row, inner - 1]) * matrix[inner - 1, column]
        out[row, column] += even + odd
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


def spectral_norm(matrix, exponent):
    """Largest singular value, of which the rows are consumed."""
    fill(exponent, 0)
    make_orthogonal(matrix, exponent)
    top = real(0.0)
    for i in range(cuda.threadIdx.x, matrix.shape[0], cuda.blockDim.x):
        top = max(top, math.sqrt(dot(matrix[i], matrix[i])) * power_of_two(exponent[i]))
    return largest(top)


def run(networks, setting, chunk):
    """Run the sweeps that are bound to `first`, ..., `sixth` for all networks of a chunk.

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


def nothing(setting, network):
    """In the place of a sweep that is not wanted."""


first = second = third = fourth = fifth = sixth = nothing

PLACES = ("first", "second", "third", "fourth", "fifth", "sixth")

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
        spectral_norm,
    )
} | {"sqrt": sqrt, "log": log, "flat": flat, "reshaped": reshaped}
"""What takes the place of the primitives of `cpu`."""
