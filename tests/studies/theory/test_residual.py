"""Theory of residual nets: table, closed forms, limits, sampled layers.

Every z-test has the false-alarm rate 6e-5 (4 standard errors), with fixed seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log, pi, sqrt

import numpy as np
import pytest

from gradhorizon.studies.theory import (
    ACTIVATIONS,
    gaussian_expectation,
    mean_field,
    residual_path,
)

pytestmark = pytest.mark.filterwarnings("error")


def test_residual_tanh_table() -> None:
    """sigma_w = 1: ln of the squared gradient grows by 10.55 in 100 layers, 34.27 in 1000.

    Yang & Schoenholz 2017: like the square root of the depth.
    """
    path = residual_path("tanh", 1000)
    log_chi = np.log(path.chi)
    assert path.q[0] == 1.0
    assert log_chi[:100].sum() == pytest.approx(10.55, abs=0.005)
    assert log_chi.sum() == pytest.approx(34.27, abs=0.006)
    # q ~ l and E sech^4(sqrt q z) ~ (4/3) / sqrt(2 pi q): the growth of sqrt l of 16/3 / sqrt(2 pi)
    growth = (log_chi.cumsum()[-1] - log_chi.cumsum()[249]) / (sqrt(1000) - sqrt(250))
    assert growth == pytest.approx(8 / 3 / sqrt(2 * pi), rel=0.03)


def test_residual_relu() -> None:
    """1 + sigma_w^2 / 2 for the incoherent gradient; the coherent one grows like the state."""
    for skip, branch, scale in ((1.0, 1.0, 1.0), (1.0, 0.5, 1.4), (0.5, -2.0, 0.6)):
        path = residual_path("relu", 80, skip=skip, branch=branch, weight_scale=scale)
        expected = skip**2 + branch**2 * scale**2 / 2
        np.testing.assert_allclose(path.chi, expected, rtol=1e-12)
        np.testing.assert_allclose(path.coherent[30:50], path.q[40] / path.q[39], rtol=1e-6)
        lag = np.arange(80)
        np.testing.assert_allclose(path.log_gradient, lag * log(expected) / 2, atol=1e-11)


def test_residual_relu_mean_is_stationary() -> None:
    """r = m / sqrt p solves r^2 (1 + 2 s r + sigma^2/2) = (r + s)^2, s = sigma / sqrt(2 pi)."""
    s = 1 / sqrt(2 * pi)
    r = max(root.real for root in np.roots([2 * s, 0.5, -2 * s, -(s**2)]))
    path = residual_path("relu", 100)
    assert path.q[-1] / path.q[-2] == pytest.approx(1.5 + 2 * s * r, rel=1e-10, abs=0)
    assert path.coherent[50] == pytest.approx(1.5 + 2 * s * r, rel=1e-10, abs=0)


def test_plain_path_is_the_mean_field() -> None:
    """skip -> 0: variance and growth tend to the plain network's, which are stationary."""
    plain = mean_field("softplus", weight_scale=1.2, bias_scale=0.3)
    initial = (plain.q - 0.09) / 1.44
    path = residual_path(
        "softplus", 5, weight_scale=1.2, bias_scale=0.3, skip=1e-12, initial_variance=initial
    )
    np.testing.assert_allclose(path.q, plain.q, rtol=1e-10)
    np.testing.assert_allclose(path.chi, plain.chi_1, rtol=1e-10)
    np.testing.assert_allclose(path.log_gradient, np.arange(5) * plain.rate, atol=1e-9)


@pytest.mark.parametrize("name", ["elu", "tanh", "sigmoid", "gelu"])
def test_residual_layers_against_sampled_ones(name: str) -> None:
    """One layer at n = 300, 200 times: moments, growth of noise, and of 1 and h in the gradient.

    The second layer of two, so that h has a mean. Finite-size term: 4 parts in n.
    """
    rng, n, draws, unit = np.random.default_rng(3), 300, 200, ACTIVATIONS[name]
    skip, branch, scale, bias, slope = 0.8, 1.3, 1.5, 0.4, 1.2
    options = dict(slope=slope, weight_scale=scale, bias_scale=bias, skip=skip, branch=branch)
    path = residual_path(name, 2, **options)
    found = []
    for _ in range(draws):
        W, b = scale / sqrt(n) * rng.standard_normal((2, n, n)), bias * rng.standard_normal((2, n))
        h = [rng.standard_normal(n)]
        for layer in range(2):
            net = W[layer] @ h[-1] + b[layer]
            h.append(skip * h[-1] + branch * unit.value(slope * net))
        D = branch * slope * unit.derivative(slope * net)

        def back(g: np.ndarray, D: np.ndarray = D, W: np.ndarray = W[1]) -> np.ndarray:
            return skip * g + W.T @ (D * g)

        noise = back(rng.standard_normal(n))
        columns = np.linalg.lstsq(
            np.stack([np.ones(n), h[1]], axis=1),
            np.stack([back(np.ones(n)), back(h[2])], axis=1),
            rcond=None,
        )[0]
        found.append([net.var() + net.mean() ** 2, (noise**2).mean(), *columns.ravel()])
    measured, error = np.mean(found, axis=0), np.std(found, axis=0) / sqrt(draws)
    second = _coherent_map(name, path.q[1], **options)
    expected = np.array([path.q[1], path.chi[1], *second.ravel()])
    assert (np.abs(measured - expected) <= 4 * error + 4 / n * np.abs(expected).max()).all()


def _coherent_map(
    name: str,
    q: float,
    *,
    slope: float,
    weight_scale: float,
    bias_scale: float,
    skip: float,
    branch: float,
) -> np.ndarray:
    """What layer 2 makes of gradients 1 and h', from Stein's lemma by finite differences of E.

    d/dx E F(x + net) at x = 0 is E F'(net): F = phi' and phi' phi, net ~ N(0, q).
    """
    unit, eps = ACTIVATIONS[name], 1e-4
    u, weight = np.polynomial.hermite_e.hermegauss(180)
    weight = weight / weight.sum()

    def expect(function: Callable[[np.ndarray], np.ndarray]) -> float:
        return float(weight @ function(sqrt(q) * u))

    def value(x: np.ndarray) -> np.ndarray:
        return unit.value(slope * x)

    def derivative(x: np.ndarray) -> np.ndarray:
        return slope * unit.derivative(slope * x)

    def rate(function: Callable[[np.ndarray], np.ndarray]) -> float:
        change = [expect(lambda x, d=d: function(x + d)) for d in (-eps, eps)]  # type: ignore[misc]
        return (change[1] - change[0]) / (2 * eps)

    q1 = weight_scale**2 + bias_scale**2
    mean = branch * gaussian_expectation(unit.value, unit, slope**2 * q1)
    pull = branch * weight_scale**2
    of_one = [skip, pull * rate(derivative)]
    bend = skip * mean * rate(derivative) + branch * rate(lambda x: value(x) * derivative(x))
    of_h = [skip * branch * expect(value), skip**2 + pull * bend]
    return np.array([of_one, of_h]).T


def test_bad_arguments() -> None:
    """Each is named with its value and what is allowed."""
    with pytest.raises(ValueError, match="depth=0"):
        residual_path("tanh", 0)
    with pytest.raises(ValueError, match="overflows"):
        residual_path("relu", 2000)
    with pytest.raises(ValueError, match="dies out"):
        residual_path("tanh", 2000, skip=0.1, branch=0.1)
    for bad in (0.0, -1.0, inf):
        with pytest.raises(ValueError, match=f"initial_variance={bad}"):
            residual_path("tanh", 3, initial_variance=bad)
