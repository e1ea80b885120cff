"""Matrices diag(2^e) X with exponents far outside any format, against arbitrary precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

from gradhorizon.kernels import graded
from gradhorizon.kernels.library import BINDINGS
from gradhorizon.kernels.specialise import specialise

PRECISIONS = pytest.mark.parametrize("precision", ["float64", "float32"])
SPREADS = pytest.mark.parametrize("spread", [0, 3, 30, 55, 300, 3000])
LN2 = float(np.log(2))


@pytest.fixture(autouse=True)
def many_digits() -> Any:
    """8000 bits: enough for any ratio of entries below."""
    with mp.workprec(8000):
        yield


def compiled(function: Callable[..., Any], precision: str) -> Any:
    return specialise(function, f"test_{precision}", **BINDINGS[precision])


def graded_rows(n: int, spread: int, precision: str, seed: int = 0) -> tuple[np.ndarray, Any]:
    """Rows of size 1 to 2 and exponents between -spread and spread."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n, n)).astype(precision)
    _, top = np.frexp(np.abs(rows).sum(axis=1))
    rows = np.ldexp(rows, 1 - top[:, None])
    return rows, rng.integers(-spread, spread + 1, n).astype(np.int32)


def exact_matrix(rows: np.ndarray, exponent: np.ndarray) -> mp.matrix:
    pairs = zip(rows, exponent, strict=True)
    return mp.matrix([[mp.ldexp(float(x), int(e)) for x in row] for row, e in pairs])


def log_singular(rows: np.ndarray, exponent: np.ndarray, precision: str) -> np.ndarray:
    """The kernel's singular values, as sorted logarithms."""
    square, out = np.empty(len(rows), precision), np.empty(len(rows), np.int32)
    compiled(graded.singular_squares, precision)(rows.copy(), exponent.copy(), square, out)
    return np.sort(0.5 * np.log(square.astype(float)) + LN2 * out)[::-1]


def exact_log_singular(matrix: mp.matrix) -> np.ndarray:
    return np.array([float(mp.log(s)) for s in mp.svd_r(matrix, compute_uv=False)])


@PRECISIONS
@SPREADS
def test_singular_values(spread: int, precision: str) -> None:
    """Every singular value to a small multiple of eps, from one end of the spectrum to the other.

    For rows scaled to size 1 the relative error of one-sided Jacobi is bounded by n eps times the
    condition of the scaled rows (Demmel and Veselic 1992), which is computed here.
    """
    rows, exponent = graded_rows(4, spread, precision, seed=spread)
    want = exact_log_singular(exact_matrix(rows, exponent))
    condition = np.linalg.cond(rows.astype(float))
    bound = 4 * len(rows) * condition * float(np.finfo(precision).eps)
    np.testing.assert_allclose(
        log_singular(rows, exponent, precision), want, rtol=1e-15, atol=bound
    )


@PRECISIONS
@pytest.mark.parametrize("apart", [20, 40, 50, 55, 59, 60, 61, 100, 130, 1100])
@pytest.mark.parametrize("cosine", [0.5, 0.02, 1e-3])
def test_two_rows_at_any_angle(cosine: float, apart: int, precision: str) -> None:
    """Rows (1, 0) 2^apart and (c, s): singular values 2^apart and s, up to c^2 4^-apart."""
    sine = np.sqrt(1 - cosine**2)
    rows = np.array([[1, 0], [cosine, sine]], precision)
    exponent = np.array([apart, 0], np.int32)
    want = exact_log_singular(exact_matrix(rows, exponent))
    for order in ([0, 1], [1, 0]):
        found = log_singular(rows[order], exponent[order], precision)
        np.testing.assert_allclose(found, want, rtol=1e-15, atol=8 * float(np.finfo(precision).eps))


@PRECISIONS
@SPREADS
def test_multiply_rows(spread: int, precision: str) -> None:
    """Each row of R diag(2^e) X to n eps of the largest magnitudes that enter it."""
    n = 5
    rows, exponent = graded_rows(n, spread, precision, seed=spread)
    R = np.triu(np.random.default_rng(1).standard_normal((n, n))).astype(precision)
    R[0, 2] = R[1, 4] = 0
    exact_R = exact_matrix(R, np.zeros(n, int))
    want = exact_R * exact_matrix(rows, exponent)
    size = exact_R.apply(abs) * exact_matrix(np.abs(rows), exponent)
    compiled(graded.multiply_rows, precision)(R, rows, exponent, np.empty_like(rows))
    assert ((np.abs(rows).sum(axis=1) >= 1) & (np.abs(rows).sum(axis=1) < 2)).all()
    found, eps = exact_matrix(rows, exponent), float(np.finfo(precision).eps)
    for i in range(n):
        for j in range(n):
            assert float(abs(found[i, j] - want[i, j]) / size[i, j]) < 2 * n * eps


@PRECISIONS
def test_multiply_rows_of_unequal_scales(precision: str) -> None:
    """A zero entry of R times a row of any exponent is zero; so are rows kept apart for ever."""
    for apart in (100, 127, 128, 129, 150, 500, 1022, 1023, 1024, 1025, 2047, 2048, 3072, 9000):
        rows, exponent = np.eye(2, dtype=precision), np.array([0, apart], np.int32)
        R = np.diag([1.5, -1.25]).astype(precision)
        compiled(graded.multiply_rows, precision)(R, rows, exponent, np.empty_like(rows))
        np.testing.assert_array_equal(rows, R, err_msg=str(apart))
        np.testing.assert_array_equal(exponent, [0, apart])


@PRECISIONS
@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1.0, 1e30, 1e300])
def test_multiply_rows_by_extreme_factors(scale: float, precision: str) -> None:
    """Entries of R from 1e-300 to 1e300 (1e-30 to 1e30 in float32), chained beyond any format."""
    if precision == "float32" and not 1e-31 < scale < 1e31:
        pytest.skip("outside the format")
    n, length, rng = 3, 20, np.random.default_rng(2)
    rows, exponent = np.eye(n, dtype=precision), np.zeros(n, np.int32)
    want = mp.eye(n)
    for _ in range(length):
        R = (scale * np.triu(rng.uniform(0.5, 1.5, (n, n)))).astype(precision)
        want = exact_matrix(R, np.zeros(n, int)) * want
        compiled(graded.multiply_rows, precision)(R, rows, exponent, np.empty_like(rows))
    found, bound = exact_matrix(rows, exponent), 4 * n * length * float(np.finfo(precision).eps)
    for i in range(n):
        for j in range(i, n):
            assert abs(float(found[i, j] / want[i, j]) - 1) < bound


@PRECISIONS
def test_norms_of_graded_rows(precision: str) -> None:
    """Frobenius and spectral norm, relative to the common exponent that comes with them."""
    rows, exponent = graded_rows(4, 2000, precision, seed=3)
    want = exact_matrix(rows, exponent)
    square, common = compiled(graded.frobenius_square, precision)(rows, exponent)
    found = 0.5 * np.log(float(square)) + LN2 * common
    rtol = 10 * float(np.finfo(precision).eps)
    assert found == pytest.approx(float(mp.log(mp.mnorm(want, "f"))), rel=rtol)
    scratch = np.empty_like(rows)
    top = compiled(graded.top_singular, precision)(rows, exponent, common, scratch, exponent.copy())
    found = np.log(float(top)) + LN2 * common
    assert found == pytest.approx(exact_log_singular(want)[0], rel=rtol)


@PRECISIONS
def test_a_zero_row_has_no_scale(precision: str) -> None:
    """A row that has become zero must not hide the others, however small they are.

    Products of rank-deficient Jacobians (a dead unit) have one; the exponent that it keeps from
    the time when it was not zero means nothing.
    """
    rows, exponent = np.eye(2, dtype=precision), np.zeros(2, np.int32)
    R = np.array([[0.1, 0.05], [0.0, 0.0]], precision)
    for _ in range(1000):
        compiled(graded.multiply_rows, precision)(R, rows, exponent, np.empty_like(rows))
    square, common = compiled(graded.frobenius_square, precision)(rows, exponent)
    with np.errstate(divide="ignore"):
        found = 0.5 * np.log(float(square)) + LN2 * common
    want = 999 * np.log(float(R[0, 0])) + np.log(np.hypot(*R[0].astype(float)))
    assert found == pytest.approx(want, rel=1e-6)


def test_source_as_plain_python() -> None:
    """The un-compiled source gives the same product and singular values to rounding."""
    rows, exponent = graded_rows(4, 100, "float64")
    exponent = np.sort(exponent)[::-1].copy()  # small rows first would be drowned by large ones
    R = np.triu(np.random.default_rng(4).standard_normal((4, 4)))
    other, other_exponent = rows.copy(), exponent.copy()
    compiled(graded.multiply_rows, "float64")(R, rows, exponent, np.empty_like(rows))
    graded.multiply_rows(R, other, other_exponent, np.empty_like(rows))
    np.testing.assert_allclose(rows, other, rtol=1e-14)
    np.testing.assert_array_equal(exponent, other_exponent)
    square, out = np.empty(4), np.empty(4, np.int32)
    graded.singular_squares(other, other_exponent, square, out)
    plain = np.sort(0.5 * np.log(square) + LN2 * out)[::-1]
    np.testing.assert_allclose(plain, log_singular(rows, exponent, "float64"), rtol=1e-13)
