"""Laws of products of random matrices against tables and sampling."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradhorizon.studies import theory

# No warning may escape: divergence is data here.
pytestmark = pytest.mark.filterwarnings("error")


def test_gaussian_product_table() -> None:
    """Newman 1986; Forrester 2013: N = 32, sigma = 1."""
    exponent, variance = theory.gaussian_product_exponents(32)
    np.testing.assert_allclose(exponent[[0, 15, 31]], [-0.015788, -0.346249, -2.368049], atol=6e-7)
    np.testing.assert_allclose(np.sqrt(variance[[0, 31]]), [0.12698, 1.11072], atol=6e-6)
    assert exponent.sum() == pytest.approx(-16.93537, abs=6e-6)
    scaled, same = theory.gaussian_product_exponents(32, 3.0)
    np.testing.assert_allclose(scaled, exponent + math.log(3.0))
    np.testing.assert_array_equal(same, variance)


def test_gaussian_product_by_sampling() -> None:
    """ln|R_ii| of one QR step, n = 3. False-alarm rate 4e-4 (6 two-sided tests at 4 SE), seeded."""
    draws, rng = 20_000, np.random.default_rng(11)
    matrices = 1.7 / math.sqrt(3.0) * rng.standard_normal((draws, 3, 3))
    diagonal = np.abs(np.linalg.qr(matrices).R[:, np.arange(3), np.arange(3)])
    _assert_moments(np.log(diagonal), *theory.gaussian_product_exponents(3, 1.7))


def test_deep_relu_table() -> None:
    """Hanin & Nica 2020, He weights: N = 64; and -5/2n, 5/n at large n."""
    mean, variance, dead = theory.deep_relu_increment(64)
    assert mean == pytest.approx(-0.040109, abs=6e-7)
    assert variance == pytest.approx(0.082997, abs=6e-7)
    assert dead == 2.0**-64
    wide = theory.deep_relu_increment(4000)
    assert wide.mean == pytest.approx(-2.5 / 4000, rel=1e-2, abs=0)
    assert wide.variance == pytest.approx(5.0 / 4000, rel=1e-2, abs=0)


def test_deep_relu_by_sampling() -> None:
    """Layers of width 4, masked by an independent sign. False-alarm rate 2e-4 (4 SE), seeded."""
    draws, rng = 100_000, np.random.default_rng(12)
    W = 1.3 / math.sqrt(4.0) * rng.standard_normal((draws, 4, 4))
    h, u = np.array([0.5, 1.0, 0.0, 2.0]), np.array([0.6, -0.8, 0.0, 0.0])
    active = W @ h > 0.0
    growth = np.sum((W @ u) ** 2 * active, axis=1)
    mean, variance, dead = theory.deep_relu_increment(4, 1.3)
    alive = growth > 0.0
    assert abs(np.mean(~alive) - dead) < 4 * math.sqrt(dead * (1 - dead) / draws)
    _assert_moments(np.log(growth[alive]), mean, variance)


def _assert_moments(
    samples: np.ndarray, mean: np.ndarray | float, variance: np.ndarray | float
) -> None:
    draws = len(samples)
    centred = samples - samples.mean(axis=0)
    error = np.sqrt(variance / draws)
    assert np.all(np.abs(samples.mean(axis=0) - mean) < 4 * error)
    squares = centred**2
    assert np.all(
        np.abs(squares.mean(axis=0) - variance) < 4 * squares.std(axis=0) / math.sqrt(draws)
    )


@pytest.mark.parametrize("n", [0, -3])
def test_empty_layers_are_refused(n: int) -> None:
    """A width below 1 is an error that states it."""
    with pytest.raises(ValueError, match=f"n={n}"):
        theory.gaussian_product_exponents(n)
    with pytest.raises(ValueError, match=f"n={n}"):
        theory.deep_relu_increment(n)


def test_spectral_radius_rate() -> None:
    """Known spectra, alone and stacked; a nilpotent matrix has rate -inf."""
    assert theory.spectral_radius_rate(np.diag([0.5, -3.0])) == pytest.approx(math.log(3.0))
    rotation = 0.9 * np.array([[0.0, -1.0], [1.0, 0.0]])
    nilpotent = np.array([[0.0, 1.0], [0.0, 0.0]])
    rates = theory.spectral_radius_rate(np.stack([rotation, nilpotent]))
    np.testing.assert_allclose(rates, [math.log(0.9), -math.inf])


def test_spectral_radius_of_ginibre() -> None:
    """N = 16: E ln rho = 0.061, sd 0.113. False-alarm rate 6e-5 (4 SE, and rounding), seeded."""
    rng = np.random.default_rng(13)
    rates = theory.spectral_radius_rate(rng.standard_normal((2000, 16, 16)) / 4.0)
    assert rates.mean() == pytest.approx(0.061, abs=4 * 0.113 / math.sqrt(2000) + 5e-4)
