"""The statistics of a cell: merged parts equal the whole, bad networks are counted and left out."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.engine import NetworkSpec, measure, product_variables
from gradhorizon.studies.sketch import Sketch
from gradhorizon.studies.statistics import Moments
from gradhorizon.studies.summary import GONE, QUANTILES, Summary, describe


@pytest.fixture(scope="module")
def arrays():
    """A thousand small tanh networks at a critical weight scale."""
    spec = NetworkSpec(hidden_size=8, weight_scale=1.6)
    data = measure(spec, networks=1000, steps=40, products=("gradient", "trajectory"))
    return {str(name): variable.values for name, variable in data.data_vars.items()}


def test_results_are_the_plain_statistics(arrays):
    results = Summary.of(arrays).results()
    rate = arrays["rate"]
    assert results["rate_mean"] == pytest.approx(rate.mean(), rel=1e-12)
    assert results["rate_sd"] == pytest.approx(rate.std(ddof=1), rel=1e-12)
    np.testing.assert_allclose(
        results["rate_quantile"],
        np.quantile(rate, QUANTILES, method="inverted_cdf"),
        rtol=2e-3,
    )
    final = arrays["log_gradient"][:, -1]
    assert results["vanished_share"] == np.mean(final < -GONE)
    assert results["exploded_share"] == np.mean(final > GONE)
    annealed = 0.5 * np.log(np.mean(np.exp(2 * arrays["log_gradient"]), axis=0))
    np.testing.assert_allclose(results["log_gradient_annealed"], annealed, rtol=1e-10, atol=1e-12)
    assert (results["log_gradient_annealed"] >= results["log_gradient_mean"] - 1e-12).all()


def test_every_statistic_has_its_interval(arrays):
    results, rate = Summary.of(arrays).results(), arrays["rate"]
    found = {"": Moments.of(rate).interval(), "_sd": Moments.of(rate).sd_interval()}
    found["_quantile"] = Sketch.of(rate).quantile_interval(QUANTILES)
    for statistic, (low, high) in found.items():
        np.testing.assert_array_equal(results[f"rate{statistic}_low"], low)
        np.testing.assert_array_equal(results[f"rate{statistic}_high"], high)
        assert (low < results[f"rate{statistic or '_mean'}"]).all()
        assert (results[f"rate{statistic or '_mean'}"] < high).all()


def test_every_result_is_described(arrays):
    table = product_variables(("gradient", "trajectory"))
    for name, value in Summary.of(arrays).results().items():
        dims, attributes = describe(name, table)
        assert len(dims) == value.ndim, name
        assert {"units", "long_name"} == set(attributes)
    text = describe("rate_quantile_low", table)[1]["long_name"]
    assert text == "gradient growth rate: lower end of the 95 % confidence interval of the quantile"


def test_what_is_kept(arrays):
    """Statistics of the variables named and of derived ones, which all variables serve."""
    derived = Summary.of(arrays, lambda a: {"last": a["log_gradient"][:, -1]}, ("rate",)).results()
    everything = Summary.of(arrays).results()
    names = {name.partition("_")[0] for name in derived}
    assert names == {"rate", "last", "status", "measured"}
    assert derived["last_mean"] == pytest.approx(everything["log_gradient_mean"][-1])
    assert derived["rate_mean"] == everything["rate_mean"]
    assert not Summary.of(arrays, kept=()).parts


def test_merged_parts_equal_the_whole(arrays):
    parts = [{k: v[a:b] for k, v in arrays.items()} for a, b in ((0, 1), (1, 300), (300, 1000))]
    merged = Summary.of(parts[0]).merge(Summary.of(parts[1])).merge(Summary.of(parts[2]))
    whole = Summary.of(arrays).results()
    for name, value in merged.results().items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-10, atol=1e-13, err_msg=name)


def test_a_summary_survives_storage(arrays):
    summary = Summary.of(arrays)
    again = Summary.from_arrays(summary.arrays())
    for name, value in summary.results().items():
        np.testing.assert_array_equal(value, again.results()[name])


def test_bad_networks_are_counted_and_left_out(arrays):
    spoilt = {k: v.copy() for k, v in arrays.items()}
    spoilt["status"][:3] = (1, 2, 3)
    for name in ("rate", "log_gradient", "horizon"):
        spoilt[name][:3] = np.nan
    results = Summary.of(spoilt).results()
    assert list(results["status_count"]) == [997, 1, 1, 1, 0]
    assert results["rate_mean"] == pytest.approx(arrays["rate"][3:].mean(), rel=1e-12)
    vanished = np.count_nonzero(arrays["log_gradient"][3:, -1] < -GONE) + 1
    assert results["vanished_share"] == vanished / 1000, "a dead network's gradient has vanished"


def test_a_cell_without_any_good_network_gives_nan(arrays):
    spoilt = {k: v[:5].copy() for k, v in arrays.items()}
    spoilt["status"][:] = 1
    results = Summary.of(spoilt).results()
    assert np.isnan(results["rate_mean"])
    assert np.isnan(results["rate_quantile"]).all()
