"""Quantiles of sketches: their accuracy over all floats, their merging, their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import cuts, same_bits, samples, split

from gradhorizon.studies.accumulator import merge_all
from gradhorizon.studies.sketch import ACCURACY, Sketch

# Empty, single, constant, infinite and overflowing samples must pass without a single warning.
pytestmark = pytest.mark.filterwarnings("error")


def assert_quantiles_within_accuracy(values, sketch, probabilities):
    """Compare with the order statistics, found as np.quantile's inverted_cdf finds them."""
    rank = np.maximum(np.ceil(len(values) * probabilities - 1), 0).astype(int)
    truth = np.sort(values)[rank]
    quantiles = sketch.quantile(probabilities)
    finite = np.isfinite(truth)
    np.testing.assert_array_equal(quantiles[~finite], truth[~finite])
    error = np.abs(quantiles[finite] - truth[finite])
    assert np.all(error <= ACCURACY * np.abs(truth[finite]))


@settings(deadline=None, max_examples=200)
@given(values=samples(None, infinite=True), places=cuts)
def test_sketch_quantiles_are_within_accuracy_over_all_floats(values, places):
    sketch = merge_all([Sketch.of(part) for part in split(values, places)])
    probabilities = np.linspace(0, 1, 33)
    assert sketch.count == len(values)
    if not len(values):
        assert np.isnan(sketch.quantile(probabilities)).all()
        assert np.isnan([sketch.minimum, sketch.maximum]).all()
        return
    assert_quantiles_within_accuracy(values, sketch, probabilities)
    assert sketch.minimum == sketch.quantile(0) == values.min()
    assert sketch.maximum == sketch.quantile(1) == values.max()


@settings(deadline=None)
@given(data=st.data(), values=samples(None, infinite=True), places=cuts)
def test_merging_sketches_is_exact_in_any_order(data, values, places):
    parts = data.draw(st.permutations([Sketch.of(part) for part in split(values, places)]))
    assert same_bits(merge_all(parts), Sketch.of(values))


@pytest.mark.parametrize("name", ["normal", "lognormal", "cauchy", "constant"])
def test_sketch_agrees_with_numpy_on_large_samples(name):
    generator = np.random.default_rng(5)
    values = {
        "normal": generator.normal(-0.05, 0.01, 50_000),
        "lognormal": generator.lognormal(0.0, 3.0, 50_000),
        "cauchy": generator.standard_cauchy(50_000),
        "constant": np.full(50_000, -0.1),
    }[name]
    sketch = merge_all([Sketch.of(part) for part in np.array_split(values, 7)])
    q = np.linspace(0, 1, 501)
    np.testing.assert_allclose(
        sketch.quantile(q), np.quantile(values, q, method="inverted_cdf"), rtol=ACCURACY
    )
    assert len(sketch.buckets) < 25_000


def test_sketch_is_accurate_next_to_every_bucket_bound():
    # The error is largest just above and at the bounds; the extremes, being exact, are left out.
    growth = math.log1p(0.999 * ACCURACY) - math.log1p(-0.999 * ACCURACY)
    bounds = np.exp(np.arange(-300_000, 300_000, 997) * growth)
    values = np.concatenate([np.nextafter(bounds, 0), bounds, np.nextafter(bounds, np.inf)])
    values = np.sort(np.concatenate([values, -values]))
    quantiles = Sketch.of(values).quantile((np.arange(len(values)) + 0.5) / len(values))
    error = np.abs(quantiles / values - 1)
    assert error.max() <= ACCURACY
    assert error.max() > 0.99 * ACCURACY


def test_sketch_counts_zero_and_infinities_exactly():
    values = [0.0, -0.0, 5e-324, -5e-324, math.inf, math.inf, -math.inf]
    sketch = Sketch.of(values)
    middle = (np.arange(7) + 0.5) / 7
    np.testing.assert_array_equal(sketch.quantile(middle), np.sort(values))
    np.testing.assert_array_equal(sketch.counts, [1, 1, 2, 1, 2])
    assert sketch.quantile([[0.5], [1.0]]).shape == (2, 1)
    assert not np.signbit(Sketch.of([-0.0]).minimum)


def test_sketch_never_leaves_the_range_of_the_values():
    q = np.linspace(0, 1, 11)
    np.testing.assert_array_equal(Sketch.of(np.full(9, 0.3)).quantile(q), 0.3)
    np.testing.assert_array_equal(Sketch.of(np.full(9, -7.0)).quantile(q), -7.0)
    largest = np.finfo(np.float64).max
    assert Sketch.of([0.0, largest, largest, math.inf]).quantile(0.6) <= largest


def test_quantile_intervals_lie_within_the_values_and_about_the_quantiles():
    values = np.random.default_rng(6).normal(-2.0, 1.0, 200)
    q = np.array([[0.05], [0.5], [0.95]])
    sketch = merge_all([Sketch.of(part) for part in np.split(values, 4)])
    low, high = sketch.quantile_interval(q)
    assert low.shape == high.shape == (3, 1)
    assert np.all((values.min() <= low) & (high <= values.max()))
    assert np.all((low < sketch.quantile(q)) & (sketch.quantile(q) < high))
    wider = sketch.quantile_interval(q, 0.99)
    assert np.all((wider[0] < low) & (high < wider[1]))


def test_few_networks_bound_no_outer_quantile():
    """0.95^71 = 0.026: with 71 values there may well be none below the 5 % quantile."""
    values = np.arange(1.0, 73.0)
    low, high = Sketch.of(values[:71]).quantile_interval([0.05, 0.95])
    assert low[0] == -math.inf
    assert high[1] == math.inf
    assert np.isfinite([low[1], high[0]]).all()
    assert np.isfinite(Sketch.of(values).quantile_interval([0.05, 0.95])).all()
    assert Sketch.of(values[:1]).quantile_interval(0.5) == (-math.inf, math.inf)
    assert np.isnan(Sketch.of([]).quantile_interval(0.5)).all()


def test_quantile_intervals_of_lumps_and_infinities():
    np.testing.assert_array_equal(Sketch.of(np.full(99, -0.3)).quantile_interval(0.5), -0.3)
    half = np.r_[np.full(500, -math.inf), np.zeros(20), np.full(500, math.inf)]
    assert Sketch.of(half).quantile_interval(0.5) == (-math.inf, math.inf)
    some = np.r_[np.arange(1.0, 501.0), np.full(500, math.inf)]  # as horizons are
    low, high = Sketch.of(some).quantile_interval(0.5)
    assert 460 < low < 480
    assert high == math.inf


def test_quantile_intervals_know_the_accuracy_of_the_sketch():
    """All values in one bucket: the interval is no narrower than the bucket leaves unknown."""
    values = 1000.0 + np.random.default_rng(7).normal(0, 0.05, 5000)
    low, high = Sketch.of(values).quantile_interval([0.25, 0.75])
    truth = 1000.0 + np.array([-0.0337, 0.0337])
    assert np.all((low <= truth) & (truth <= high))


@pytest.mark.parametrize("q", [0, 1, -0.1, math.nan, [0.5, 1]])
def test_quantiles_without_an_interval_are_refused(q):
    with pytest.raises(ValueError, match="between 0 and 1"):
        Sketch.of([1.0]).quantile_interval(q)


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan, [0.5, 2.0]])
def test_impossible_probabilities_are_refused(q):
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        Sketch.of([1.0]).quantile(q)


def test_sketch_refuses_several_values_per_network_and_other_accuracies():
    with pytest.raises(ValueError, match="one scalar"):
        Sketch.of(np.zeros((2, 2)))
    coarse = Sketch.from_arrays({**Sketch.of([1.0]).arrays(), "accuracy": 0.01})
    with pytest.raises(ValueError, match="accuracy"):
        coarse.merge(Sketch.of([1.0]))
