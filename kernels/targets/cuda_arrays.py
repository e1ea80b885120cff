"""Kernels that make the arrays of an ensemble on a GPU: a block of threads for each network."""

from __future__ import annotations

import numpy as np
from numba import cuda

from ..prepare import make_unit
from ..random import TILE, transform, uniform_double

format = np.dtype("float64")
NUMBERS_PER_BLOCK = 2
fill_uniform = uniform_double


def fill(key, stream, first_network, scale, out):
    """Fill the rows of `out` like `random.fill`, tile by tile; tiles run over no end here."""
    size = NUMBERS_PER_BLOCK * TILE
    rows, elements = out.shape
    tile = cuda.shared.array(0, format)[:size]
    for row in range(cuda.blockIdx.x, rows, cuda.gridDim.x):
        network = np.uint64(first_network + row)
        for start in range(cuda.blockIdx.y * size, elements, cuda.gridDim.y * size):
            first = start // NUMBERS_PER_BLOCK
            fill_uniform(first, np.uint64(stream), network, np.uint64(key), TILE, tile)
            transform(scale, TILE, tile)
            cuda.syncthreads()
            for i in range(cuda.threadIdx.x, min(size, elements - start), cuda.blockDim.x):
                out[row, start + i] = tile[i]
            cuda.syncthreads()


def transpose(matrices, out):
    """Out[k] = matrices[k] transposed; neighbouring threads write neighbouring numbers."""
    count, rows, columns = matrices.shape
    for k in range(cuda.blockIdx.x, count, cuda.gridDim.x):
        for place in range(cuda.threadIdx.x, rows * columns, cuda.blockDim.x):
            j = place // rows
            i = place - j * rows
            out[k, j, i] = matrices[k, i, j]


def to_unit_length(rows):
    """Divide every row by its Euclidean norm, in place."""
    for k in range(cuda.blockIdx.x, rows.shape[0], cuda.gridDim.x):
        make_unit(rows[k])
