"""Transposed copies and unit vectors."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.kernels import prepare
from gradhorizon.kernels.library import prepare_kernel

PRECISIONS = pytest.mark.parametrize("precision", ["float64", "float32"])


@PRECISIONS
@pytest.mark.parametrize("columns", [1, 5, 16])
@pytest.mark.parametrize("rows", [1, 7, 8, 9, 16, 23])
def test_transpose(rows: int, columns: int, precision: str) -> None:
    matrices = np.arange(3 * rows * columns, dtype=precision).reshape(3, rows, columns)
    for transpose in (prepare.transpose, prepare_kernel("transpose", precision)):
        out = np.full((3, columns, rows), np.nan, precision)
        transpose(matrices, out)
        np.testing.assert_array_equal(out, matrices.swapaxes(1, 2))


@PRECISIONS
def test_unit_length(precision: str) -> None:
    """The norm is 1 and the direction is kept."""
    rows = np.random.default_rng(1).standard_normal((5, 33)).astype(precision)
    expected = rows / np.linalg.norm(rows.astype(float), axis=1, keepdims=True)
    tolerance = 4 * float(np.finfo(precision).eps)
    for normalise in (prepare.to_unit_length, prepare_kernel("to_unit_length", precision)):
        out = rows.copy()
        normalise(out)
        np.testing.assert_allclose(out, expected, rtol=tolerance)
