"""What is done to drawn arrays before the sweeps read them."""

from __future__ import annotations

import numpy as np

from .precision import real


def transpose(matrices, out):
    """Out[k] = matrices[k] transposed, for square matrices (count, n, n).

    Eight rows are read at a time, so that what is written together fills a cache line.
    """
    count, n, _ = matrices.shape
    for k in range(count):
        source, target = matrices[k], out[k]
        for i in range(0, n - 7, 8):
            rows = source[i : i + 8]
            for j in range(n):
                together = target[j, i : i + 8]
                for r in range(8):
                    together[r] = rows[r, j]
        for i in range(n - n % 8, n):
            for j in range(n):
                target[j, i] = source[i, j]


def to_unit_length(rows):
    """Divide every row by its Euclidean norm, in place."""
    for k in range(rows.shape[0]):
        row = rows[k]
        square = real(0.0)
        for i in range(row.size):
            square += row[i] * row[i]
        factor = real(1.0) / np.sqrt(square)
        for i in range(row.size):
            row[i] *= factor
