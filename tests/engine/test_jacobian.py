"""Explicit products of Jacobians whose singular values no single number format could hold."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure, sample

PRECISIONS = pytest.mark.parametrize("precision", ["float64", "float32"])


def with_recurrent_weights(W: np.ndarray, steps: int, precision: str = "float64") -> xr.Dataset:
    """One undriven linear network with the given W."""
    spec = NetworkSpec(activation="linear", hidden_size=len(W), precision=precision)
    ensemble = sample(spec, 1, steps, inputs="zero", burn_in=0)
    ensemble["W"][0, 0] = W
    return ensemble


@PRECISIONS
def test_long_jacobian_of_orthogonal_networks(precision: str) -> None:
    """All singular values of the product are g^k; sqrt n more for the Frobenius norm."""
    n, steps, gain = 4, 20_000, 0.1
    spec = NetworkSpec(
        activation="linear",
        weights="orthogonal",
        hidden_size=n,
        weight_scale=gain,
        precision=precision,
    )
    data = measure(spec, networks=1, steps=steps, burn_in=0, products=("jacobian",))
    want = (steps - 1) * np.log(np.float64(np.dtype(precision).type(gain)))
    atol = 8 * steps * float(np.finfo(precision).eps)
    np.testing.assert_allclose(data.log_singular_value, want, rtol=0, atol=atol)
    frobenius, spectral = data.log_jacobian_norm.values[0, :, -1]
    assert spectral == pytest.approx(want, abs=atol)
    assert frobenius == pytest.approx(want + np.log(n) / 2, abs=atol)


@pytest.mark.parametrize("n, at_most", [(8, 1e-10), (16, 1e-5)])
def test_transient_growth_of_a_stable_matrix(n: int, at_most: float) -> None:
    """0.9 on and 0.3 above the diagonal: rho = 0.9, yet |W^t| peaks at 1.7e6, t = 147, for n = 16.

    All singular values of W^147 against 250-digit arithmetic, over e^60 from first to last.
    """
    W, steps = 0.9 * np.eye(n) + 0.3 * np.eye(n, k=1), 200
    spec = NetworkSpec(activation="linear", hidden_size=n)
    ensemble = sample(spec, 1, steps, inputs="zero", burn_in=0)
    ensemble["W"][0, 0] = W
    norm = measure(ensemble, products=("jacobian",)).log_jacobian_norm.values[0, 1]
    if n == 16:
        assert norm.argmax() == 147
        assert np.exp(norm.max()) == pytest.approx(1.7e6, rel=0.05)
    short = ensemble.isel(step=slice(0, 148))
    found = measure(short, products=("jacobian",)).log_singular_value.values[0]
    with mp.workdps(250):
        exact_values = mp.svd_r(mp.matrix(W.tolist()) ** 147, compute_uv=False)
        want = np.array([float(mp.log(s)) for s in exact_values])
    np.testing.assert_allclose(found, want, rtol=0, atol=at_most)


@PRECISIONS
@pytest.mark.parametrize("last", [1.0, 2.0])
def test_diagonal_jacobian(last: float, precision: str) -> None:
    """diag(1/2, last)^k keeps both scales, in whichever order and however far apart."""
    for diagonal in ([0.5, last], [last, 0.5]):
        ensemble = with_recurrent_weights(np.diag(diagonal), 2000, precision=precision)
        data = measure(ensemble, products=("jacobian",))
        assert data.status.item() == 0
        want = 1999 * np.log([last, 0.5])
        np.testing.assert_allclose(data.log_singular_value[0], want, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(
            data.log_jacobian_norm[0, 1], np.arange(2000) * np.log(last), rtol=1e-6, atol=1e-6
        )


@PRECISIONS
def test_rank_deficient_jacobian(precision: str) -> None:
    """A unit that nothing enters (a zero row of W): the norm of the others is still measured."""
    W = np.array([[0.1, 0.05], [0.0, 0.0]])
    data = measure(
        with_recurrent_weights(W, 1000, precision=precision), products=("jacobian", "gradient")
    )
    want = 998 * np.log(0.1) + np.log(np.hypot(0.1, 0.05))  # W^999 = 0.1^998 W
    frobenius, spectral = data.log_jacobian_norm.values[0, :, -1]
    assert frobenius == pytest.approx(want, rel=1e-6)
    assert spectral == pytest.approx(want, rel=1e-6)
    assert data.log_singular_value.values[0, 0] == pytest.approx(want, rel=1e-6)
    assert data.log_singular_value.values[0, 1] < want - 1000  # exactly zero in truth
