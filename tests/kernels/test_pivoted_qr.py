"""QR with pivoting: the factorisation, and its accuracy row by row."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

from gradhorizon.engine import NetworkSpec, measure, sample
from gradhorizon.kernels import pivoted_qr
from gradhorizon.kernels.library import BINDINGS
from gradhorizon.kernels.specialise import specialise

PRECISIONS = pytest.mark.parametrize("precision", ["float64", "float32"])


def factors(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Q, R and the order of columns of a matrix, in its own precision."""
    n, precision = len(a), a.dtype.name
    kernel = specialise(pivoted_qr.pivoted_qr, f"test_{precision}", **BINDINGS[precision])
    q, r = np.empty_like(a), np.empty_like(a)
    swaps = np.empty((2, n), np.int32)
    kernel(a.T.copy(), np.zeros(n, np.int32), q, r, np.empty(n, precision), swaps)
    order = list(range(n))
    for k, other in enumerate(swaps[0]):
        order[k], order[other] = order[other], order[k]
    return q.T, r, order


@PRECISIONS
@pytest.mark.parametrize("n", [1, 2, 5, 12])
@pytest.mark.parametrize("spread", [0.0, 3.0, 25.0])
def test_factorisation_row_by_row(spread: float, n: int, precision: str) -> None:
    """Q^T Q = I, R upper triangular, and every row of Q R = A Pi to n eps of that row's size.

    The rows' sizes spread over 10^-spread..10^spread; the bound n^2 eps per row is Cox and
    Higham's with growth factors near 1, times 8.
    """
    rng = np.random.default_rng(n)
    size = 10.0 ** rng.uniform(-spread / 2, spread / 2, n) if spread else np.ones(n)
    a = (size[:, None] * rng.standard_normal((n, n))).astype(precision)
    q, r, order = factors(a)
    eps = float(np.finfo(precision).eps)
    np.testing.assert_allclose(q.T @ q, np.eye(n), atol=20 * n * eps)
    np.testing.assert_array_equal(np.tril(r, -1), 0)
    with mp.workdps(80):
        product = mp.matrix(q.astype(float).tolist()) * mp.matrix(r.astype(float).tolist())
        error = np.array(
            [
                [float(abs(product[i, k] - mp.mpf(float(a[i, c])))) for k, c in enumerate(order)]
                for i in range(n)
            ]
        )
    assert (error.max(axis=1) <= 8 * n**2 * eps * np.abs(a).max(axis=1)).all()


@PRECISIONS
def test_rank_deficient(precision: str) -> None:
    """A zero matrix, and one of rank 1."""
    for a in (np.zeros((4, 4)), np.outer([1.0, 2, 3, 4], [1, 0, 2, 1])):
        q, r, order = factors(a.astype(precision))
        atol = 60 * float(np.finfo(precision).eps)
        np.testing.assert_allclose(q.T @ q, np.eye(4), atol=atol)
        np.testing.assert_allclose(q @ r, a[:, order], atol=10 * atol)


@pytest.mark.parametrize("activation, weight_scale", [("tanh", 8.0), ("sigmoid", 30.0)])
def test_saturated_networks(activation: str, weight_scale: float) -> None:
    """All singular values of a product whose single steps span more than float64 can resolve.

    Against 600-digit arithmetic on the same step Jacobians; the tolerance is a relative error of
    1e-9 of each singular value.
    """
    spec = NetworkSpec(hidden_size=5, activation=activation, weight_scale=weight_scale)
    ensemble = sample(spec, 3, 12, seed=4, burn_in=0)
    data = measure(ensemble, products=("jacobian",), keep=("states",))
    for i in range(3):
        W = ensemble.W.values[i, 0]
        drive = ensemble.input.values[i, 0] @ ensemble.U.values[i, 0].T
        with mp.workdps(600):
            product = mp.eye(5)
            for t in range(1, 12):
                net = [float(x) for x in W @ data.state.values[i, 0, t - 1] + drive[t]]
                slope = {
                    "tanh": lambda z: mp.sech(mp.mpf(z)) ** 2,
                    "sigmoid": lambda z: mp.sech(mp.mpf(z) / 2) ** 2 / 4,
                }[activation]
                step = mp.diag([slope(z) for z in net]) * mp.matrix(W.tolist())
                product = step * product
            exact = mp.svd_r(product, compute_uv=False)
            want = np.array([float(mp.log(s)) for s in exact])
        assert want[0] - want[-1] > -np.log(np.finfo(float).eps)
        np.testing.assert_allclose(data.log_singular_value[i], want, rtol=0, atol=1e-9)
