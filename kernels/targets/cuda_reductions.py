"""Sums and maxima over the lanes of a network, for CUDA."""

from __future__ import annotations

import numpy as np
from numba import cuda

format = np.dtype("float64")
"""Of shared memory: that of `real`."""

INTEGER = np.dtype("int64")


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
