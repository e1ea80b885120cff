"""Products of matrices by all lanes of a network, for CUDA, tile by tile.

A lane that computes one number loads two for every multiply-add. Here both factors pass through
shared memory, a tile at a time, and a lane keeps a square of 4 x 4 sums in registers: eight numbers
loaded, two loads of four each, serve 16 multiply-adds (Volkov and Demmel 2008, Benchmarking GPUs to
tune dense linear algebra). It is bound by these loads: a multiprocessor does 128 multiply-adds in
the time of loading 32 numbers from shared memory.

Where the output has fewer squares than there are lanes, several lanes share a square: each takes a
part, a slice, of every tile's depth, and their sums are added up at the end.
"""

from __future__ import annotations

import numpy as np
from numba import cuda

from ..precision import real
from .cuda_room import BLOCK, LANES_ACROSS, LANES_DOWN, LEFT_PITCH, RIGHT_PITCH, places
from .cuda_views import reshaped

format = np.dtype("float64")
"""Of shared memory: that of `real`."""

TILES_FROM = places(format)["TILES_FROM"]
DEPTH = places(format)["DEPTH"]


def multiply(rows, matrix, out):
    """Out += rows @ matrix for many rows, (B, J), (J, I) and (B, I)."""
    height, width = out.shape
    across = bits_along(width, min(LANES_ACROSS, cuda.blockDim.x))
    down = bits_along(height, min(LANES_DOWN, cuda.blockDim.x >> across))
    cuda.syncthreads()
    for row in range(0, height, BLOCK << down):
        for column in range(0, width, BLOCK << across):
            sums = tile_product(rows, matrix, row, column, down, across)
            for k in range(BLOCK):
                add_up_slices(sums[0], out[row + k :, column:], down, across)
                sums = sums[1], sums[2], sums[3], sums[0]
    cuda.syncthreads()


def bits_along(size, most):
    """Logarithm of the fewest lanes whose squares reach over a side of the output."""
    bits = 0
    while (1 << bits) < most and (BLOCK << bits) < size:
        bits += 1
    return bits


def tile_product(rows, matrix, row, column, down, across):
    """This lane's share of the product's tile at (row, column): four rows of four sums."""
    room, inner = cuda.shared.array(0, format)[TILES_FROM:], matrix.shape[0]
    left = reshaped(room[: DEPTH * LEFT_PITCH], (DEPTH, LEFT_PITCH))
    right = reshaped(room[DEPTH * LEFT_PITCH :][: DEPTH * RIGHT_PITCH], (DEPTH, RIGHT_PITCH))
    lane = cuda.threadIdx.x
    i, b = lane & ((1 << across) - 1), (lane >> across) & ((1 << down) - 1)
    span = max(1, DEPTH // (cuda.blockDim.x >> (across + down)))
    low = span * (lane >> (across + down))
    zeros = real(0.0), real(0.0), real(0.0), real(0.0)
    sums = zeros, zeros, zeros, zeros
    for start in range(0, inner, DEPTH):
        cuda.syncthreads()
        stage(rows.T, start, row, 2 + down, left)
        stage(matrix, start, column, 2 + across, right)
        cuda.syncthreads()
        for j in range(low, min(low + span, inner - start)):
            x, y = four(left[j], BLOCK * b), four(right[j], BLOCK * i)
            sums = (
                add_scaled(sums[0], x[0], y),
                add_scaled(sums[1], x[1], y),
                add_scaled(sums[2], x[2], y),
                add_scaled(sums[3], x[3], y),
            )
    return sums


def four(row, first):
    """Four neighbouring numbers."""
    return row[first], row[first + 1], row[first + 2], row[first + 3]


def add_scaled(sums, factor, row):
    """Sums + factor row."""
    return (
        sums[0] + factor * row[0],
        sums[1] + factor * row[1],
        sums[2] + factor * row[2],
        sums[3] + factor * row[3],
    )


def stage(source, top, first, bits, tile):
    """Copy rows from `top` on, and 2^bits columns from `first` on, to a tile; zeros beyond.

    Neighbouring lanes read what is neighbouring in memory, the rows or the columns.
    """
    by_rows = source.strides[1] <= source.strides[0]
    for place in range(cuda.threadIdx.x, DEPTH << bits, cuda.blockDim.x):
        if by_rows:
            j, i = place >> bits, place & ((1 << bits) - 1)
        else:
            j, i = place % DEPTH, place // DEPTH
        inside = top + j < source.shape[0] and first + i < source.shape[1]
        tile[j, i] = real(source[top + j, first + i]) if inside else real(0.0)


def add_up_slices(sums, out, down, across):
    """Add one row of every lane's square to `out`, whose first row is the first square's.

    Neighbouring lanes write neighbouring numbers.
    """
    found = cuda.shared.array(0, format)[TILES_FROM:][: BLOCK * cuda.blockDim.x]
    own, bits = BLOCK * cuda.threadIdx.x, 2 + across
    cuda.syncthreads()
    found[own], found[own + 1], found[own + 2], found[own + 3] = sums
    cuda.syncthreads()
    for place in range(cuda.threadIdx.x, 1 << (bits + down), cuda.blockDim.x):
        b, i = BLOCK * (place >> bits), place & ((1 << bits) - 1)
        if b < out.shape[0] and i < out.shape[1]:
            for slice in range(place, found.size, 1 << (bits + down)):
                out[b, i] += found[slice]
