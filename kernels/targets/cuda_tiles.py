"""Products of matrices by all lanes of a network, for CUDA, tile by tile.

A lane that computes one number loads two for every multiply-add. Here both factors pass through
shared memory, a tile at a time, and a lane keeps a square of 4 x 4 sums in registers: two loads of
four numbers each serve 16 multiply-adds (Volkov and Demmel 2008, Benchmarking GPUs to tune dense
linear algebra). It is bound by these loads: a multiprocessor does 128 multiply-adds in the time of
loading 32 numbers from shared memory.

Where the output has fewer squares than there are lanes, several lanes share a square: each takes a
part of the terms, and their sums are added up at the end.
"""

from __future__ import annotations

import numpy as np
from numba import cuda

from ..precision import real
from .cuda_room import BLOCK, LANES_ACROSS, LANES_DOWN, LEFT_PITCH, RIGHT_PITCH, places, room
from .cuda_views import four, here

format = np.dtype("float64")
"""Of shared memory: that of `real`."""

LEFT, RIGHT, DEPTH = map(places(format).get, ("LEFT", "RIGHT", "DEPTH"))
"""Where the tiles of the factors are, and how many numbers of a sum they hold."""

index = np.uint64
"""An index of this type is not asked whether it is negative."""


def multiply(rows, matrix, out):
    """Out += rows @ matrix for many rows, (B, J), (J, I) and (B, I).

    It begins with the barrier of the first tile's first step.
    """
    height, width = here(out.shape[0]), here(out.shape[1])
    layout = layout_for(height, width)
    down, across = layout
    row = 0
    while row < height:
        column = 0
        while column < width:
            add_tile(rows, matrix, row, column, layout, out)
            column += BLOCK << across
        row += BLOCK << down
    cuda.syncthreads()


def layout_for(height, width):
    """(down, across): 2^down by 2^across lanes cover a tile; the others share their squares."""
    lanes = cuda.blockDim.x
    across = bits_for(min((width + BLOCK - 1) // BLOCK, LANES_ACROSS, lanes))
    down = bits_for(min((height + BLOCK - 1) // BLOCK, LANES_DOWN, lanes >> across))
    return down, across


def bits_for(count):
    """The logarithm of the next power of two."""
    bits = 0
    while 1 << bits < count:
        bits += 1
    return bits


def add_tile(rows, matrix, row, column, layout, out):
    """Add to the tile of `out` at (row, column), (BLOCK 2^down, BLOCK 2^across)."""
    zeros = real(0.0), real(0.0), real(0.0), real(0.0)
    sums = zeros, zeros, zeros, zeros
    start = 0
    while start < matrix.shape[0]:
        cuda.syncthreads()
        stage(rows, row, matrix, column, start, layout)
        cuda.syncthreads()
        sums = add_products(min(DEPTH, matrix.shape[0] - start), layout, sums)
        start += DEPTH
    for k in range(min(BLOCK, out.shape[0] - row)):
        add_up(sums[0], row + k, column, layout, out)
        sums = sums[1], sums[2], sums[3], sums[0]


def stage(rows, row, matrix, column, start, layout):
    """Copy what a step wants of both factors to shared memory, the left one with its rows down.

    Neighbouring lanes read neighbouring numbers, in whichever direction `rows` has them. What is
    beyond the end of a factor is left out: no sum that counts has a term of it.
    """
    down, across = layout
    turned = rows.strides[0] < rows.strides[1]
    # views of one type: a single loop for both directions takes fewer registers
    source = rows[:, :].T if turned else rows[:, :]
    top, first = (start, row) if turned else (row, start)
    height, bits = (DEPTH, 2 + down) if turned else (BLOCK << down, bits_for(DEPTH))
    pitches = (LEFT_PITCH, 1) if turned else (1, LEFT_PITCH)
    copy(source, top, first, height, bits, LEFT, pitches)
    copy(matrix, start, column, DEPTH, 2 + across, RIGHT, (RIGHT_PITCH, 1))


def copy(source, top, first, height, bits, place, pitches):
    """Copy (height, 2^bits) numbers from (top, first) on; two at a time are on their way."""
    tile, lane, lanes = room(format), here(cuda.threadIdx.x), cuda.blockDim.x
    height, width = min(height, source.shape[0] - top), min(1 << bits, source.shape[1] - first)
    step, i = max(1, lanes >> bits), lane & ((1 << bits) - 1)
    down, across = pitches
    while i < width:
        j, column = top + (lane >> bits), index(first + i)
        at = place + (lane >> bits) * down + i * across
        end = place + height * down + i * across
        while at + step * down < end:
            a, b = source[index(j), column], source[index(j + step), column]
            tile[index(at)], tile[index(at + step * down)] = real(a), real(b)
            j += 2 * step
            at += 2 * step * down
        if at < end:
            tile[index(at)] = real(source[index(j), column])
        i += lanes


def add_products(depth, layout, sums):
    """Add what the staged parts of the factors give for the square of this lane."""
    down, across = layout
    tile, lane = room(format), here(cuda.threadIdx.x)
    part, parts = lane >> (down + across), cuda.blockDim.x >> (down + across)
    below = LEFT + BLOCK * (lane >> across & (1 << down) - 1)
    x, end = below + part * LEFT_PITCH, below + depth * LEFT_PITCH
    y = RIGHT + part * RIGHT_PITCH + BLOCK * (lane & (1 << across) - 1)
    while x < end:
        left, right = four(tile, x), four(tile, y)
        sums = (
            add_scaled(sums[0], left[0], right),
            add_scaled(sums[1], left[1], right),
            add_scaled(sums[2], left[2], right),
            add_scaled(sums[3], left[3], right),
        )
        x += parts * LEFT_PITCH
        y += parts * RIGHT_PITCH
    return sums


def add_scaled(sums, factor, row):
    """Sums + factor row."""
    return (
        sums[0] + factor * row[0],
        sums[1] + factor * row[1],
        sums[2] + factor * row[2],
        sums[3] + factor * row[3],
    )


def add_up(sums, row, column, layout, out):
    """Add one row of every square to `out`: row `row`, and every fourth one after it.

    Lanes that share a square are added up, and neighbouring lanes write neighbouring numbers.
    """
    down, across = layout
    found, lane, bits = room(format), here(cuda.threadIdx.x), 2 + across
    own, size = LEFT + BLOCK * lane, 1 << (bits + down)
    cuda.syncthreads()
    found[index(own)], found[index(own + 1)] = sums[0], sums[1]
    found[index(own + 2)], found[index(own + 3)] = sums[2], sums[3]
    cuda.syncthreads()
    place = lane
    while place < size:
        b, i = row + BLOCK * (place >> bits), column + (place & ((1 << bits) - 1))
        if b < out.shape[0] and i < out.shape[1]:
            total, part = real(0.0), place
            while part < BLOCK * cuda.blockDim.x:
                total += found[index(LEFT + part)]
                part += size
            out[index(b), index(i)] += total
        place += cuda.blockDim.x
