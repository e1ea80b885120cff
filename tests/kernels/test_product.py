"""The product of rows with a matrix against its plain definition."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import pytest

from gradhorizon.kernels.library import BINDINGS
from gradhorizon.kernels.specialise import specialise
from gradhorizon.kernels.targets import cpu
from gradhorizon.kernels.targets.product import row_product, rows_product
from gradhorizon.kernels.targets.vectors import VECTOR_BYTES

GUARD = 7.0


@numba.njit(_nrt=False)
def compiled(rows: Any, matrix: Any, out: Any, backwards: bool) -> None:
    rows_product(rows, matrix, out, backwards)


@numba.njit(_nrt=False)
def compiled_one(row: Any, matrix: Any, out: Any, backwards: bool) -> None:
    row_product(row, matrix, out, backwards)


def in_blocks(precision: str) -> Any:
    """`cpu.multiply`, compiled; the largest matrix below is more than one block."""
    assert cpu.BLOCK < 300 * 500
    return specialise(cpu.multiply, f"test_{precision}", **BINDINGS[precision])


def around(lanes: int) -> list[int]:
    """Widths that use every tile, alone and together, and every kind of rest."""
    return sorted(
        {max(k * lanes + d, 1) for k in (0, 1, 2, 3, 4, 7, 8, 15, 16) for d in (-1, 0, 1)}
    )


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("count", [1, 3, 4, 6, 9])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_equals_the_plain_product(precision: str, count: int, backwards: bool) -> None:
    """Every width and depth within J eps sum |a x|; nothing beside `out` is read or written.

    The matrix lies among NaN: a lane that should be masked would spread it.
    """
    generator = np.random.default_rng(0)
    eps = np.finfo(precision).eps
    for width in around(VECTOR_BYTES // np.dtype(precision).itemsize):
        for inner in (1, 2, 7, 8, 13, 64):
            rows = generator.standard_normal(count * inner).astype(precision)
            fenced = np.full(inner * width + 64, np.nan, precision)
            matrix = fenced[32:-32].reshape(inner, width)
            matrix[:] = generator.standard_normal((inner, width))
            around_out = np.full(count * width + 64, GUARD, precision)
            out = around_out[32:-32]
            out[:] = generator.standard_normal(count * width)
            want = out.astype(np.float64)
            cpu.rows_product(rows.astype(np.float64), matrix.astype(np.float64), want, backwards)
            scale = np.abs(out.astype(np.float64))
            cpu.rows_product(abs(rows).astype(float), abs(matrix).astype(float), scale, backwards)
            (compiled_one if count == 1 else compiled)(rows, matrix, out, backwards)
            assert (np.abs(out - want) <= (inner + 1) * eps * scale).all(), (width, inner)
            assert (around_out[:32] == GUARD).all() and (around_out[-32:] == GUARD).all()


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_place_of_a_row_does_not_matter(precision: str) -> None:
    """Equal rows give equal products to the last bit, among four and left over."""
    generator = np.random.default_rng(5)
    for width in around(VECTOR_BYTES // np.dtype(precision).itemsize):
        row, matrix = generator.standard_normal(13), generator.standard_normal((13, width))
        for count in (2, 3, 5, 6, 7, 8, 11):
            rows, out = np.tile(row, (count, 1)).astype(precision), np.zeros((count, width))
            out = out.astype(precision)
            compiled(rows.ravel(), matrix.astype(precision), out.ravel(), False)
            np.testing.assert_array_equal(out, np.broadcast_to(out[0], out.shape))


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_rows_with_gaps(precision: str) -> None:
    """A transposed array, a part of one, and a product in blocks: sums of integers are exact."""
    generator = np.random.default_rng(2)
    for inner, width in ((5, 3), (40, 33), (300, 500)):
        left = generator.integers(-9, 9, (inner + 2, 11)).astype(precision)
        matrix = generator.integers(-9, 9, (inner, width)).astype(precision)
        for rows in (left[1:-1].T, left.T.copy()[:, 1:-1]):
            for multiply in (lambda *a: compiled(*a, False), in_blocks(precision), cpu.multiply):
                out = np.ones((11, width), precision)
                multiply(rows, matrix, out)
                np.testing.assert_array_equal(out, 1 + rows @ matrix)


def test_a_bad_number_stays_in_its_column() -> None:
    """NaN and infinity reach the columns they stand in and no others."""
    for bad in (np.nan, np.inf):
        matrix = np.ones((5, 37))
        matrix[3, 20] = bad
        out = np.zeros(37)
        compiled(np.ones(5), matrix, out, False)
        assert not np.isfinite(out[20]) and (np.delete(out, 20) == 5).all()


def test_the_directions_are_two_orders_of_one_sum() -> None:
    """Sums of integers are exact, so both directions agree to the last bit."""
    generator = np.random.default_rng(1)
    rows = generator.integers(-9, 9, 3 * 50).astype(np.float64)
    matrix = generator.integers(-9, 9, (50, 70)).astype(np.float64)
    ahead, back = np.zeros(3 * 70), np.zeros(3 * 70)
    compiled(rows, matrix, ahead, False)
    compiled(rows, matrix, back, True)
    assert (ahead == back).all() and (ahead == (rows.reshape(3, 50) @ matrix).ravel()).all()


@pytest.mark.parametrize("short", ["float64", "float32"])
def test_parts_of_wider_arrays(short: str) -> None:
    """Columns of a matrix and of the result, rows of a shorter format; nothing beside is read."""
    generator = np.random.default_rng(3)
    rows = generator.integers(-9, 9, (7, 6)).astype(short)
    for width in (8, 40, 13):
        matrix, out = np.full((6, width + 9), np.nan), np.full((7, width + 5), GUARD)
        part, found = matrix[:, 4 : 4 + width], out[:, 2 : 2 + width]
        part[:], found[:] = generator.integers(-9, 9, part.shape), 1
        compiled(rows, part, found, False)
        np.testing.assert_array_equal(found, 1 + rows.astype(float) @ part)
        assert (out[:, :2] == GUARD).all() and (out[:, 2 + width :] == GUARD).all()


def test_refuses_other_formats_and_orders() -> None:
    """A longer format on the left, columns that are neighbours, a flat array with gaps."""
    square = np.ones((4, 4))
    with pytest.raises(numba.TypingError, match="one format"):
        compiled(square, square.astype("f4"), square.astype("f4"), False)
    with pytest.raises(numba.TypingError, match="one format"):
        compiled(square, square, square.astype("f4"), False)
    with pytest.raises(numba.TypingError, match="neighbours"):
        compiled(square, np.asfortranarray(square), square, False)
    with pytest.raises(numba.TypingError, match="contiguous"):
        compiled(np.ones(8)[::2], square, np.ones(4), False)
