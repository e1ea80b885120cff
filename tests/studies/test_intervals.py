"""Intervals of gradhorizon.studies.intervals: coverage by simulation, and special cases.

Coverage is counted over 4000 repetitions. Its sd is 0.34 % where 95 % is exact; an interval of just
that coverage leaves 93-97 % with probability 7e-9.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import binom, binomtest, chi2, expon, laplace

from gradhorizon.studies.intervals import (
    kurtosis_sd_interval,
    normal_sd_interval,
    order_statistic_bounds,
    student_interval,
    wilson_interval,
)

pytestmark = pytest.mark.filterwarnings("error")

REPETITIONS = 4000
QUANTILES = np.array([0.05, 0.25, 0.5, 0.75, 0.95])


def covered(interval, truth):
    low, high = interval
    return np.mean((low <= truth) & (truth <= high), axis=0)


def sd_and_kurtosis(values):
    deviation = values - values.mean(axis=1, keepdims=True)
    square = (deviation**2).mean(axis=1)
    return values.std(axis=1, ddof=1), (deviation**4).mean(axis=1) / square**2


# Standard deviations


def test_both_intervals_of_the_sd_hold_for_normal_values():
    values = np.random.default_rng(31).normal(5.0, 3.0, (REPETITIONS, 200))
    sd, kurtosis = sd_and_kurtosis(values)
    assert 0.93 <= covered(kurtosis_sd_interval(sd, kurtosis, 200), 3.0) <= 0.97
    assert 0.93 <= covered(normal_sd_interval(sd, 200), 3.0) <= 0.97


def test_only_one_of_them_holds_for_long_tails():
    """Laplace values, kurtosis 6: that for normal ones is too narrow by a factor of 1.6."""
    values = np.random.default_rng(32).laplace(size=(REPETITIONS, 1000))
    sd, kurtosis = sd_and_kurtosis(values)
    truth = laplace.std()
    assert 0.93 <= covered(kurtosis_sd_interval(sd, kurtosis, 1000), truth) <= 0.97
    assert covered(normal_sd_interval(sd, 1000), truth) < 0.82


@pytest.mark.parametrize("count", [20, 64])
def test_the_interval_of_the_sd_holds_for_few_values(count):
    """Of all kinds of tails: uniform, normal and logistic, kurtosis 1.8, 3 and 4.2."""
    rng = np.random.default_rng(34)
    for draw, truth in ((rng.random, 12**-0.5), (rng.normal, 1.0), (rng.logistic, np.pi / 3**0.5)):
        sd, kurtosis = sd_and_kurtosis(draw(size=(REPETITIONS, count)))
        assert 0.93 <= covered(kurtosis_sd_interval(sd, kurtosis, count), truth) <= 0.97


def test_the_interval_for_normal_values_is_that_of_chi_squared():
    low, high = normal_sd_interval(2.0, 10, 0.9)
    np.testing.assert_allclose(low, 2.0 * math.sqrt(9 / chi2.ppf(0.95, 9)))
    np.testing.assert_allclose(high, 2.0 * math.sqrt(9 / chi2.ppf(0.05, 9)))


def test_intervals_of_the_sd_come_to_be_the_same_for_many_normal_values():
    ours, theirs = kurtosis_sd_interval(2.0, 3.0, 10**6), normal_sd_interval(2.0, 10**6)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_what_is_not_known_of_an_sd():
    assert kurtosis_sd_interval(0.0, math.nan, 5) == (0.0, 0.0)
    unknown = ((math.nan, math.nan, 1), (1.0, 1.5, 3), (1.0, math.nan, 9), (1.0, 0.0, 9))
    for sd, kurtosis, count in unknown:
        assert np.isnan(kurtosis_sd_interval(sd, kurtosis, count)).all()
    assert np.isnan(kurtosis_sd_interval(1.0, 1.0, 4, 0.9999999)).all(), "fewer values than z"
    assert np.isfinite(kurtosis_sd_interval(1.0, 1.0, 4)).all(), "two values, each twice"


# Quantiles


@pytest.mark.parametrize("count", [64, 100, 256])  # 64: one-sided at 0.05 and 0.95
@pytest.mark.parametrize("law", ["normal", "exponential", "uniform"])
def test_intervals_of_quantiles_hold_whatever_the_distribution(count, law):
    rng = np.random.default_rng(33)
    draw = {"normal": rng.normal, "exponential": rng.exponential, "uniform": rng.random}[law]
    ppf = {"normal": ndtri, "exponential": expon.ppf, "uniform": np.asarray}[law]
    values = np.sort(draw(size=(REPETITIONS, count)), axis=1)
    values = np.pad(values, ((0, 0), (1, 1)), constant_values=(-1e9, 1e9))
    low, high = (
        np.stack([np.interp(at, np.arange(count + 2), row) for row in values])
        for at in order_statistic_bounds(count, QUANTILES)
    )
    shares = covered((low, high), ppf(QUANTILES))
    assert np.all((shares >= 0.93) & (shares <= 0.97)), shares


@settings(deadline=None)
@given(n=st.integers(1, 10**6), q=st.floats(1e-4, 1 - 1e-4), confidence=st.floats(0.5, 0.999))
def test_positions_lie_between_the_ranks_of_the_binomial_distribution(n, q, confidence):
    low, high = order_statistic_bounds(n, q, confidence)
    tail = 0.5 - confidence / 2
    if low > 0 and high > n:
        tail = 1 - confidence
    rank = binom.ppf(tail, n, q)
    assert rank - 1e-9 <= low <= rank + 1 or (
        low == 0 and binom.cdf(0, n, q) > 0.5 - confidence / 2
    )
    mirrored = order_statistic_bounds(n, 1 - q, confidence)
    np.testing.assert_allclose((n + 1 - mirrored[1], n + 1 - mirrored[0]), (low, high), rtol=1e-6)


# Means and proportions


def test_student_interval_is_elementwise():
    low, high = student_interval([0.0, 1.0], [1.0, 2.0], [2, 1000])
    np.testing.assert_allclose(high, [12.7062, 1 + 2 * 1.96234], rtol=1e-5)
    np.testing.assert_allclose(low, [-12.7062, 1 - 2 * 1.96234], rtol=1e-5)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, 95, math.nan])
def test_impossible_confidence_is_refused(confidence):
    intervals = (
        lambda: student_interval(0.0, 1.0, 2, confidence),
        lambda: kurtosis_sd_interval(1.0, 3.0, 9, confidence),
        lambda: normal_sd_interval(1.0, 9, confidence),
        lambda: order_statistic_bounds(9, 0.5, confidence),
        lambda: wilson_interval(1, 2, confidence),
    )
    for interval in intervals:
        with pytest.raises(ValueError, match="confidence"):
            interval()


@settings(deadline=None)
@given(data=st.data(), total=st.integers(1, 10_000), confidence=st.floats(0.5, 0.999))
def test_wilson_interval_agrees_with_scipy(data, total, confidence):
    successes = data.draw(st.integers(0, total))
    low, high = wilson_interval(successes, total, confidence)
    expected = binomtest(successes, total).proportion_ci(confidence, method="wilson")
    assert low == pytest.approx(expected.low, abs=1e-12)
    assert high == pytest.approx(expected.high, abs=1e-12)
    assert (low == 0) == (successes == 0)
    assert (high == 1) == (successes == total)


def test_wilson_interval_is_elementwise_and_knows_nothing_without_trials():
    low, high = wilson_interval([0, 5, 0], [10, 10, 0])
    np.testing.assert_allclose(low, [0, 0.236593, 0], atol=1e-6)
    np.testing.assert_allclose(high, [0.277533, 0.763407, 1], atol=1e-6)


@pytest.mark.parametrize(("successes", "total"), [(-1, 3), (4, 3), (1, math.inf), (math.nan, 3)])
def test_impossible_counts_are_refused(successes, total):
    with pytest.raises(ValueError, match=r"NaN|successes"):
        wilson_interval(successes, total)
