"""Sums and maxima over the lanes of a network, for CUDA.

A warp combines its numbers in registers, in pairs of lanes that both get the result: sums and
maxima of two numbers do not depend on their order, so that all lanes end with the same bits. The
warps then meet in shared memory.
"""

from __future__ import annotations

import numpy as np
from numba import cuda

from .cuda_views import here
from .cuda_warp import WARP, partner, sum_of, wait_for_warp

format = np.dtype("float64")
"""Of shared memory: that of `real`."""

INTEGER = np.dtype("int64")


def total(own):
    """Sum over the lanes of what each of them has."""
    return over_lanes(add, cuda.shared.array(0, format), own)


def largest(own):
    """The largest of what the lanes have."""
    return over_lanes(larger, cuda.shared.array(0, format), own)


def largest_integer(own):
    """The largest of the integers that the lanes have."""
    return over_lanes(larger, cuda.shared.array(0, INTEGER), own)


def add(a, b):
    """A + b."""
    return sum_of(a, b)


def larger(a, b):
    """The larger one."""
    return max(a, b)


def over_lanes(combine, room, own):
    """Combine what the lanes have, in pairs; a barrier for all that they wrote before.

    `room` is shared memory, for a number of each warp.
    """
    distance = WARP >> 1
    while distance > 0:
        own = combine(own, partner(own, distance, room))
        distance >>= 1
    warps, lane = here(cuda.blockDim.x) // WARP, here(cuda.threadIdx.x)
    if warps == 1:
        wait_for_warp()
        return own
    cuda.syncthreads()  # others may still read what the last reduction left
    if lane % WARP == 0:
        room[lane // WARP] = own
    cuda.syncthreads()
    own = room[0]
    for warp in range(1, warps):
        own = combine(own, room[warp])
    return own
