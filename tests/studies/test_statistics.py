"""Accumulators and intervals of gradhorizon.studies.statistics."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from samples import cuts, same_bits, samples, split
from scipy.special import logsumexp
from scipy.stats import kurtosis, t

from gradhorizon.studies.accumulator import merge_all
from gradhorizon.studies.sketch import Sketch
from gradhorizon.studies.statistics import LogMean, Moments

# Empty, single, constant, infinite and overflowing samples must pass without a single warning.
pytestmark = pytest.mark.filterwarnings("error")

EPS = np.finfo(np.float64).eps
KINDS = [Moments, Sketch, LogMean]


def exact_moments(values):
    """Mean and standard deviation (ddof 1) in rational arithmetic."""
    numbers = [Fraction(float(value)) for value in values]
    mean = sum(numbers) / len(numbers)
    squares = sum((number - mean) ** 2 for number in numbers)
    return float(mean), math.sqrt(squares / (len(numbers) - 1))


# What every accumulator must do


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(values=samples(1e3, infinite=True), places=cuts)
def test_stored_arrays_rebuild_the_accumulator(kind, values, places):
    whole = merge_all([kind.of(part) for part in split(values, places)])
    stored = whole.arrays()
    assert all(array.dtype.kind in "if" for array in stored.values())
    assert same_bits(kind.from_arrays(stored), whole)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(values=samples(1e3, infinite=True))
def test_an_empty_part_changes_no_bit(kind, values):
    whole, empty = kind.of(values), kind.of(np.empty(0))
    assert same_bits(whole.merge(empty), whole)
    assert same_bits(empty.merge(whole), whole)
    assert empty.merge(empty).count == 0


@pytest.mark.parametrize("kind", KINDS)
def test_merging_leaves_the_operands_alone(kind):
    left, right = kind.of([1.0, 2.0]), kind.of([3.0])
    before = kind.from_arrays(left.arrays())
    assert left.merge(right).count == 3
    assert same_bits(left, before)
    with pytest.raises(ValueError, match="read-only"):
        next(iter(left.arrays().values()))[...] = 0


@pytest.mark.parametrize("kind", KINDS)
def test_an_accumulator_does_not_follow_later_changes_of_its_source(kind):
    source = {name: array.copy() for name, array in kind.of([1.0, 2.0]).arrays().items()}
    rebuilt = kind.from_arrays(source)
    for array in source.values():
        array[...] = 0
    assert same_bits(rebuilt, kind.of([1.0, 2.0]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [[1.0, math.nan], 3.0])
def test_nan_and_scalars_are_refused(kind, bad):
    with pytest.raises(ValueError, match=r"NaN|network axis"):
        kind.of(bad)


@pytest.mark.parametrize("kind", KINDS)
def test_foreign_arrays_are_refused(kind):
    stored = kind.of([1.0]).arrays()
    with pytest.raises(ValueError, match=kind.__name__):
        kind.from_arrays({**stored, "extra": np.zeros(1)})
    stored.popitem()
    with pytest.raises(ValueError, match=kind.__name__):
        kind.from_arrays(stored)


@pytest.mark.parametrize("kind", [Moments, LogMean])
def test_different_trailing_axes_do_not_merge(kind):
    with pytest.raises(ValueError, match="shapes"):
        kind.of(np.zeros((2, 3))).merge(kind.of(np.zeros((2, 1))))


@pytest.mark.parametrize("kind", [Moments, LogMean])
def test_memory_layout_changes_no_bit(kind):
    values = np.random.default_rng(1).normal(size=(500, 7))
    assert same_bits(kind.of(np.asfortranarray(values)), kind.of(values))
    assert same_bits(kind.of(np.repeat(values, 2, axis=1)[:, ::2]), kind.of(values))


def test_merge_all_goes_from_left_to_right():
    parts = [Moments.of(np.random.default_rng(seed).normal(size=9)) for seed in range(6)]
    expected = parts[0]
    for part in parts[1:]:
        expected = expected.merge(part)
    assert same_bits(merge_all(iter(parts)), expected)
    with pytest.raises(ValueError, match="at least one"):
        merge_all([])


# Moments


@settings(deadline=None)
@given(values=samples(1e100), places=cuts)
def test_moments_of_any_split_agree_with_exact_arithmetic(values, places):
    moments = merge_all([Moments.of(part) for part in split(values, places)])
    assert moments.count == len(values)
    if len(values) < 2:
        assert np.isnan(moments.sd)
        assert np.isnan(moments.interval()).all()
        np.testing.assert_array_equal(moments.mean, values[0] if len(values) else math.nan)
        return
    mean, sd = exact_moments(values)
    # Round-off is relative to the largest value; squares below 1e-300 underflow to zero.
    tolerance = 20 * len(values) * EPS * np.abs(values).max()
    assert abs(moments.mean - mean) <= tolerance
    assert abs(moments.sd - sd) <= tolerance + 1e-150
    assert moments.standard_error == pytest.approx(moments.sd / math.sqrt(len(values)))


@settings(deadline=None)
@given(values=samples(1e6), places=cuts)
def test_merging_moments_is_associative_to_round_off(values, places):
    parts = [Moments.of(part) for part in split(values, [*places, 7, 20])]
    forward = merge_all(parts)
    backward = parts[-1]
    for part in parts[-2::-1]:
        backward = part.merge(backward)
    tolerance = 20 * (len(values) + 1) * EPS * np.abs(values).max(initial=1.0)
    np.testing.assert_allclose(backward.mean, forward.mean, rtol=0, atol=tolerance)
    np.testing.assert_allclose(backward.sd, forward.sd, rtol=0, atol=tolerance)


@settings(deadline=None)
@given(values=samples(1e6), places=cuts)
def test_kurtosis_of_any_split_is_that_of_the_whole(values, places):
    # Round-off grows by the fourth power, and fourth powers of less underflow.
    assume(len(values) and np.ptp(values) > max(1e-3 * np.abs(values).max(), 1e-60))
    moments = merge_all([Moments.of(part) for part in split(values, places)])
    assert moments.kurtosis == pytest.approx(kurtosis(values, fisher=False), rel=1e-8)


def test_moments_do_not_cancel_far_from_zero():
    # Sums of x and x^2 would lose every digit of the spread: 1e18 against 1.
    values = np.random.default_rng(2).normal(1e9, 1.0, 4000)
    moments = merge_all([Moments.of(part) for part in np.split(values, 16)])
    assert moments.sd == pytest.approx(exact_moments(values)[1], rel=1e-6)
    assert moments.kurtosis == pytest.approx(kurtosis(values - 1e9, fisher=False), rel=1e-5)


def test_moments_act_on_each_trailing_element():
    values = np.random.default_rng(3).normal(size=(40, 5, 2))
    moments = Moments.of(values[:13]).merge(Moments.of(values[13:]))
    np.testing.assert_allclose(moments.mean, values.mean(axis=0), atol=1e-14)
    np.testing.assert_allclose(moments.sd, values.std(axis=0, ddof=1), rtol=1e-13)
    low, high = moments.interval(0.9)
    half = t.ppf(0.95, 39) * values.std(axis=0, ddof=1) / math.sqrt(40)
    np.testing.assert_allclose(low, moments.mean - half, rtol=1e-12)
    np.testing.assert_allclose(high, moments.mean + half, rtol=1e-12)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (5, 0), (1, 3)])
def test_moments_without_a_spread_are_nan(shape):
    moments = Moments.of(np.ones(shape))
    assert moments.mean.shape == moments.sd.shape == shape[1:]
    assert moments.merge(moments).mean.shape == shape[1:]
    assert np.isnan(moments.sd).all()
    assert np.isnan(moments.standard_error).all()
    assert np.isnan(moments.interval()).all()
    assert np.isnan(moments.sd_interval()).all()
    assert np.isnan(moments.mean).all() == (0 in shape)


def test_moments_of_equal_values_have_no_spread():
    moments = merge_all([Moments.of(np.full(n, 0.1)) for n in (3, 1, 10, 7)])
    assert moments.mean == 0.1
    assert moments.sd == 0.0
    assert moments.interval() == (0.1, 0.1)
    assert moments.sd_interval() == (0.0, 0.0)


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([1.0, math.inf, 2.0], math.inf),
        ([-math.inf, -math.inf, 5.0], -math.inf),
        ([math.inf, 0.0, -math.inf], math.nan),
    ],
)
def test_infinite_values_make_the_spread_unknown(values, mean, place):
    moments = merge_all([Moments.of(part) for part in split(np.array(values), [place])])
    np.testing.assert_array_equal(moments.mean, mean)
    assert np.isnan(moments.sd)
    assert np.isnan(moments.interval()).all()
    assert np.isnan(moments.sd_interval()).all()


@settings(deadline=None)
@given(values=samples(np.finfo(np.float64).max, maximum_size=8), places=cuts)
def test_means_of_the_largest_floats_do_not_overflow(values, places):
    moments = merge_all([Moments.of(part) for part in split(values, places)])
    moments.interval()  # infinite at worst, and silent
    moments.sd_interval()
    if len(values):
        scale = Fraction(2) ** -1000
        mean = float(sum(Fraction(float(value)) for value in values) / len(values) * scale)
        tolerance = 20 * len(values) * EPS * np.abs(values * float(scale)).max()
        assert moments.mean * float(scale) == pytest.approx(mean, rel=0, abs=tolerance)


@pytest.mark.parametrize("sizes", [[2], [1, 1]])
@pytest.mark.parametrize(("values", "mean"), [([1.7, 1.0], 1.35), ([-1.7, 1.6], -0.05)])
def test_sums_beyond_the_largest_float_have_a_mean(values, mean, sizes):
    parts = np.split(np.array(values) * 1e308, np.cumsum(sizes)[:-1])
    moments = merge_all([Moments.of(part) for part in parts])
    assert moments.mean == pytest.approx(mean * 1e308, rel=1e-14)
    assert moments.sd == math.inf  # squares of such values have no float


def test_t_intervals_cover_the_truth_as_often_as_they_say():
    """Cover 93-97 % with 95 % intervals of 8 normal values, merged from parts of 3, 1 and 4.

    Exact coverage is 95 %, its sd over 4000 repetitions 0.34 %: the false-alarm rate is 7e-9.
    Normal instead of t quantiles would cover 90.9 %.
    """
    values = np.random.default_rng(20240).normal(-3.0, 0.2, size=(8, 4000))
    parts = [Moments.of(values[:3]), Moments.of(values[3:4]), Moments.of(values[4:])]
    low, high = merge_all(parts).interval()
    covered = np.mean((low <= -3.0) & (high >= -3.0))
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, 95, math.nan])
def test_impossible_confidence_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        Moments.of([1.0, 2.0]).interval(confidence)


# LogMean


@settings(deadline=None)
@given(values=samples(1e4), zeros=st.integers(0, 3), places=cuts)
def test_log_mean_agrees_with_logsumexp(values, zeros, places):
    values = np.concatenate([values, np.full(zeros, -math.inf)])
    log_mean = merge_all([LogMean.of(part) for part in split(values, places)])
    if not len(values):
        assert np.isnan(log_mean.value)
        return
    expected = logsumexp(values) - math.log(len(values)) if np.isfinite(values).any() else -math.inf
    assert log_mean.value == pytest.approx(expected, rel=1e-13, abs=1e-13)


def test_log_mean_acts_on_each_trailing_element():
    values = np.random.default_rng(7).normal(-4000.0, 300.0, size=(30, 3, 4))
    values[:, 1, 2] = -math.inf
    log_mean = LogMean.of(values[:11]).merge(LogMean.of(values[11:]))
    expected = logsumexp(values, axis=0) - math.log(30)
    np.testing.assert_allclose(log_mean.value, expected, rtol=1e-14)
    assert np.isnan(LogMean.of(np.empty((0, 3, 4))).value).all()


@pytest.mark.parametrize("place", range(4))
def test_log_mean_of_an_infinite_term_is_infinite(place):
    for other in (-math.inf, 5000.0):
        parts = split(np.array([other, math.inf, other]), [place])
        assert merge_all([LogMean.of(part) for part in parts]).value == math.inf


def test_log_mean_of_gaussian_logarithms():
    """Compare with ln E exp(X) = mean + sd^2 / 2 for normal X.

    At sd 0.5 and 100000 values the standard error is 0.0017: 5 of them, false alarm 6e-7.
    """
    values = np.random.default_rng(8).normal(3000.0, 0.5, 100_000)
    log_mean = merge_all([LogMean.of(part) for part in np.split(values, 10)])
    assert log_mean.value == pytest.approx(3000.125, abs=5 * 0.0017)


# The module


def test_importing_the_module_does_not_import_scipy():
    # The command line starts with this module; scipy.special alone would take a tenth of a second.
    code = "import sys, gradhorizon.studies.statistics; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
