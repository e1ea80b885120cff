"""Theory of small normalised batches: closed forms, limits, sampled layers.

Every z-test has the false-alarm rate 6e-5 (4 standard errors), with fixed seeds.
"""

from __future__ import annotations

from math import acos, pi, sqrt

import numpy as np
import pytest

from gradhorizon.studies.theory import (
    ACTIVATIONS,
    finite_batch_mean_field,
    normalized_mean_field,
)

pytestmark = pytest.mark.filterwarnings("error")

NAMES = sorted(ACTIVATIONS)


@pytest.mark.parametrize("size", [4, 5, 6, 8, 16, 64, 1000])
def test_finite_batch_closed_forms(size: int) -> None:
    """(B-2)/(B-3) for the identity; ReLU from arc-cosine kernels (Cho & Saul 2009).

    Functions homogeneous in y have the same means on the sphere as over the Gaussian vector of
    covariance I - 11^T/B, but for the mean square radius.
    """
    identity = finite_batch_mean_field("linear", size, norm_scale=0.7, weight_scale=3.0)
    assert identity.chi_1 == pytest.approx((size - 2) / (size - 3), rel=1e-10, abs=0)
    angle = acos(-1 / (size - 1))
    both = (pi - angle) / (2 * pi)  # probability that both are active
    overlap = (np.sin(angle) + (pi - angle) * np.cos(angle)) / (2 * pi)
    passed = (size - 1) / 2 - 1 / 2 + both + overlap
    relu = finite_batch_mean_field("relu", size, slope=2.0)
    expected = passed / ((size - 3) * (0.5 - overlap))
    assert relu.chi_1 == pytest.approx(expected, rel=1e-10, abs=0)


def test_finite_batch_table() -> None:
    """Measured growth at N = 512: 0.58 / 0.47 / 0.42 / 0.40 for B = 8 / 16 / 32 / 64."""
    found = [2 * finite_batch_mean_field("relu", size).rate for size in (8, 16, 32, 64)]
    assert found == pytest.approx([0.58, 0.47, 0.42, 0.40], abs=0.007)


@pytest.mark.parametrize("name", NAMES)
def test_finite_batch_tends_to_the_wide_one(name: str) -> None:
    """The difference falls like 1/B, with input in the norm too."""
    more = {"input_variance": 0.3, "weight_scale": 1.4, "norm_scale": 2.0}
    limit = normalized_mean_field(name, **more).chi_1
    near, far = (finite_batch_mean_field(name, size, **more).chi_1 for size in (1000, 2000))
    assert near == pytest.approx(limit, rel=2e-2)
    assert 2 * far - near == pytest.approx(limit, rel=1e-5)
    assert near != pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize("size", [4, 7, 32])
def test_finite_batch_of_norms_apart(size: int) -> None:
    """The identity: (B-2)/(B-3)/2, as the recurrent term has half of the variance.

    Without input there is one term; with it the rate tends to that of wide batches like 1/B.
    """
    options = {"normalization": "batch-separate", "norm_scale": 1.3}
    identity = finite_batch_mean_field("linear", size, input_variance=0.1, **options)
    assert identity.chi_1 == pytest.approx((size - 2) / (size - 3) / 2, rel=1e-10, abs=0)
    alone = finite_batch_mean_field("relu", size, **options)
    assert alone == finite_batch_mean_field("relu", size, norm_scale=1.3)
    near, far = (
        finite_batch_mean_field("elu", 40 * size * k, input_variance=0.1, **options) for k in (1, 2)
    )
    limit = normalized_mean_field("elu", input_variance=0.1, **options)
    assert 2 * far.chi_1 - near.chi_1 == pytest.approx(limit.chi_1, rel=3e-4)
    assert abs(near.chi_1 - limit.chi_1) > 1e-4
    assert near.q == limit.q


CASES = [
    ("tanh", 1.0, 5, 0.0),
    ("elu", 2.0, 6, 0.5),
    ("sin", 1.5, 8, 0.0),
    ("hard_tanh", 0.7, 5, 0.5),
    ("relu", 1.0, 8, 0.5),
]


@pytest.mark.parametrize("name, gamma, size, drive", CASES)
@pytest.mark.parametrize("normalization", ["batch", "batch-separate"])
def test_finite_batch_against_sampled_layers(
    name: str, gamma: float, size: int, drive: float, normalization: str
) -> None:
    """The norm's Jacobian by complex steps, at 60,000 random pre-activations of covariance A.

    With xi = W^T g of covariance I - 11^T/B, the growth is E|N^T D xi|^2 / (B - 1).
    """
    rng, draws, unit, step = np.random.default_rng(7), 60_000, ACTIVATIONS[name], 1e-20
    separate = normalization == "batch-separate" and drive > 0

    def normalise(z: np.ndarray) -> np.ndarray:
        centred = z - z.mean(axis=1, keepdims=True)
        return gamma * centred / np.sqrt((centred**2).mean(axis=1, keepdims=True))

    def normals() -> np.ndarray:
        return rng.standard_normal((draws, size))

    def other() -> np.ndarray | float:
        return normalise(normals()) if separate else 0.0

    h = unit.value(normalise(normals()) + other())
    # covariance over the batch without its mean: an unbiased estimate for each unit
    spread = h.var(axis=1, ddof=1)
    A = spread.mean() + (0.0 if separate else drive)
    z, xi = sqrt(A) * normals(), normals()
    received = unit.derivative(normalise(z) + other()) * (xi - xi.mean(axis=1, keepdims=True))
    passed = np.empty((draws, size))
    for b in range(size):  # one column of the Jacobian at a time
        shift = np.zeros(size, dtype=complex)
        shift[b] = 1j * step
        passed[:, b] = (normalise(z + shift).imag / step * received).sum(axis=1)
    growth = (passed**2).sum(axis=1) / (size - 1)
    theory = finite_batch_mean_field(
        name, size, normalization=normalization, norm_scale=gamma, input_variance=drive
    ).chi_1
    # A's own error, a few parts in a thousand, belongs to the standard error
    doubt = growth.mean() * spread.std() / A / sqrt(draws)
    error = np.hypot(growth.std() / sqrt(draws), doubt)
    assert error < 0.05 * theory
    assert abs(growth.mean() - theory) <= 4 * error
