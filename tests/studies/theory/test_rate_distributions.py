"""The exact distribution of the rate: against arbitrary precision, sampling and measured networks.

Kolmogorov-Smirnov tests have p > 1e-4, their false-alarm rate; z-tests that of `laws`.
"""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
import pytest
from laws import assert_mean, assert_variance
from scipy.stats import chi2, kstest

from gradhorizon.engine import NetworkSpec, measure
from gradhorizon.studies.theory import linear_rate, relu_rate

pytestmark = pytest.mark.filterwarnings("error")

LAWS = {
    "one linear unit, one layer": linear_rate(1, 1),
    "linear": linear_rate(16, 4),
    "linear, wide and deep": linear_rate(500, 200, 0.3),
    "one active ReLU unit": relu_rate(1, 1),
    "relu": relu_rate(16, 4),
    "relu, narrow": relu_rate(3, 2, 5.0),
    "relu, wide": relu_rate(300, 10),
}
EACH = pytest.mark.parametrize("law", LAWS.values(), ids=list(LAWS))


def relu_characteristic_function(u, n, layers, scale):
    """The formula of the module, term by term, from the binomial distribution given K >= 1."""
    total = mp.mpf(0)
    for k in range(1, n + 1):
        size = mp.mpf(2) * scale**2 / n
        moment = mp.gamma((k + 1j * u / layers) / 2) / mp.gamma(mp.mpf(k) / 2)
        total += mp.binomial(n, k) * size ** (0.5j * u / layers) * moment
    return (total / (2**n - 1)) ** layers


@pytest.mark.parametrize("u", [0.0, 0.3, -2.0, 11.0])
def test_characteristic_function_in_arbitrary_precision(u):
    found = LAWS["relu, narrow"].characteristic_function(u)
    assert abs(found - complex(relu_characteristic_function(u, 3, 2, 5))) < 1e-14


def test_distribution_in_arbitrary_precision():
    """The inversion integrals of Gil-Pelaez (1951) by adaptive quadrature."""
    law = LAWS["relu, narrow"]
    for rate in law.mean + law.sd * np.array([-4.0, 0.5]):

        def wave(u, rate=rate):
            return mp.exp(-1j * u * rate) * relu_characteristic_function(u, 3, 2, 5)

        panels = mp.linspace(0, 45, 7)
        density = mp.quad(lambda u: mp.re(wave(u)), panels) / mp.pi
        probability = mp.mpf(0.5) - mp.quad(lambda u: mp.im(wave(u)) / u, panels) / mp.pi
        assert law.density(rate) == pytest.approx(float(density), rel=1e-9, abs=1e-13)
        assert law.cdf(rate) == pytest.approx(float(probability), rel=1e-9, abs=1e-13)


@pytest.mark.parametrize(("n", "scale"), [(1, 1.0), (3, 2.0), (64, 1e-3)])
def test_one_linear_layer_is_chi_squared(n, scale):
    """At the rate r the square of the factor, over scale^2 / n, is chi-squared: to 20 sd away."""
    law = linear_rate(n, 1, scale)
    rate = law.mean + law.sd * np.linspace(-20, 20, 41)
    square = np.exp(2 * rate) * n / scale**2
    np.testing.assert_allclose(law.cdf(rate), chi2.cdf(square, n), rtol=0, atol=2e-14)
    density = 2 * square * chi2.pdf(square, n) * law.sd
    np.testing.assert_allclose(law.density(rate) * law.sd, density, rtol=0, atol=2e-14)
    q = np.array([1e-6, 0.05, 0.5, 0.95, 1 - 1e-6])
    exact = 0.5 * np.log(scale**2 / n * chi2.ppf(q, n))
    np.testing.assert_allclose(law.quantile(q), exact, rtol=0, atol=1e-7 * law.sd)


@EACH
def test_moments_of_the_characteristic_function(law):
    """Mean and sd by digamma and trigamma, from its slopes at 0, extrapolated to step 0."""
    step = 0.01 / law.sd
    u = np.array([step, 2 * step])
    log = np.log(law.characteristic_function(u) * np.exp(-1j * u * law.mean))
    excess = (8 * log.imag[0] - log.imag[1]) / (6 * step)
    variance = (log.real[1] - 16 * log.real[0]) / (6 * step**2)
    assert abs(excess) < 1e-7 * law.sd
    assert math.sqrt(variance) == pytest.approx(law.sd, rel=1e-6)


@EACH
def test_quantiles_invert_the_distribution_function(law):
    q = np.array([[1e-9, 1e-3, 0.05], [0.5, 0.95, 1 - 1e-9]])
    found = law.quantile(q)
    assert found.shape == q.shape
    assert (np.diff(found.ravel()) > 0).all()
    np.testing.assert_allclose(law.cdf(found), q, rtol=0, atol=1e-11)


@EACH
def test_the_density_is_the_slope_of_the_distribution_function(law):
    rate = law.quantile(np.linspace(0.001, 0.999, 50))
    step = 1e-4 * law.sd
    slope = (law.cdf(rate + step) - law.cdf(rate - step)) / (2 * step)
    np.testing.assert_allclose(slope, law.density(rate), rtol=1e-6, atol=1e-6 / law.sd)


@EACH
def test_nothing_lies_far_away(law):
    far = law.mean + law.sd * np.array([-1e6, 1e6])
    np.testing.assert_array_equal(law.cdf(far), [0, 1])
    np.testing.assert_array_equal(law.density(far), 0)


def test_a_longer_chain_is_nearer_to_normal():
    """Skewness falls as the square root of the layers: the median comes to the mean."""
    near, far = (
        (law.quantile(0.5) - law.mean) / law.sd for law in (relu_rate(16, 4), relu_rate(16, 100))
    )
    assert near > 0.05
    assert 4 < near / far < 6


@pytest.mark.parametrize("burn_in", [0, 2])
@pytest.mark.parametrize(
    ("activation", "n", "scale", "law"),
    [
        ("linear", 2, 0.7, linear_rate),
        ("linear", 16, 1.0, linear_rate),
        ("relu", 3, 1.0, relu_rate),
        ("relu", 16, math.sqrt(2), relu_rate),
    ],
)
def test_measured_rates(activation, n, scale, law, burn_in):
    """Mean, variance and whole distribution; ReLU of three units loses four networks in ten."""
    size = {"hidden_size": n, "weight_scale": scale, "input_size": 1}
    spec = NetworkSpec(activation=activation, tied=False, **size)
    data = measure(spec, networks=5000, steps=5, seed=3, burn_in=burn_in)
    rates = data.rate.values[data.status.values == 0]
    exact = law(n, 4 - burn_in, scale)
    assert_mean(rates, exact.mean, exact.sd)
    assert_variance(rates, exact.sd**2)
    assert kstest(rates, exact.cdf).pvalue > 1e-4
    wrong = law(n, 2 * (4 - burn_in), scale)
    assert kstest(rates, wrong.cdf).pvalue < 1e-6, "so the test can tell"


@pytest.mark.parametrize("law", [linear_rate, relu_rate])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 1), "n=0"), ((1, 0), "layers=0"), ((4, 2, 0.0), "weight_scale"), ((4, 2, -1.0), "scale")],
)
def test_impossible_nets_are_refused(law, arguments, message):
    with pytest.raises(ValueError, match=message):
        law(*arguments)


@pytest.mark.parametrize("q", [0.0, 1.0, 1e-10, -0.5, math.nan, [0.5, 2.0]])
def test_quantiles_out_of_reach_are_refused(q):
    with pytest.raises(ValueError, match="between"):
        linear_rate(2, 2).quantile(q)
