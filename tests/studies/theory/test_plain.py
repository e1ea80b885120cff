"""Mean-field theory of plain nets against tables, closed forms and independent quadrature."""

from __future__ import annotations

import math

import pytest
from adaptive import SCALAR, adaptive_expectation

from gradhorizon.studies import theory

# Relative tolerances are given with abs=0, as pytest.approx would else allow 1e-12 as well.
# No warning may escape: divergence is data here.
pytestmark = pytest.mark.filterwarnings("error")

NAMES = sorted(theory.ACTIVATIONS)


@pytest.mark.parametrize(
    ("weight_scale", "rate"),
    [(1.2, 0.016476), (1.5, 0.065217), (2, 0.154724), (3, 0.310249), (10, 0.856435)],
)
def test_tanh_rates(weight_scale: float, rate: float) -> None:
    """Leading exponents of the autonomous tanh network (Molgedey et al. 1992; Engelken 2023)."""
    result = theory.mean_field("tanh", weight_scale=weight_scale)
    assert result.rate == pytest.approx(rate, abs=6e-7)
    assert result.rate == pytest.approx(0.5 * math.log(result.chi_1), abs=1e-15)


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
            moment = adaptive_expectation(lambda u: phi(u) ** 2, slope**2 * variance)
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
