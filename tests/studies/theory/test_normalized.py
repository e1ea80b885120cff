"""Theory of nets with wide normalised batches: tables, closed forms, other quadrature."""

from __future__ import annotations

from collections.abc import Callable
from math import asin, exp, inf, log, pi, sqrt

import mpmath as mp
import pytest
from exact import ACTIVATIONS as EXACT

from gradhorizon.studies.theory import (
    ACTIVATIONS,
    NORMALIZATIONS,
    critical_weight_scale,
    finite_batch_mean_field,
    mean_field,
    normalized_mean_field,
)

pytestmark = pytest.mark.filterwarnings("error")

NAMES = sorted(ACTIVATIONS)

Number = Callable[[mp.mpf], mp.mpf]


def exactly(function: Number, variance: float) -> mp.mpf:
    """E function(sqrt(variance) z) by tanh-sinh quadrature, split at a kink at 0."""
    spread = mp.sqrt(variance)

    def weighted(z: mp.mpf) -> mp.mpf:
        return function(spread * z) * mp.npdf(z)

    return mp.quad(weighted, [-12, -3, 0, 3, 12])


@pytest.mark.parametrize(
    "name, chi, digits",
    [
        ("linear", 1.0, 1e-14),
        ("relu", pi / (pi - 1), 1e-12),
        ("relu", 1.46694, 5e-6),
        ("sigmoid", 1.0336, 5e-5),
        ("erf", 1.2257, 5e-5),
    ],
)
def test_growth_of_batch_normalised_nets(name: str, chi: float, digits: float) -> None:
    """Table and closed forms of Yang et al. 2019."""
    field = normalized_mean_field(name)
    assert field.q == 1.0
    assert field.chi_1 == pytest.approx(chi, abs=digits)
    assert field.rate == pytest.approx(0.5 * log(chi), abs=digits)


def test_growth_of_recurrent_batch_norm() -> None:
    """gamma^2 E sech^4(sqrt2 gamma z) / E tanh^2(sqrt2 gamma z) for norms apart."""
    for gamma, table in ((0.1, 0.5002), (1.0, 0.672), (2.0, None)):
        field = normalized_mean_field(
            "tanh", normalization="batch-separate", norm_scale=gamma, input_variance=0.3
        )
        above = exactly(lambda u: mp.sech(u) ** 4, 2 * gamma**2)
        below = exactly(lambda u: mp.tanh(u) ** 2, 2 * gamma**2)
        assert field.chi_1 == pytest.approx(float(gamma**2 * above / below), rel=1e-11, abs=0)
        assert field.q == pytest.approx(2 * gamma**2, rel=1e-15, abs=0)
        if table:
            assert field.chi_1 == pytest.approx(table, abs=5e-4 if table == 0.672 else 5e-5)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "softplus", "tanh"])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_growth_against_other_quadrature(name: str, normalization: str) -> None:
    """Slope, weight scale, input and norm scale, to 1e-10; without bias."""
    a, scale, drive, gamma = 1.3, 0.7, 0.4, 1.9
    value, derivative = EXACT[name]
    terms = 2 if normalization == "batch-separate" else 1
    variance = terms * (a * gamma) ** 2
    seen = exactly(lambda u: value(u) ** 2, variance)
    if normalization != "layer":
        seen -= exactly(value, variance) ** 2
    steepness = a**2 * exactly(lambda u: derivative(u) ** 2, variance)
    below = scale**2 * seen + (0 if normalization == "batch-separate" else drive)
    found = normalized_mean_field(
        name,
        normalization=normalization,
        slope=a,
        weight_scale=scale,
        input_variance=drive,
        norm_scale=gamma,
    )
    expected = float((gamma * scale) ** 2 * steepness / below)
    assert found.chi_1 == pytest.approx(expected, rel=1e-10, abs=0)
    assert found.q == pytest.approx(terms * gamma**2, rel=1e-15, abs=0)


@pytest.mark.parametrize("gamma, bias", [(1.0, 0.5), (0.3, 2.0), (4.0, 1.0)])
def test_growth_with_bias(gamma: float, bias: float) -> None:
    """A bias does not vary over the batch: closed forms for erf, sine and the identity.

    E over b of Var phi(gamma z + b) is E phi(u)^2 - E phi(u) phi(v) for u, v of covariance bias^2.
    """
    q = gamma**2 + bias**2
    erf = normalized_mean_field("erf", norm_scale=gamma, bias_scale=bias)
    seen = 2 / pi * (asin(2 * q / (1 + 2 * q)) - asin(2 * bias**2 / (1 + 2 * q)))
    assert erf.chi_1 == pytest.approx(gamma**2 * 4 / pi / sqrt(1 + 4 * q) / seen, rel=1e-9, abs=0)
    sine = normalized_mean_field("sin", norm_scale=gamma, bias_scale=bias)
    seen = (1 - exp(-2 * q)) / 2 - (exp(-(gamma**2)) - exp(-q - bias**2)) / 2
    steepness = (1 + exp(-2 * q)) / 2
    assert sine.chi_1 == pytest.approx(gamma**2 * steepness / seen, rel=1e-9, abs=0)
    identity = normalized_mean_field("linear", norm_scale=gamma, bias_scale=bias)
    assert identity.chi_1 == pytest.approx(1.0, rel=1e-9, abs=0)
    assert identity.q == pytest.approx(q, rel=1e-15, abs=0)


@pytest.mark.parametrize("name", NAMES)
def test_batch_norm_explodes(name: str) -> None:
    """chi >= 1 (Poincare's inequality) at any norm scale and bias, equal where phi is straight."""
    for gamma in (0.05, 1.0, 5.0):
        for bias in (0.0, 1.0):
            chi = normalized_mean_field(name, norm_scale=gamma, bias_scale=bias).chi_1
            assert chi > 1.0 - 1e-9
            if name == "linear":
                assert chi < 1.0 + 1e-9
            elif gamma > 1.0:
                assert chi > 1.1


@pytest.mark.parametrize("name", NAMES)
def test_symmetries(name: str) -> None:
    """The weight scale cancels, slope and norm scale act as one; an input in the norm dilutes."""
    plain = normalized_mean_field(name, norm_scale=1.7).chi_1
    assert normalized_mean_field(name, norm_scale=1.7, weight_scale=9.0).chi_1 == pytest.approx(
        plain, rel=1e-12, abs=0
    )
    assert normalized_mean_field(name, slope=1.7).chi_1 == pytest.approx(plain, rel=1e-12, abs=0)
    diluted = normalized_mean_field(name, norm_scale=1.7, input_variance=0.5).chi_1
    assert diluted < plain
    alone = normalized_mean_field(name, norm_scale=1.7, normalization="batch-separate").chi_1
    assert alone == plain  # without input there is one term


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "elu", "hard_tanh", "sin"])
def test_layer_norm_at_the_stationary_variance_changes_nothing(name: str) -> None:
    """gamma^2 = q - bias^2 of the plain network: the norm divides by what it multiplies with.

    So chi is the plain network's; for odd phi that of batch normalisation without bias, too.
    """
    for bias in (0.0, 0.4):
        scales = {"weight_scale": 1.1, "input_variance": 0.2, "bias_scale": bias}
        plain = mean_field(name, **scales)
        gamma = sqrt(plain.q - bias**2)
        layer = normalized_mean_field(name, normalization="layer", norm_scale=gamma, **scales)
        assert layer == pytest.approx(plain, rel=1e-10, abs=1e-10)
        if name in ("tanh", "hard_tanh", "sin") and bias == 0.0:
            batch = normalized_mean_field(name, norm_scale=gamma, **scales)
            assert batch == pytest.approx(plain, rel=1e-10, abs=1e-10)


def test_critical_depth_is_out_of_reach_with_batch_norm() -> None:
    """No weight scale makes a batch-normalised net critical, while the plain one has a value."""
    critical = critical_weight_scale("tanh")
    for scale in (0.1 * critical, critical, 10 * critical):
        assert normalized_mean_field("tanh", weight_scale=scale).rate > 0.08


def test_bad_arguments() -> None:
    """Each is named with its value and what is allowed."""
    with pytest.raises(ValueError, match=r"normalization='group'.*batch-separate"):
        normalized_mean_field("tanh", normalization="group")
    with pytest.raises(ValueError, match=r"swish.*tanh"):
        normalized_mean_field("swish")
    with pytest.raises(ValueError, match=r"normalization='layer'.*batch-separate"):
        finite_batch_mean_field("tanh", 8, normalization="layer")
    with pytest.raises(ValueError, match="batch_size=3"):
        finite_batch_mean_field("tanh", 3)
    for bad in (0.0, -1.0, inf):
        with pytest.raises(ValueError, match=f"norm_scale={bad}"):
            normalized_mean_field("tanh", norm_scale=bad)
        with pytest.raises(ValueError, match=f"weight_scale={bad}"):
            finite_batch_mean_field("tanh", 8, weight_scale=bad)
    with pytest.raises(ValueError, match="bias_scale=-1"):
        normalized_mean_field("tanh", bias_scale=-1.0)
