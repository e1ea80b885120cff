"""Laws of powers of one Gaussian matrix, against sampled matrices and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradhorizon.studies import theory
from gradhorizon.studies.theory import ginibre

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize(("n", "matrices"), [(2, 20_000), (6, 10_000), (16, 4000)])
def test_spectral_radius_by_sampling(n: int, matrices: int) -> None:
    """Mean and variance of ln rho at weight scale 1.3. False-alarm rate 4e-4 (6 tests at 4 SE)."""
    W = 1.3 / math.sqrt(n) * np.random.default_rng(n).standard_normal((matrices, n, n))
    sampled = theory.spectral_radius_rate(W)
    mean, sd = theory.ginibre_spectral_radius(n, 1.3)
    assert abs(sampled.mean() - mean) < 4 * sd / math.sqrt(matrices)
    square = (sampled - sampled.mean()) ** 2
    assert abs(square.mean() - sd**2) < 4 * square.std() / math.sqrt(matrices)


@pytest.mark.parametrize(("n", "mean", "sd"), [(16, 0.061, 0.113), (64, 0.053, 0.047)])
def test_spectral_radius_table(n: int, mean: float, sd: float) -> None:
    """Sampled: the means have a standard error of about 0.002, the deviations of 1 to 2 %."""
    found = theory.ginibre_spectral_radius(n)
    assert found.mean_log == pytest.approx(mean, abs=0.002)
    assert found.sd_log == pytest.approx(sd, rel=0.03)


@pytest.mark.parametrize("n", [2, 10, 64])
def test_the_law_is_a_probability(n: int) -> None:
    """Far out the matrix of skew products is triangular, with ones (Forrester & Nagao 2007)."""
    r = np.linspace(0.0, math.sqrt(n) + ginibre.BEYOND, ginibre.POINTS)
    products = np.trapezoid(ginibre._skew_density(n, r), r, axis=0)
    np.testing.assert_allclose(np.tril(products), np.eye(n // 2), atol=1e-8)


def test_spectral_radius_nears_the_circular_law() -> None:
    """The rate exceeds 0 by less the larger the matrix, and scatters less."""
    found = [theory.ginibre_spectral_radius(n) for n in (32, 48, 64)]
    assert (np.diff(found, axis=0) < 0).all()
    assert found[-1].mean_log > 0


def test_mean_squares_in_closed_form() -> None:
    """Numbers: moments of a Gaussian, 1 3 5 ... (2 lag - 1). One step: 1. Two: 1 + 2 / n^2."""
    for lag in range(ginibre.LARGEST_LAG + 1):
        assert theory.power_mean_square(1, lag) == math.prod(range(1, 2 * lag, 2))
    for n in (1, 2, 7, 100):
        assert theory.power_mean_square(n, 0, 1.7) == 1.0
        assert theory.power_mean_square(n, 1, 1.7) == pytest.approx(1.7**2)
        assert theory.power_mean_square(n, 2) == pytest.approx(1 + 2 / n**2)
    assert theory.power_mean_square(10_000, 6) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("lag", [2, 3, 4])
def test_mean_squares_by_sampling(lag: int) -> None:
    """5 x 5 matrices, weight scale 1.2. False-alarm rate 2e-4 (3 tests at 4 SE), fixed seed."""
    matrices = 100_000
    W = 1.2 / math.sqrt(5) * np.random.default_rng(lag).standard_normal((matrices, 5, 5))
    v = np.tile([0.6, 0.0, -0.8, 0.0, 0.0], (matrices, 1))
    for _ in range(lag):
        v = np.einsum("kij,kj->ki", W, v)
    square = (v**2).sum(axis=1)
    error = square.std() / math.sqrt(matrices)
    assert abs(square.mean() - theory.power_mean_square(5, lag, 1.2)) < 4 * error
    assert square.mean() - 1.2 ** (2 * lag) > 4 * error  # fresh weights


def test_refusals() -> None:
    """One clear error names the value and what is allowed."""
    for n in (0, 3, 66):
        with pytest.raises(ValueError, match=rf"n={n} must be even and in \[2, 64\]"):
            theory.ginibre_spectral_radius(n)
    with pytest.raises(ValueError, match="n=0 must be >= 1"):
        theory.power_mean_square(0, 2)
    for lag in (-1, 7):
        with pytest.raises(ValueError, match=rf"lag={lag} must be in \[0, 6\]"):
            theory.power_mean_square(4, lag)
    for scale in (0.0, math.inf):
        with pytest.raises(ValueError, match="weight_scale="):
            theory.ginibre_spectral_radius(4, scale)
        with pytest.raises(ValueError, match="weight_scale="):
            theory.power_mean_square(4, 2, scale)
