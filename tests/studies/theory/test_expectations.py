"""Gaussian expectations against adaptive quadrature and closed forms."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from adaptive import SCALAR, adaptive_expectation
from exact import ACTIVATIONS as EXACT

from gradhorizon.studies.theory import (
    ACTIVATIONS,
    gaussian_expectation,
    gaussian_pair_expectation,
    mean_field,
)

# Relative tolerances are given with abs=0, as pytest.approx would else allow 1e-12 as well.
# No warning may escape: divergence is data here.
pytestmark = pytest.mark.filterwarnings("error")

NAMES = sorted(ACTIVATIONS)

VARIANCES = [1e-10, 1e-3, 1.0, 30.0, 1e4]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variance", VARIANCES)
def test_expectation_against_adaptive_quadrature(name: str, variance: float) -> None:
    """Second moments of phi and phi' to 1e-10, from nearly linear to saturated."""
    unit, (phi, derivative) = ACTIVATIONS[name], SCALAR[name]
    measured = gaussian_expectation(lambda u: unit.value(u) ** 2, unit, variance)
    expected = adaptive_expectation(lambda u: phi(u) ** 2, variance)
    assert measured == pytest.approx(expected, rel=1e-10, abs=0)
    measured = gaussian_expectation(lambda u: unit.derivative(u) ** 2, unit, variance)
    expected = adaptive_expectation(lambda u: derivative(u) ** 2, variance)
    assert measured == pytest.approx(expected, rel=1e-10, abs=0)


@pytest.mark.parametrize("q", [0.0, 1e-12, 0.3, 1.0, 300.0, 1e4, 1e10, 1e60])
def test_expectation_closed_forms(q: float) -> None:
    """Second moments: arcsine of erf (Williams 1998), gelu (from Price's theorem), and others."""

    def second_moment(name: str) -> float:
        unit = ACTIVATIONS[name]
        return gaussian_expectation(lambda u: unit.value(u) ** 2, unit, q)

    def growth(name: str) -> float:
        unit = ACTIVATIONS[name]
        return gaussian_expectation(lambda u: unit.derivative(u) ** 2, unit, q)

    assert second_moment("linear") == pytest.approx(q, rel=1e-13, abs=0)
    assert second_moment("relu") == pytest.approx(q / 2, rel=1e-13, abs=0)
    assert second_moment("leaky_relu") == pytest.approx(q * (1 + 1e-4) / 2, rel=1e-13, abs=0)
    assert growth("relu") == pytest.approx(0.5, rel=1e-13, abs=0)
    assert growth("leaky_relu") == pytest.approx((1 + 1e-4) / 2, rel=1e-13, abs=0)
    arcsine = math.asin(2 * q / (1 + 2 * q)) * 2 / math.pi
    assert second_moment("erf") == pytest.approx(arcsine, rel=1e-11, abs=0)
    assert growth("erf") == pytest.approx(4 / math.pi / math.sqrt(1 + 4 * q), rel=1e-12, abs=0)
    gelu = q / 4 + q / (2 * math.pi) * math.asin(q / (1 + q))
    gelu += q**2 / (math.pi * (1 + q) * math.sqrt(1 + 2 * q))
    assert second_moment("gelu") == pytest.approx(gelu, rel=1e-11, abs=0)
    inside = math.erf(1 / math.sqrt(2 * q)) if q else 1.0
    assert growth("hard_tanh") == pytest.approx(inside, rel=1e-12, abs=0)
    assert second_moment("sin") == pytest.approx(-math.expm1(-2 * q) / 2, rel=1e-12, abs=0)


@pytest.mark.parametrize("q", [1e-4, 1.0, 50.0, 1e4])
@pytest.mark.parametrize("c", [0.0, 1e-3, 0.4, 0.95, 1 - 1e-7, 1.0])
def test_pair_expectation_closed_forms(q: float, c: float) -> None:
    """Arc-cosine kernels (Cho & Saul 2009), arcsine of erf (Williams 1998), sine and cosine."""

    def pair(name: str, derivative: bool = False) -> float:
        unit = ACTIVATIONS[name]
        return gaussian_pair_expectation(unit.derivative if derivative else unit.value, unit, q, c)

    angle = math.acos(c)
    relu = q * (math.sin(angle) + (math.pi - angle) * c) / (2 * math.pi)
    assert pair("relu") == pytest.approx(relu, rel=1e-11, abs=0)
    assert pair("relu", True) == pytest.approx(0.5 - angle / (2 * math.pi), rel=1e-11, abs=0)
    assert pair("linear") == pytest.approx(q * c, rel=1e-12, abs=1e-16 * q)
    arcsine = 2 / math.pi * math.asin(2 * q * c / (1 + 2 * q))
    assert pair("erf") == pytest.approx(arcsine, rel=1e-10, abs=1e-14)
    cosine = 4 / math.pi / math.sqrt((1 + 2 * q) ** 2 - (2 * q * c) ** 2)
    assert pair("erf", True) == pytest.approx(cosine, rel=1e-10, abs=0)
    even, odd = math.exp(-q * (1 - c)), math.exp(-q * (1 + c))
    assert pair("sin") == pytest.approx((even - odd) / 2, abs=1e-12)
    assert pair("sin", True) == pytest.approx((even + odd) / 2, abs=1e-12)


@pytest.mark.parametrize("spread", [10.0, 18.8, 18.9, 40.0, 1e3, 1e10, 1e30])
def test_an_oscillation_fades(spread: float) -> None:
    """The fading sine at any spread, with few nodes: E sin^2, E u sin cos, E cos(u) cos(v)."""
    unit, q = ACTIVATIONS["sin"], spread**2
    nodes = []

    def square(u: np.ndarray) -> np.ndarray:
        nodes.append(u.size)
        return unit.value(u) ** 2

    assert gaussian_expectation(square, unit, q) == pytest.approx(0.5, rel=1e-14, abs=0)
    assert nodes[0] <= 1024
    slope = gaussian_expectation(lambda u: unit.value(u) * unit.derivative(u) * u, unit, q)
    assert slope == pytest.approx(q * math.exp(-2 * q), abs=1e-12)
    for across in (0.01, 1.0, 100.0):
        if across < q:
            found = gaussian_pair_expectation(unit.derivative, unit, q, 1.0 - across / q)
            rounded = 1.0 - (1.0 - across / q)
            assert found == pytest.approx(0.5 * math.exp(-rounded * q), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("name", ["tanh", "hard_tanh", "elu", "gelu"])
def test_correlation_map_slope(name: str) -> None:
    """Price's theorem: d/dc E phi(u) phi(v) = q E phi'(u) phi'(v), across bodies of the map."""
    unit, q, h = ACTIVATIONS[name], 2.0, 1e-4
    for c in (0.2, 0.7, 0.97):
        up = gaussian_pair_expectation(unit.value, unit, q, c + h)
        down = gaussian_pair_expectation(unit.value, unit, q, c - h)
        expected = q * gaussian_pair_expectation(unit.derivative, unit, q, c)
        assert (up - down) / (2 * h) == pytest.approx(expected, rel=2e-5, abs=0)


def exactly(name: str, spread: float, wanted: str) -> float:
    """E phi^2, E phi'^2 or E phi phi' u in 20 digits, cut where tanh-sinh needs it."""
    value, derivative = EXACT[name]
    integrand = {
        "value": lambda u: value(u) ** 2,
        "derivative": lambda u: derivative(u) ** 2,
        "drift": lambda u: value(u) * derivative(u) * u,
    }[wanted]
    bends = [s * u for s in (-1, 1) for u in (0.0, 1.0, 3.0, 8.0, 20.0, 50.0)]
    if name == "sin":
        bends = list(np.arange(-math.ceil(3 * spread), math.ceil(3 * spread) + 1) * math.pi)
    cuts = sorted({u for u in bends if abs(u) < 9 * spread} | {9 * spread, -9 * spread})
    return float(mp.quad(lambda u: integrand(u) * mp.npdf(u, 0, spread), cuts))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wanted", ["value", "derivative", "drift"])
def test_expectations_of_networks_to_many_digits(name: str, wanted: str) -> None:
    """To 1e-10 for weight scales 0.1 to 50 and slopes 0.25 to 8, at the stationary variance."""
    unit = ACTIVATIONS[name]
    function = {
        "value": lambda u: unit.value(u) ** 2,
        "derivative": lambda u: unit.derivative(u) ** 2,
        "drift": lambda u: unit.value(u) * unit.derivative(u) * u,
    }[wanted]
    for weight_scale, slope in ((0.1, 0.25), (1.5, 0.8), (0.1, 8.0), (50.0, 8.0)):
        q = mean_field(name, slope=slope, weight_scale=weight_scale, bias_scale=0.3).q
        spread = slope * math.sqrt(min(q, 1e4 / slope**2))  # where it diverges, far out
        if name == "sin":
            spread = min(spread, 5.0)  # beyond, `test_an_oscillation_fades`
        found = gaussian_expectation(function, unit, spread**2)
        cancels = name == "sin" and wanted == "drift"  # E u sin u cos u = spread^2 e^(-2 spread^2)
        expected = exactly(name, spread, wanted)
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-14 * spread * cancels)
