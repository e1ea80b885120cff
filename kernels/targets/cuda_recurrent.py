"""W h for CUDA: the recurrent weights stay on the chip, and so does h while it is multiplied.

A lane has a column of the matrix, of which neighbouring lanes read neighbouring entries. What all
lanes want at a time, numbers of h, is read four at a time from shared memory: one load for four
multiply-adds.
"""

from __future__ import annotations

import numpy as np
from numba import cuda

from ..precision import real
from .cuda_room import ROWS, places, room
from .cuda_views import at, at_shared, flat, four, here, reshaped

RESIDENT = False
"""Whether `hold` finds room: bound by `specialise`, so that the compiler knows which memory it
reads."""

format = np.dtype("float64")
"""Of shared memory: that of `real`."""

LEFT, KEPT_FROM = map(places(format).get, ("LEFT", "KEPT_FROM"))

TOGETHER = 4
"""Sequences that a lane takes together: an entry of the matrix is read once for all of them."""

SPAN = ROWS // TOGETHER


def hold(matrices):
    """Matrices that serve all steps, copied to the chip if there is room."""
    if not RESIDENT:
        return matrices
    kept = room(format)[KEPT_FROM:][: matrices.size]
    source, lanes, i = flat(matrices), cuda.blockDim.x, cuda.threadIdx.x
    cuda.syncthreads()
    while i + 3 * lanes < source.size:  # four loads are under way together
        a, b = at(source, i), at(source, i + lanes)
        c, d = at(source, i + 2 * lanes), at(source, i + 3 * lanes)
        kept[i], kept[i + lanes] = a, b
        kept[i + 2 * lanes], kept[i + 3 * lanes] = c, d
        i += 4 * lanes
    while i < source.size:
        kept[i] = source[i]
        i += lanes
    cuda.syncthreads()
    return reshaped(kept, matrices.shape)


def add_product(rows, matrix, out, backwards):
    """Out += rows @ matrix: (B J,), (J, I) and (B I,), flat; a matrix that `hold` has returned."""
    if out.size == matrix.shape[1]:
        add_product_of_one(rows, matrix, out)
    else:
        add_product_of_several(rows, matrix, out)


def add_product_of_one(row, matrix, out):
    """The product of a single row, which is staged in shared memory, as much of it as fits."""
    inner, width = here(matrix.shape[0]), here(matrix.shape[1])
    staged = room(format)[LEFT:]
    for low in range(0, inner, ROWS):
        count = min(inner - low, ROWS)
        cuda.syncthreads()
        for j in range(here(cuda.threadIdx.x), count, cuda.blockDim.x):
            staged[j] = row[low + j]
        cuda.syncthreads()
        for i in range(here(cuda.threadIdx.x), width, cuda.blockDim.x):
            out[i] += sum_of_one(staged, flat(matrix), low * width + i, width, count)
    cuda.syncthreads()


def sum_of_one(row, matrix, place, width, count):
    """Sum over j of row[j] times the number of the matrix at `place` + j `width`."""
    a = b = c = d = real(0.0)
    whole, j = count & -4, 0
    while j < whole:
        r, s, t, u = four(row, j)
        a += r * number_of(matrix, place)
        b += s * number_of(matrix, place + width)
        c += t * number_of(matrix, place + 2 * width)
        d += u * number_of(matrix, place + 3 * width)
        place += 4 * width
        j += 4
    while j < count:
        a += at(row, j) * number_of(matrix, place)
        place += width
        j += 1
    return (a + b) + (c + d)


def number_of(matrix, place):
    """A number of what `hold` has returned."""
    return at_shared(matrix, place) if RESIDENT else at(matrix, place)


def add_product_of_several(rows, matrix, out):
    """The product of several rows, `TOGETHER` at a time.

    As many columns as there are lanes at a time; where there are fewer, the lanes of a column share
    its sum, so that each entry of the matrix is read by one lane only.
    """
    inner, width = here(matrix.shape[0]), here(matrix.shape[1])
    for first in range(0, out.size // width, TOGETHER):
        for left in range(0, width, cuda.blockDim.x):
            columns = min(width - left, cuda.blockDim.x)
            for low in range(0, inner, SPAN):
                count = min(inner - low, SPAN)
                stage(rows, first, inner, low, count)
                a, b, c, d = shares_of_four(flat(matrix), low * width + left, width, columns, count)
                add_shares(a, b, c, d, columns, width, first * width + left, out)
    cuda.syncthreads()


def stage(rows, first, inner, low, count):
    """Put numbers of some rows beside each other into shared memory; zeros for rows that lack."""
    staged = room(format)[LEFT:]
    cuda.syncthreads()
    for r in range(TOGETHER):
        place = (first + r) * inner + low
        for j in range(here(cuda.threadIdx.x), count, cuda.blockDim.x):
            staged[TOGETHER * j + r] = at(rows, place + j) if place < rows.size else real(0.0)
    cuda.syncthreads()


def shares_of_four(matrix, place, width, columns, count):
    """What this lane adds to the sums of its column, over its share of what is staged."""
    staged = room(format)[LEFT:]
    shares = here(cuda.blockDim.x) // columns
    share = here(cuda.threadIdx.x) // columns
    a = b = c = d = real(0.0)
    if share < shares:
        j, stop = share * count // shares, (share + 1) * count // shares
        place += j * width + here(cuda.threadIdx.x) - share * columns
        while j < stop:
            r, s, t, u = four(staged, TOGETHER * j)
            entry = number_of(matrix, place)
            a += r * entry
            b += s * entry
            c += t * entry
            d += u * entry
            place += width
            j += 1
    return a, b, c, d


def add_shares(a, b, c, d, columns, width, place, out):
    """Add up the shares of a column's lanes; they meet where the factors were."""
    staged = room(format)[LEFT:]
    lane = here(cuda.threadIdx.x)
    shares, share = here(cuda.blockDim.x) // columns, lane // columns
    column = lane - share * columns
    own = TOGETHER * lane
    cuda.syncthreads()
    staged[own], staged[own + 1], staged[own + 2], staged[own + 3] = a, b, c, d
    cuda.syncthreads()
    if share < shares:
        for r in range(share, TOGETHER, shares):
            if place + r * width < out.size:
                value = real(0.0)
                for other in range(shares):
                    value += at(staged, TOGETHER * (other * columns + column) + r)
                out[place + r * width + column] += value
