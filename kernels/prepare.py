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
            a, b, c, d = source[i], source[i + 1], source[i + 2], source[i + 3]
            e, f, g, h = source[i + 4], source[i + 5], source[i + 6], source[i + 7]
            for j in range(n):
                row = target[j, i : i + 8]
                row[0], row[1], row[2], row[3] = a[j], b[j], c[j], d[j]
                row[4], row[5], row[6], row[7] = e[j], f[j], g[j], h[j]
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
