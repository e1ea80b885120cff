"""Depth scales against published tables, the critical line and other forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from adaptive import adaptive_expectation

from gradhorizon.studies import theory

# Relative tolerances are given with abs=0, as pytest.approx would else allow 1e-12 as well.
# No warning may escape: divergence is data here.
pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize(
    ("weight_variance", "q", "chi_1", "correlation", "xi_c", "xi_grad", "xi_q"),
    [
        (1.0, 0.19359, 0.75903, 1.0, 3.627, 3.627, 1.748),
        (2.5, 1.06396, 1.13352, 0.4468, 11.80, 7.979, 1.180),
    ],
)
def test_depth_scales_of_tanh(
    weight_variance: float,
    q: float,
    chi_1: float,
    correlation: float,
    xi_c: float,
    xi_grad: float,
    xi_q: float,
) -> None:
    """Schoenholz et al. 2017, bias variance 0.05."""
    scales = {"weight_scale": math.sqrt(weight_variance), "bias_scale": math.sqrt(0.05)}
    result = theory.mean_field("tanh", **scales)
    assert result.q == pytest.approx(q, abs=6e-6)
    assert result.chi_1 == pytest.approx(chi_1, abs=6e-6)
    depth = theory.depth_scales("tanh", **scales)
    assert depth.fixed_correlation == pytest.approx(correlation, abs=6e-5)
    assert depth.xi_c == pytest.approx(xi_c, abs=6e-3)
    assert depth.xi_grad == pytest.approx(xi_grad, abs=6e-4)
    assert depth.xi_q == pytest.approx(xi_q, abs=6e-4)


def test_depth_scales_diverge_on_the_critical_line() -> None:
    """On the line every depth is reached; just beyond it the two scales agree."""
    bias_scale = math.sqrt(0.05)
    critical = theory.critical_weight_scale("tanh", bias_scale=bias_scale)
    on = theory.depth_scales("tanh", weight_scale=critical, bias_scale=bias_scale)
    assert min(on.xi_grad, on.xi_c) > 1e9
    assert on.fixed_correlation == 1.0
    beyond = theory.depth_scales("tanh", weight_scale=1.001 * critical, bias_scale=bias_scale)
    assert 0.9 < beyond.fixed_correlation < 1.0
    # The correlation map is a parabola near 1: its slopes at both fixed points mirror each other.
    assert beyond.xi_c == pytest.approx(beyond.xi_grad, rel=0.05, abs=0)


def test_variance_depth_scale_by_second_derivative() -> None:
    """xi_q as printed in the papers, with phi'' of tanh, against the form used here."""
    weight_variance, bias_variance = 2.0, 0.1
    scales = {"weight_scale": math.sqrt(weight_variance), "bias_scale": math.sqrt(bias_variance)}
    q, chi_1, _ = theory.mean_field("tanh", **scales)
    curvature = adaptive_expectation(
        lambda u: -2 * math.tanh(u) ** 2 / math.cosh(min(abs(u), 300.0)) ** 2, q
    )
    expected = -1 / math.log(chi_1 + weight_variance * curvature)
    assert theory.depth_scales("tanh", **scales).xi_q == pytest.approx(expected, rel=1e-9, abs=0)


def test_depth_scales_without_a_finite_variance() -> None:
    """A diverging net has no fixed correlation, a quiet one c* = 1, an odd chaotic one 0."""
    relu = theory.depth_scales("relu", weight_scale=2.0)
    assert relu.xi_grad == pytest.approx(1 / math.log(2.0))
    assert relu.xi_q == math.inf
    assert math.isnan(relu.xi_c)
    quiet = theory.depth_scales("tanh", weight_scale=0.5)
    assert quiet[:3] == pytest.approx((1 / math.log(4.0),) * 3)
    odd = theory.depth_scales("tanh", weight_scale=2.0)
    assert odd.fixed_correlation == 0.0


def test_trainable_depth() -> None:
    """6 xi_c of the table, and its divergence from both sides of the critical line."""
    bias_scale = math.sqrt(0.05)
    table = theory.trainable_depth("tanh", np.sqrt([1.0, 2.5]), bias_scale)
    np.testing.assert_allclose(table, [6 * 3.627, 6 * 11.80], rtol=6e-4)
    critical = theory.critical_weight_scale("tanh", bias_scale=bias_scale)
    around = theory.trainable_depth("tanh", critical * np.array([0.9, 0.99, 1.01, 1.1]), bias_scale)
    assert around[1] > 5 * around[0]
    assert around[2] > 5 * around[3]
    grid = theory.trainable_depth("tanh", [1.0, 1.5, 2.0], [[0.1], [0.3]], slope=0.8)
    assert grid.shape == (2, 3)
    same = theory.depth_scales("tanh", weight_scale=1.5, bias_scale=0.3, slope=0.8)
    assert grid[1, 1] == 6 * same.xi_c
    assert math.isnan(theory.trainable_depth("relu", 2.0))
