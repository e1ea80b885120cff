"""What is done to drawn arrays before the sweeps read them."""

from __future__ import annotations

from .collective import scale, square_norm
from .precision import real
from .targets.cpu import sqrt


def transpose(matrices, out):
    """Out[k] = matrices[k] transposed; (count, rows, columns).

    Eight rows are read at a time, so that what is written together fills a cache line.
    """
    count, rows, columns = matrices.shape
    for k in range(count):
        source, target = matrices[k], out[k]
        for i in range(0, rows - 7, 8):
            eight = source[i : i + 8]
            for j in range(columns):
                together = target[j, i : i + 8]
                for r in range(8):
                    together[r] = eight[r, j]
        for i in range(rows - rows % 8, rows):
            for j in range(columns):
                target[j, i] = source[i, j]


def to_unit_length(rows):
    """Divide every row by its Euclidean norm, in place."""
    for k in range(rows.shape[0]):
        make_unit(rows[k])


def make_unit(row):
    """Divide a row by its Euclidean norm, in place."""
    scale(row, real(1.0) / sqrt(square_norm(row)))
