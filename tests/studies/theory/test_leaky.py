"""Leaky networks: published rates, exact spectra at rest, the recursion of the autocovariance."""

from __future__ import annotations

from math import asin, log, pi, sqrt

import numpy as np
import pytest

from gradhorizon.studies.theory import (
    ACTIVATIONS,
    leaky_fixed_point_exponents,
    leaky_rate,
    mean_field,
)
from gradhorizon.studies.theory.autocovariance import STEEP, autocovariance
from gradhorizon.studies.theory.layer import Layer

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize(
    ("leak", "g", "rate"),
    [
        (0.5, 2.0, 0.107789),
        (0.5, 3.0, 0.216124),
        (0.5, 5.0, 0.378891),
        (0.0, 1.5, 0.046746),
        (0.0, 2.0, 0.112458),
        (0.0, 3.0, 0.235461),
    ],
)
def test_table_of_tanh(leak: float, g: float, rate: float) -> None:
    """Per unit of time, to the digits given (Sompolinsky et al. 1988; Engelken et al. 2023)."""
    assert leaky_rate("tanh", leak, weight_scale=g) == pytest.approx(rate, abs=6e-7)


@pytest.mark.parametrize("leak", [0.4, 0.95])
def test_autocovariance_obeys_its_recursion(leak: float) -> None:
    """For erf, whose pair expectations are an arcsine (Williams 1998), at each lag down to rest."""
    g, a, bias = 1.4, 1.3, 0.2
    layer = Layer.of("erf", a, g, bias, 0.0)
    largest = mean_field("erf", slope=a, weight_scale=g, bias_scale=bias).q
    landscape, delta = autocovariance(layer, leak, largest)
    u = a**2 * delta
    overlap = np.array([2 / pi * asin(2 * x / (1 + 2 * u[0])) for x in u])
    image = g**2 * overlap + bias**2
    neighbours = np.append(delta[1:], np.nan) + np.append(delta[1], delta[:-1])
    left = (1 + (1 - leak) ** 2) * delta - (1 - leak) * neighbours
    np.testing.assert_allclose(left[:-1], leak**2 * image[:-1], atol=1e-8)
    assert delta[0] < largest
    assert (np.diff(delta) < 0).all()
    assert delta[-1] == pytest.approx(landscape.floor, abs=1e-7)
    floor = g**2 * 2 / pi * asin(2 * a**2 * landscape.floor / (1 + 2 * u[0])) + bias**2
    assert floor == pytest.approx(landscape.floor, abs=1e-8)


def test_small_leaks_tend_to_continuous_time() -> None:
    """Halving the leak halves the difference."""
    options = {"weight_scale": 2.5, "slope": 0.8, "bias_scale": 0.2}
    limit, near, far = (leaky_rate("sin", leak, **options) for leak in (0.0, 0.1, 0.2))
    assert 2 * near - far == pytest.approx(limit, abs=4e-4)
    assert abs(near - limit) > 1e-3


def test_no_leak_is_the_plain_network() -> None:
    """Leak 1 leaves nothing of the last state."""
    for options in ({"weight_scale": 2.0}, {"weight_scale": 0.5, "bias_scale": 0.3}):
        assert leaky_rate("tanh", 1.0, **options) == mean_field("tanh", **options).rate


def test_leaks_near_one_tend_to_the_plain_network() -> None:
    """The difference falls as 1 - leak; and at 0.9 the two ways to the autocovariance meet."""
    options = {"weight_scale": 2.5, "slope": 0.8, "bias_scale": 0.2}
    limit = mean_field("sin", **options).rate
    far, near = (limit - leaky_rate("sin", leak, **options) for leak in (0.99, 0.999))
    assert near == pytest.approx(0.1 * far, rel=0.02)
    assert 1e-4 < near < 1e-3
    below, above = (leaky_rate("sin", leak, **options) for leak in (STEEP, STEEP + 1e-9))
    assert above == pytest.approx(below, abs=1e-7)


def test_networks_at_rest() -> None:
    """The widest disc of eigenvalues: ln(1 - leak + leak sqrt chi) / leak, chi of the state."""
    assert leaky_rate("tanh", 0.25, weight_scale=0.6) == pytest.approx(log(0.9) / 0.25, abs=1e-12)
    assert leaky_rate("tanh", 0.0, weight_scale=0.6) == pytest.approx(-0.4, abs=1e-12)
    chi = mean_field("sigmoid", weight_scale=3.0, bias_scale=1.0).chi_1
    for leak in (0.1, 0.9):
        found = leaky_rate("sigmoid", leak, weight_scale=3.0, bias_scale=1.0)
        assert found == pytest.approx(log(1 - leak + leak * sqrt(chi)) / leak, abs=1e-12)
    slow = leaky_rate("sigmoid", 1e-7, weight_scale=3.0, bias_scale=1.0)
    still = leaky_rate("sigmoid", 0.0, weight_scale=3.0, bias_scale=1.0)
    assert slow == pytest.approx(still, abs=1e-6)


def test_exponents_at_rest_are_those_of_the_iterated_network() -> None:
    """Growth over 4000 steps of the linearised network, one vector per distinct modulus."""
    rng, n, leak = np.random.default_rng(2), 6, 0.3
    W = 0.7 / sqrt(n) * rng.standard_normal((n, n))
    found = leaky_fixed_point_exponents(W, leak, derivative=1.2)
    J = (1 - leak) * np.eye(n) + leak * 1.2 * W
    frame, total, steps = np.eye(n), np.zeros(n), 4000
    for _ in range(steps):
        frame, triangle = np.linalg.qr(J @ frame)
        total += np.log(np.abs(np.diag(triangle)))
    # conjugate pairs turn into each other, and share their exponent up to O(1/steps)
    np.testing.assert_allclose(found, total / steps / leak, atol=5e-3)
    assert found.sum() == pytest.approx(np.linalg.slogdet(J)[1] / leak, abs=1e-10)
    slow = leaky_fixed_point_exponents(W, 1e-7, derivative=1.2)
    np.testing.assert_allclose(leaky_fixed_point_exponents(W, 0.0, derivative=1.2), slow, atol=1e-6)
    pair = leaky_fixed_point_exponents(np.stack([W, W.T]), leak, derivative=1.2)
    np.testing.assert_allclose(pair, [found, found], atol=1e-12)


def test_refusals() -> None:
    """One clear error names the value and what is allowed."""
    for leak in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="leak="):
            leaky_rate("tanh", leak)
        with pytest.raises(ValueError, match="leak="):
            leaky_fixed_point_exponents(np.eye(2), leak)
    with pytest.raises(ValueError, match=r"no solution is found for tanh"):
        leaky_rate("tanh", 0.95, weight_scale=1.1)
    with pytest.raises(ValueError, match=r"leak=0.001 .* 0, or at least 0.01"):
        leaky_rate("tanh", 0.001, weight_scale=2.0)
    with pytest.raises(ValueError, match=r"no solution is found for sigmoid"):
        leaky_rate("sigmoid", 0.5, weight_scale=10.2)
    with pytest.raises(ValueError, match=r"relu at weight_scale=2\.0 diverges"):
        leaky_rate("relu", 0.5, weight_scale=2.0)


def simulated(n: int, networks: int, leak: float) -> np.ndarray:
    """Rates of erf networks with slope and bias, from 2000 steps after 300."""
    rng, steps, a = np.random.default_rng(n), 2000, 2.0
    rates = np.empty(networks)
    for k in range(networks):
        W, b = 1.5 / sqrt(n) * rng.standard_normal((n, n)), 0.1 * rng.standard_normal(n)
        h, y, log_growth = 2.0 * rng.standard_normal(n), rng.standard_normal(n), 0.0
        for step in range(300 + steps):
            d = a * ACTIVATIONS["erf"].derivative(a * h)
            through = W @ np.stack([ACTIVATIONS["erf"].value(a * h), d * y], axis=1)
            h = (1 - leak) * h + leak * (through[:, 0] + b)
            y = (1 - leak) * y + leak * through[:, 1]
            size = np.linalg.norm(y)
            y /= size
            log_growth += log(size) * (step >= 300)
        rates[k] = log_growth / steps / leak
    return rates


def test_simulated_networks_tend_to_the_rate() -> None:
    """Extrapolated in 1/n from n = 250 and 500. False-alarm rate 6e-5 (4 SE), fixed seeds."""
    near, far = simulated(500, 4, 0.5), simulated(250, 8, 0.5)
    extrapolated = 2.0 * near.mean() - far.mean()
    error = sqrt(4.0 * near.var(ddof=1) / near.size + far.var(ddof=1) / far.size)
    rate = leaky_rate("erf", 0.5, slope=2.0, weight_scale=1.5, bias_scale=0.1)
    assert error < 0.01
    assert abs(extrapolated - rate) <= 4.0 * error
    assert rate < mean_field("erf", slope=2.0, weight_scale=1.5, bias_scale=0.1).rate - 0.1
