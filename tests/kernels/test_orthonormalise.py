"""Q R of frames: against exact arithmetic, row by row where rows differ, and exact zeros."""

from __future__ import annotations

from functools import reduce
from typing import Any

import mpmath as mp
import numba
import numpy as np
import pytest

from gradhorizon.kernels import gram_schmidt, householder
from gradhorizon.kernels.gram_schmidt import LANES
from gradhorizon.kernels.library import BINDINGS
from gradhorizon.kernels.specialise import specialise
from gradhorizon.kernels.targets import cpu
from gradhorizon.kernels.targets.panel import orthonormalise_panel

WAYS = {"gram_schmidt": gram_schmidt.gram_schmidt, "householder": householder.householder}
EPS = float(np.finfo(float).eps)
SHAPES = pytest.mark.parametrize("rows, columns", [(1, 1), (5, 3), (8, 8), (12, 9), (33, 33)])


@numba.njit(_nrt=False)
def compiled_panel(panel: Any, diagonal: Any) -> None:
    orthonormalise_panel(panel, diagonal)


def framed(columns: np.ndarray) -> np.ndarray:
    """Columns among others of zeros, in rows that are longer still."""
    rows, count = columns.shape
    width = -(-count // LANES) * LANES
    frame = np.full((rows, width + LANES), np.nan)
    frame[:, :width] = 0
    frame[:, :count] = columns
    return frame


def decompose(name: str, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q and diag(R) by one of the two ways."""
    frame, (rows, count) = framed(columns), columns.shape
    width = frame.shape[1] - LANES
    kernel = specialise(WAYS[name], "test", **BINDINGS["float64"])
    diagonal, overlap = np.full(width, np.nan), np.full((LANES, width), np.nan)
    if name == "gram_schmidt":
        kernel(frame, diagonal, overlap)
        q = frame
    else:
        q = np.full_like(frame, np.nan)
        swaps = np.empty((2, rows), np.int32)
        reflections = np.full((rows, rows), np.nan)
        kernel(frame, q, diagonal, reflections, swaps, overlap)
    assert np.isnan(q[:, width:]).all()
    assert (q[:, count:width] == 0).all() and (diagonal[count:] == 0).all()
    return q[:, :count], diagonal[:count]


def exact_lengths(columns: np.ndarray) -> np.ndarray:
    """R_ii in 400 digits, by the definition: what is left of a column beside the earlier ones."""
    with mp.workdps(400):
        basis, lengths = [], []
        for column in columns.T.tolist():
            left = mp.matrix(column)
            for q in basis:
                left -= (q.T * left)[0] * q
            lengths.append(mp.norm(left))
            basis.append(left / lengths[-1])
        return np.array([float(length) for length in lengths])


@pytest.mark.parametrize("name", ["gram_schmidt", "householder"])
@SHAPES
def test_factorisation(rows: int, columns: int, name: str) -> None:
    """Q orthonormal, Q^T A upper triangular, R_ii exact to a few eps times their ratio."""
    a = np.random.default_rng(rows).standard_normal((rows, columns))
    q, diagonal = decompose(name, a)
    want = exact_lengths(a)
    ratio = (np.linalg.norm(a, axis=0) / want).max()
    tolerance = 20 * rows * ratio * EPS
    np.testing.assert_allclose(diagonal, want, rtol=tolerance)
    np.testing.assert_allclose(q.T @ q, np.eye(columns), atol=tolerance)
    r = q.T @ a
    np.testing.assert_allclose(np.tril(r, -1), 0, atol=tolerance * np.abs(a).max())
    np.testing.assert_allclose(np.abs(np.diag(r)), want, rtol=tolerance)


@pytest.mark.parametrize("rows", [1, 3, 4, 17])
def test_panel_equals_the_plain_one(rows: int) -> None:
    """The vector instructions against their description, some columns zero or dependent."""
    panel = np.random.default_rng(rows).standard_normal((rows, LANES))
    panel[:, [1, 5]] = 0
    ours, plain = framed(panel), panel.copy()
    diagonal, want = np.empty(LANES), np.empty(LANES)
    compiled_panel(ours[:, :LANES], diagonal)
    cpu.orthonormalise_panel(plain, want)
    independent = min(rows, LANES - 2)
    there = [c for c in range(LANES) if c not in (1, 5)][:independent]
    np.testing.assert_allclose(diagonal[there], want[there], rtol=1e-12)
    np.testing.assert_allclose(ours[:, there], plain[:, there], atol=1e-12)
    assert (diagonal[[1, 5]] == 0).all() and (ours[:, [1, 5]] == 0).all()


@pytest.mark.parametrize("spread", [20.0, 100.0, 250.0])
def test_householder_row_by_row(spread: float) -> None:
    """Rows over 10^-spread..10^spread, as where units saturate: R_ii to a relative error of n eps.

    Gram-Schmidt loses them: their ratio exceeds 1 / eps.
    """
    n, rng = 9, np.random.default_rng(3)
    sizes = 10.0 ** rng.uniform(-spread, spread / 10, n)
    a = sizes[:, None] * rng.standard_normal((n, n))
    want = exact_lengths(a)
    _, diagonal = decompose("householder", a)
    np.testing.assert_allclose(diagonal, want, rtol=1e3 * n * EPS)
    assert (np.linalg.norm(a, axis=0) / want).max() > 1e9


@pytest.mark.parametrize("name", ["gram_schmidt", "householder"])
def test_zero_columns_stay_zero(name: str) -> None:
    """A dead direction takes nothing from the others."""
    a = np.random.default_rng(1).standard_normal((11, 10))
    a[:, [0, 4, 9]] = 0
    q, diagonal = decompose(name, a)
    alive = [c for c in range(10) if c not in (0, 4, 9)]
    assert (diagonal[[0, 4, 9]] == 0).all() and (q[:, [0, 4, 9]] == 0).all()
    np.testing.assert_allclose(diagonal[alive], exact_lengths(a[:, alive]), rtol=1e-12)


def test_householder_finds_the_rank() -> None:
    """Columns of a product of rank 4 beside the first four: zero, or told by the condition.

    Where rows differ in size, rounding errors of the first four grow by their condition.
    """
    rng = np.random.default_rng(2)
    a = rng.standard_normal((12, 4)) @ rng.standard_normal((4, 9))
    q, diagonal = decompose("householder", a)
    assert (diagonal[:4] > 0).all() and (diagonal[4:] == 0).all()
    np.testing.assert_allclose(q[:, :4].T @ q[:, :4], np.eye(4), atol=1e-13)
    assert (q[:, 4:] == 0).all()
    graded = 10.0 ** np.arange(-60, 60, 10)[:, None] * a
    assert 1e12 < condition(graded) <= 1 / householder.NOISE
    assert condition(graded[:, :4]) < 1e3


def condition(columns: np.ndarray) -> float:
    """What Householder's way reports."""
    frame, rows = framed(columns), len(columns)
    width = frame.shape[1] - LANES
    kernel = specialise(householder.householder, "test", **BINDINGS["float64"])
    swaps, reflections = np.empty((2, rows), np.int32), np.empty((rows, rows))
    overlap = np.empty((LANES, width))
    return kernel(frame, np.empty_like(frame), np.empty(width), reflections, swaps, overlap)


def orthogonality_loss(q: np.ndarray, diagonal: np.ndarray) -> float:
    """What Gram-Schmidt reports."""
    kernel = specialise(gram_schmidt.orthogonality_loss, "test", **BINDINGS["float64"])
    return kernel(q, diagonal, np.empty(diagonal.size))


@pytest.mark.parametrize("factors", [1, 2, 3])
def test_the_condition_of_gram_schmidt_bounds_its_error(factors: int) -> None:
    """The larger of the loss of orthogonality and |x_i| / R_ii, times eps.

    A tenth of it is usual, 0.96 the largest of these 24; other processors round differently.
    """
    rng = np.random.default_rng(factors)
    for _ in range(8):
        a = reduce(np.matmul, rng.standard_normal((factors, 16, 16)))
        q, diagonal = decompose("gram_schmidt", a)
        exact = exact_lengths(a)
        worst = max(orthogonality_loss(q, diagonal), (np.linalg.norm(a, axis=0) / exact).max())
        assert abs(diagonal / exact - 1).max() <= 3 * worst * EPS


@pytest.mark.parametrize("angle", [1e-2, 1e-5, 1e-7])
def test_loss_of_orthogonality_is_noticed(angle: float) -> None:
    """Three columns that are nearly in a plane, though no two of them are close to each other.

    The lengths left over say 1 / angle, the digits lost are those of 1 / angle^2.
    """
    turned = np.linalg.qr(np.random.default_rng(4).standard_normal((9, 9)))[0][:, :3]
    a = turned @ np.array([[1, 1, 1], [0, 2 * angle, 1], [0, 0, angle]])
    q, diagonal = decompose("gram_schmidt", a)
    loss = orthogonality_loss(q, diagonal) * EPS
    assert 0.2 * abs(q.T @ q - np.eye(3)).max() <= loss <= 3 * abs(q.T @ q - np.eye(3)).max()
    error = abs(diagonal / exact_lengths(a) - 1).max()
    assert error <= 20 * loss
