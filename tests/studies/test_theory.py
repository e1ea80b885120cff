"""Theory against published tables, closed forms, independent quadrature and exact sampling."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import quad

from gradhorizon.studies import random_matrices, theory
from gradhorizon.studies.expectations import (
    ACTIVATIONS,
    activation_named,
    gaussian_expectation,
    gaussian_pair_expectation,
)

# Relative tolerances are given with abs=0, as pytest.approx would else allow 1e-12 as well.
# No warning may escape: divergence is data here.
pytestmark = pytest.mark.filterwarnings("error")

Scalar = Callable[[float], float]


def _sigmoid(u: float) -> float:
    return 1.0 / (1.0 + math.exp(-u)) if u >= 0.0 else math.exp(u) / (1.0 + math.exp(u))


def _normal_cdf(u: float) -> float:
    return 0.5 * math.erfc(-u / math.sqrt(2.0))


def _normal_density(u: float) -> float:
    return math.exp(-0.5 * u * u) / math.sqrt(2.0 * math.pi)


def _silu_derivative(u: float) -> float:
    return _sigmoid(u) + u * _sigmoid(u) * _sigmoid(-u)


# (phi, phi') written again with the math module, one number at a time.
SCALAR: dict[str, tuple[Scalar, Scalar]] = {
    "linear": (lambda u: u, lambda u: 1.0),
    "tanh": (math.tanh, lambda u: 1.0 / math.cosh(min(abs(u), 300.0)) ** 2),
    "sigmoid": (_sigmoid, lambda u: _sigmoid(u) * _sigmoid(-u)),
    "relu": (lambda u: max(u, 0.0), lambda u: float(u > 0.0)),
    "leaky_relu": (lambda u: max(u, 0.01 * u), lambda u: 1.0 if u > 0.0 else 0.01),
    "softplus": (lambda u: max(u, 0.0) + math.log1p(math.exp(-abs(u))), _sigmoid),
    "elu": (
        lambda u: u if u > 0.0 else math.expm1(u),
        lambda u: 1.0 if u > 0.0 else math.exp(u),
    ),
    "gelu": (
        lambda u: u * _normal_cdf(u),
        lambda u: _normal_cdf(u) + u * _normal_density(u),
    ),
    "silu": (lambda u: u * _sigmoid(u), _silu_derivative),
    "erf": (math.erf, lambda u: 2.0 / math.sqrt(math.pi) * math.exp(-u * u)),
    "hard_tanh": (lambda u: min(max(u, -1.0), 1.0), lambda u: float(abs(u) < 1.0)),
    "sin": (math.sin, math.cos),
}
NAMES = sorted(ACTIVATIONS)
VARIANCES = [1e-10, 1e-3, 1.0, 30.0, 1e4]


def independent_expectation(function: Scalar, variance: float) -> float:
    """E f(sqrt(variance) z) by adaptive quadrature, split at kinks and along the tails."""
    spread = math.sqrt(variance)
    places = {s * u / spread for s in (-1, 1) for u in (0.0, 1.0, 4.0, 16.0, 40.0)}
    cuts = sorted({-10.0, 10.0, *np.arange(-9.0, 10.0, 3.0), *(p for p in places if abs(p) < 10)})
    return math.fsum(
        quad(
            lambda z: function(spread * z) * _normal_density(z),
            float(cuts[i]),
            float(cuts[i + 1]),
            epsabs=1e-15,
            epsrel=1e-12,
            limit=400,
        )[0]
        for i in range(len(cuts) - 1)
    )


def test_activation_names_and_unknown_name() -> None:
    """Every activation is tested here, and an unknown one is refused with the list."""
    assert set(ACTIVATIONS) == set(SCALAR)
    with pytest.raises(ValueError, match=r"swish.*tanh"):
        activation_named("swish")


@pytest.mark.parametrize("name", NAMES)
def test_activation_values(name: str) -> None:
    """Values and derivatives equal the scalar definitions to round-off, deep into the tails."""
    unit = ACTIVATIONS[name]
    u = np.concatenate([np.linspace(-6.0, 6.0, 101) + 0.003, [-300.0, -40.0, 40.0, 300.0]])
    for vectorised, scalar in zip((unit.value, unit.derivative), SCALAR[name], strict=True):
        expected = [scalar(float(x)) for x in u]
        np.testing.assert_allclose(vectorised(u), expected, rtol=2e-12, atol=1e-300)


@pytest.mark.parametrize("name", NAMES)
def test_derivative_is_the_derivative(name: str) -> None:
    """A fourth-order central difference of phi, its stencil clear of the kinks, gives phi'."""
    unit, h = ACTIVATIONS[name], 1e-3
    u = np.linspace(-7.0, 7.0, 500)
    for kink in unit.kinks:
        u = u[np.abs(u - kink) > 2.5 * h]
    near = unit.value(u + h) - unit.value(u - h)
    far = unit.value(u + 2 * h) - unit.value(u - 2 * h)
    np.testing.assert_allclose(unit.derivative(u), (8 * near - far) / (12 * h), atol=3e-12)


@pytest.mark.parametrize("name", NAMES)
def test_activation_declarations(name: str) -> None:
    """Bound, period and homogeneity are what the values say."""
    unit = ACTIVATIONS[name]
    u = np.linspace(-50.0, 50.0, 2001)
    largest = np.abs(unit.value(u)).max()
    assert largest <= unit.bound
    assert largest > (0.999 * unit.bound if math.isfinite(unit.bound) else 40.0)
    if math.isfinite(unit.wavelength):
        np.testing.assert_allclose(unit.value(u + unit.wavelength), unit.value(u), atol=1e-13)
    scales = np.allclose(unit.value(3.0 * u), 3.0 * unit.value(u))
    assert unit.homogeneous == scales


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variance", VARIANCES)
def test_expectation_against_adaptive_quadrature(name: str, variance: float) -> None:
    """Second moments of phi and phi' to 1e-10, from nearly linear to saturated."""
    unit, (phi, derivative) = ACTIVATIONS[name], SCALAR[name]
    measured = gaussian_expectation(lambda u: unit.value(u) ** 2, unit, variance)
    expected = independent_expectation(lambda u: phi(u) ** 2, variance)
    assert measured == pytest.approx(expected, rel=1e-10, abs=0)
    measured = gaussian_expectation(lambda u: unit.derivative(u) ** 2, unit, variance)
    expected = independent_expectation(lambda u: derivative(u) ** 2, variance)
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


@pytest.mark.parametrize(
    ("weight_scale", "rate"),
    [(1.2, 0.016476), (1.5, 0.065217), (2, 0.154724), (3, 0.310249), (10, 0.856435)],
)
def test_tanh_rates(weight_scale: float, rate: float) -> None:
    """Leading exponents of the autonomous tanh network (Molgedey et al. 1992; Engelken 2023)."""
    result = theory.mean_field("tanh", weight_scale=weight_scale)
    assert result.rate == pytest.approx(rate, abs=6e-7)
    assert result.rate == pytest.approx(0.5 * math.log(result.chi_1), abs=1e-15)


def test_onset_of_chaos_with_input() -> None:
    """Input suppresses chaos (Molgedey, Schuchhardt & Schuster 1992)."""
    onset = theory.critical_weight_scale
    for name, slope in (("tanh", 1.0), ("sin", 0.3), ("hard_tanh", 1.7), ("elu", 1.3)):
        assert onset(name, slope=slope) == pytest.approx(1.0 / slope, rel=1e-12, abs=0)
    for name in ("gelu", "silu", "softplus", "relu"):  # divergence comes before the onset
        assert onset(name) == pytest.approx(math.sqrt(2.0), rel=1e-12, abs=0)
    assert onset("tanh", input_variance=0.05) == pytest.approx(1.3270, abs=5e-5)
    assert onset("tanh", input_variance=0.3) == pytest.approx(1.5828, abs=5e-5)


@pytest.mark.parametrize(
    ("bias_variance", "critical"), [(1e-4, 1.0860), (0.01, 1.4242), (0.05, 1.76096), (0.3, 2.5051)]
)
def test_critical_line_of_tanh(bias_variance: float, critical: float) -> None:
    """The line chi_1 = 1 (Poole et al. 2016; Schoenholz et al. 2017)."""
    found = theory.critical_weight_scale("tanh", bias_scale=math.sqrt(bias_variance)) ** 2
    assert found == pytest.approx(critical, abs=6e-5 if critical != 1.76096 else 6e-6)


def test_sigmoid() -> None:
    """Gradients vanish fast at weight scale 1 and turn critical at ten times that."""
    result = theory.mean_field("sigmoid")
    assert result.chi_1 == pytest.approx(0.0557, abs=5e-5)
    assert result.rate == pytest.approx(-1.444, abs=5e-4)
    assert theory.critical_weight_scale("sigmoid") == pytest.approx(10.149, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "q", "weight_variance", "bias_variance"),
    [("silu", 14.32017362, 1.98800468, 0.55514317), ("gelu", 3.56155281, 1.98305826, 0.17292239)],
)
def test_half_stable_points(
    name: str, q: float, weight_variance: float, bias_variance: float
) -> None:
    """Where q stays and neither it nor a gradient decays (Roberts, Yaida & Hanin 2022)."""
    unit = ACTIVATIONS[name]
    growth = gaussian_expectation(lambda u: unit.derivative(u) ** 2, unit, q)
    assert weight_variance * growth == pytest.approx(1.0, abs=2e-8)
    moment = gaussian_expectation(lambda u: unit.value(u) ** 2, unit, q)
    assert weight_variance * moment + bias_variance == pytest.approx(q, abs=1e-7)
    shift = gaussian_expectation(lambda u: unit.value(u) * unit.derivative(u) * u, unit, q)
    assert weight_variance * shift / q == pytest.approx(1.0, abs=2e-8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("drive", [0.0, 0.1729, 1.0])
def test_critical_weight_scale_is_a_crossing(name: str, drive: float) -> None:
    """There chi_1 = 1, and below it chi_1 < 1: for gelu and silu too, which cross repeatedly."""
    critical = theory.critical_weight_scale(name, input_variance=drive)

    def chi_1(fraction: float) -> float:
        scale = fraction * critical
        return theory.mean_field(name, weight_scale=scale, input_variance=drive).chi_1

    assert max(map(chi_1, (0.5, 0.9, 0.99, 1 - 1e-5))) < 1.0
    assert chi_1(1 + 1e-5) > 1.0 - 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_stationary_variance_is_stationary_and_stable(name: str) -> None:
    """The variance reproduces itself under independent quadrature, and nearby ones approach."""
    phi, bias_scale, input_variance, slope = SCALAR[name][0], 0.3, 0.2, 0.8
    for weight_scale in (0.5, 1.1):
        q, chi_1, _ = theory.mean_field(
            name,
            slope=slope,
            weight_scale=weight_scale,
            bias_scale=bias_scale,
            input_variance=input_variance,
        )

        def image(variance: float, weight_scale: float = weight_scale) -> float:
            moment = independent_expectation(lambda u: phi(u) ** 2, slope**2 * variance)
            return weight_scale**2 * moment + bias_scale**2 + input_variance

        if name == "linear":
            assert q == pytest.approx(0.29 / (1 - (weight_scale * slope) ** 2), rel=1e-12, abs=0)
            assert chi_1 == pytest.approx((weight_scale * slope) ** 2, rel=1e-12, abs=0)
        assert image(q) == pytest.approx(q, rel=1e-10, abs=0)
        assert image(1.1 * q) < 1.1 * q
        assert image(0.9 * q) > 0.9 * q


def test_slope_is_a_weight_scale_for_odd_saturation() -> None:
    """phi(a net) with scales s is phi(net) with scales a s: same chi_1, q smaller by a^2."""
    plain = theory.mean_field("erf", weight_scale=3.0, bias_scale=0.6, input_variance=0.09)
    steep = theory.mean_field(
        "erf", slope=3.0, weight_scale=1.0, bias_scale=0.2, input_variance=0.01
    )
    assert steep.chi_1 == pytest.approx(plain.chi_1, rel=1e-11, abs=0)
    depths = theory.depth_scales("erf", weight_scale=3.0, bias_scale=0.6, input_variance=0.09)
    assert 0.0 < depths.fixed_correlation < 1.0
    assert theory.depth_scales(
        "erf", slope=3.0, weight_scale=1.0, bias_scale=0.2, input_variance=0.01
    ) == pytest.approx(depths, rel=1e-9, abs=0)
    critical = theory.critical_weight_scale("erf", slope=3.0, bias_scale=0.2)
    assert 3.0 * critical == pytest.approx(
        theory.critical_weight_scale("erf", bias_scale=0.6), rel=1e-11, abs=0
    )
    assert 9.0 * steep.q == pytest.approx(plain.q, rel=1e-11, abs=0)


def test_variance_that_vanishes_or_diverges() -> None:
    """Homogeneous and one-sided activations, where q is 0, inf or arbitrary."""
    he = math.sqrt(2.0)

    def field(name: str, scale: float, **more: float) -> tuple[float, float]:
        q, chi_1, _ = theory.mean_field(name, weight_scale=scale, **more)
        return q, round(chi_1, 9)

    assert field("linear", 0.5) == (0.0, 0.25)
    assert field("linear", 2.0) == (math.inf, 4.0)
    assert field("relu", 1.0) == (0.0, 0.5)
    assert field("relu", 2.0, bias_scale=1.0) == (math.inf, 2.0)
    assert field("relu", he, input_variance=1.0) == (math.inf, 1.0)
    assert field("relu", he, initial_variance=3.0) == (3.0, 1.0)
    assert math.isnan(theory.mean_field("relu", weight_scale=he).q)
    assert theory.mean_field("relu", weight_scale=he).rate == pytest.approx(0.0, abs=1e-15)
    assert field("tanh", 0.9) == (0.0, 0.81)
    assert field("softplus", 1.6) == (math.inf, 1.28)
    assert field("elu", 1.6) == (math.inf, 1.28)
    assert field("gelu", he) == (0.0, 0.5)
    for name in ("gelu", "silu"):  # two stable states, by where the iteration starts
        assert field(name, 1.6) == (math.inf, 1.28)
        assert field(name, 1.6, initial_variance=0.05) == (0.0, 0.64)
    assert theory.mean_field("tanh", weight_scale=0.0, bias_scale=1.0).rate == -math.inf


def test_variance_in_the_corners() -> None:
    """Start values, vanishing drives and vast or neutral scales are none of them lost."""
    for name in ("linear", "tanh", "relu", "hard_tanh"):
        assert theory.mean_field(name, weight_scale=3.0, initial_variance=0.0).q == 0.0
    driven = {"weight_scale": 1.3, "bias_scale": 0.1}
    for name in ("tanh", "sigmoid", "elu"):
        start = theory.mean_field(name, initial_variance=0.0, **driven)
        assert start == pytest.approx(theory.mean_field(name, **driven), rel=1e-10, abs=0)
    assert theory.mean_field("tanh", weight_scale=2.0, initial_variance=1e-20).q == pytest.approx(
        theory.mean_field("tanh", weight_scale=2.0).q, rel=1e-12
    )
    assert theory.mean_field("tanh", weight_scale=0.5, bias_scale=1e-9).q == pytest.approx(
        1e-18 / (1 - 0.25), rel=1e-12
    )
    softplus = theory.mean_field("softplus", weight_scale=1e-8)
    assert softplus.q == pytest.approx(1e-16 * math.log(2.0) ** 2, rel=1e-12, abs=0)
    vast = theory.mean_field("tanh", weight_scale=1e8)
    assert vast.q == pytest.approx(1e16, rel=1e-7, abs=0)
    narrow = 4 / 3 / math.sqrt(2 * math.pi * vast.q)  # E sech^4, the bend's area times the density
    assert vast.chi_1 == pytest.approx(1e16 * narrow, rel=1e-7, abs=0)
    neutral = theory.mean_field("hard_tanh", weight_scale=1.0)
    assert (neutral.q, neutral.chi_1) == pytest.approx((0.0, 1.0))
    assert theory.mean_field("elu", weight_scale=1.4, input_variance=1e6).q > 1e7


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("skip", 1.0),
        ("branch", 0.5),
        ("slope", 0.0),
        ("weight_scale", -1.0),
        ("bias_scale", math.nan),
        ("input_variance", math.inf),
        ("initial_variance", -1.0),
        ("initial_variance", math.inf),
    ],
)
def test_refusals_name_the_field(field: str, value: float) -> None:
    """One clear error names the field and the value."""
    with pytest.raises(ValueError, match=f"{field}={value}"):
        theory.mean_field("tanh", **{field: value})


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
    curvature = independent_expectation(
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


def test_gaussian_product_table() -> None:
    """Newman 1986; Forrester 2013: N = 32, sigma = 1."""
    exponent, variance = random_matrices.gaussian_product_exponents(32)
    np.testing.assert_allclose(exponent[[0, 15, 31]], [-0.015788, -0.346249, -2.368049], atol=6e-7)
    np.testing.assert_allclose(np.sqrt(variance[[0, 31]]), [0.12698, 1.11072], atol=6e-6)
    assert exponent.sum() == pytest.approx(-16.93537, abs=6e-6)
    scaled, same = random_matrices.gaussian_product_exponents(32, 3.0)
    np.testing.assert_allclose(scaled, exponent + math.log(3.0))
    np.testing.assert_array_equal(same, variance)


def test_gaussian_product_by_sampling() -> None:
    """ln|R_ii| of one QR step, n = 3. False-alarm rate 4e-4 (6 two-sided tests at 4 SE), seeded."""
    draws, rng = 20_000, np.random.default_rng(11)
    matrices = 1.7 / math.sqrt(3.0) * rng.standard_normal((draws, 3, 3))
    diagonal = np.abs(np.linalg.qr(matrices).R[:, np.arange(3), np.arange(3)])
    _assert_moments(np.log(diagonal), *random_matrices.gaussian_product_exponents(3, 1.7))


def test_deep_relu_table() -> None:
    """Hanin & Nica 2020, He weights: N = 64; and -5/2n, 5/n at large n."""
    mean, variance, dead = random_matrices.deep_relu_increment(64)
    assert mean == pytest.approx(-0.040109, abs=6e-7)
    assert variance == pytest.approx(0.082997, abs=6e-7)
    assert dead == 2.0**-64
    wide = random_matrices.deep_relu_increment(4000)
    assert wide.mean == pytest.approx(-2.5 / 4000, rel=1e-2, abs=0)
    assert wide.variance == pytest.approx(5.0 / 4000, rel=1e-2, abs=0)


def test_deep_relu_by_sampling() -> None:
    """Layers of width 4, masked by an independent sign. False-alarm rate 2e-4 (4 SE), seeded."""
    draws, rng = 100_000, np.random.default_rng(12)
    W = 1.3 / math.sqrt(4.0) * rng.standard_normal((draws, 4, 4))
    h, u = np.array([0.5, 1.0, 0.0, 2.0]), np.array([0.6, -0.8, 0.0, 0.0])
    active = W @ h > 0.0
    growth = np.sum((W @ u) ** 2 * active, axis=1)
    mean, variance, dead = random_matrices.deep_relu_increment(4, 1.3)
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
        random_matrices.gaussian_product_exponents(n)
    with pytest.raises(ValueError, match=f"n={n}"):
        random_matrices.deep_relu_increment(n)


def test_spectral_radius_rate() -> None:
    """Known spectra, alone and stacked; a nilpotent matrix has rate -inf."""
    assert random_matrices.spectral_radius_rate(np.diag([0.5, -3.0])) == pytest.approx(
        math.log(3.0)
    )
    rotation = 0.9 * np.array([[0.0, -1.0], [1.0, 0.0]])
    nilpotent = np.array([[0.0, 1.0], [0.0, 0.0]])
    rates = random_matrices.spectral_radius_rate(np.stack([rotation, nilpotent]))
    np.testing.assert_allclose(rates, [math.log(0.9), -math.inf])


def test_spectral_radius_of_ginibre() -> None:
    """N = 16: E ln rho = 0.061, sd 0.113. False-alarm rate 6e-5 (4 SE, and rounding), seeded."""
    rng = np.random.default_rng(13)
    rates = random_matrices.spectral_radius_rate(rng.standard_normal((2000, 16, 16)) / 4.0)
    assert rates.mean() == pytest.approx(0.061, abs=4 * 0.113 / math.sqrt(2000) + 5e-4)


@pytest.mark.parametrize("name", NAMES)
def test_derivative_bound_is_the_supremum(name: str) -> None:
    """No |phi'| on a fine grid exceeds the bound, and some come within 1e-8 of it."""
    u = np.concatenate([np.linspace(-30.0, 30.0, 600_001), [1e3]])
    steepest = float(np.abs(ACTIVATIONS[name].derivative(u)).max())
    bound = theory.derivative_bound(name)
    assert steepest <= bound * (1 + 1e-15)
    assert steepest > bound * (1 - 1e-8)
    assert theory.derivative_bound(name, 2.5) == pytest.approx(2.5 * bound)


def test_certified_rate() -> None:
    """The bound certifies vanishing of tanh for weight scales below 1/2, of sigmoid below 2."""
    assert theory.certified_rate("tanh", weight_scale=0.5) == pytest.approx(0.0, abs=1e-15)
    assert theory.certified_rate("sigmoid", weight_scale=2.0) == pytest.approx(0.0, abs=1e-15)
    assert theory.certified_rate("relu", slope=2.0) == pytest.approx(math.log(4.0))
    for name in NAMES:
        for weight_scale in (0.3, 3.0):
            bound = theory.certified_rate(name, weight_scale=weight_scale)
            result = theory.mean_field(name, weight_scale=weight_scale)
            assert result.rate < bound - 0.5 * math.log(2.0)


def test_import_is_light() -> None:
    """Command start-up must not pay for scipy.optimize or for compilers."""
    code = (
        "import sys; import gradhorizon.studies.theory; "
        "print([m for m in ('scipy.optimize', 'scipy.special', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
