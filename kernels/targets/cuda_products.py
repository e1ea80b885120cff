"""Matrix products by all lanes of a network, for CUDA, and the matrices that stay on the chip."""

from __future__ import annotations

import numpy as np
from numba import cuda

from ..precision import real
from .cuda_room import places
from .cuda_views import flat, reshaped

RESIDENT = False
"""Whether `hold` finds room: bound by `specialise`, so that the compiler knows which memory it
reads."""

format = np.dtype("float64")
"""Of shared memory: that of `real`."""

KEPT_FROM = places(format)["KEPT_FROM"]


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
