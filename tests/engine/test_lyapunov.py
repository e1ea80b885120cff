"""Lyapunov spectra: exact distributions, exact cases, arbitrary precision, and their errors.

Every z-test has the false-alarm rate 6e-5 (see `laws`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import xarray as xr
from laws import assert_mean, assert_variance, gaussian_exponents
from scipy import stats

from gradhorizon.engine import InputError, NetworkSpec, measure, sample
from gradhorizon.engine.spectrum import attractor, block_ends
from gradhorizon.engine.status import STATUS
from gradhorizon.kernels.bodies.lyapunov import LIMIT

PRECISIONS = pytest.mark.parametrize("precision", ["float64", "float32"])
PRODUCT = ("lyapunov",)


def linear(matrices: Iterable[np.ndarray], steps: int, **fields: Any) -> xr.Dataset:
    """Undriven linear networks with the given W."""
    W = np.array(list(matrices))
    spec = NetworkSpec(activation="linear", hidden_size=W.shape[1], **fields)
    ensemble = sample(spec, len(W), steps, inputs="zero")
    ensemble["W"][:, 0] = W
    return ensemble


# What is known exactly


@PRECISIONS
def test_products_of_gaussian_matrices(precision: str) -> None:
    """Oracle C: the mean and the variance of every finite-time exponent of 32, in frame order.

    64 z-tests.
    """
    n, steps = 32, 51
    spec = NetworkSpec(activation="linear", hidden_size=n, tied=False, precision=precision)
    data = measure(spec, networks=300, steps=steps, inputs="zero", products=PRODUCT)
    mean, variance = gaussian_exponents(n)
    assert [mean[0], mean[15], mean[31]] == pytest.approx(
        [-0.015788, -0.346249, -2.368049], abs=1e-6
    )
    for i, estimates in enumerate(data.local_exponent.mean("block").values.T):
        assert_mean(estimates, mean[i], np.sqrt(variance[i] / (steps - 1)))
        assert_variance(estimates, variance[i] / (steps - 1))


def test_standard_errors_are_those_of_the_estimates() -> None:
    """Steps are independent in oracle C: se^2 has the mean of the estimates' variance.

    Blocks are alike and 10 of them, so that (blocks - 1) se^2 / variance is about chi^2.
    """
    n, steps = 8, 201
    spec = NetworkSpec(activation="linear", hidden_size=n, tied=False, weight_scale=0.7)
    data = measure(spec, networks=400, steps=steps, inputs="zero", products=PRODUCT)
    variance = gaussian_exponents(n)[1][-1] / (steps - 1)
    ratio = data.lyapunov_standard_error.values[:, -1] ** 2 / variance  # the last is never mistaken
    assert_mean(ratio, 1.0)
    assert stats.kstest(9 * ratio, stats.chi2(9).cdf).pvalue > 1e-3


@PRECISIONS
@pytest.mark.parametrize("n", [1, 5, 8, 33])
def test_orthogonal_weights(n: int, precision: str) -> None:
    """All exponents are ln g, to rounding."""
    spec = NetworkSpec(
        activation="linear",
        weights="orthogonal",
        hidden_size=n,
        weight_scale=1.1,
        precision=precision,
    )
    data = measure(spec, networks=2, steps=500, inputs="zero", products=PRODUCT)
    atol = 1e-12 if precision == "float64" else 40 * float(np.finfo("f4").eps)
    np.testing.assert_allclose(data.lyapunov_exponent, np.log(1.1), rtol=0, atol=atol)
    assert (data.orthonormalisation_interval > 20).all() and (data.worst_condition < 1e3).all()


@pytest.mark.parametrize("span", [1.0, 40.0, 300.0])
def test_diagonal_weights(span: float) -> None:
    """Exponents are ln |d_i|, in descending order, however far apart: exp(-300) a step."""
    d = np.random.default_rng(0).permutation(np.exp(-span * np.linspace(0, 1, 9)))
    ensemble = linear([np.diag(d), -np.diag(d)], 300)
    data = measure(ensemble, products=PRODUCT)
    want = np.sort(np.log(d))[::-1]
    np.testing.assert_allclose(data.lyapunov_exponent, [want, want], rtol=1e-12, atol=1e-12)
    assert (data.status == STATUS["ok"]).all()


def test_eigenvalues_of_tied_linear_networks() -> None:
    """The exponents are the logarithms of |eigenvalues|, once the frame has settled.

    A triangular matrix from the start on, and a dense one to its gaps after 2000 steps of them.
    """
    n, rng = 12, np.random.default_rng(1)
    size = np.exp(-0.1 * np.arange(n))
    triangular = np.triu(rng.standard_normal((n, n)), 1) + np.diag(size)
    turned = np.linalg.qr(rng.standard_normal((n, n)))[0]
    dense = turned @ triangular @ turned.T
    data = measure(linear([triangular, dense], 4000), burn_in=2000, products=PRODUCT)
    np.testing.assert_allclose(data.lyapunov_exponent[0], np.log(size), atol=1e-9)
    np.testing.assert_allclose(data.lyapunov_exponent[1], np.log(size), atol=1e-6)


@PRECISIONS
@pytest.mark.parametrize("cell, activation", [("rnn", "tanh"), ("lstm", "tanh"), ("gru", "tanh")])
@pytest.mark.parametrize("scale", [0.7, 2.0, 8.0])
def test_sum_is_the_determinant(scale: float, cell: str, activation: str, precision: str) -> None:
    """The exponents add up to the mean ln |det| of the steps, as the singular values do.

    And the singular values of the product are within reach of them: both are of the same chain.
    """
    spec = NetworkSpec(
        cell=cell, activation=activation, hidden_size=6, weight_scale=scale, precision=precision
    )
    data = measure(spec, networks=3, steps=120, burn_in=0, products=("jacobian", "lyapunov"))
    total = 119 * data.lyapunov_exponent.sum("index")
    np.testing.assert_allclose(total, data.log_singular_value.sum("index"), rtol=2e-4)
    apart = data.lyapunov_exponent - data.log_singular_value / 119
    assert abs(apart).max() < 0.05 * (1 + abs(data.lyapunov_exponent)).max()


def test_ten_thousand_steps_of_singular_values() -> None:
    """ln sigma_i / t -> lambda_i: the same chain, whose ends differ by a bounded factor a unit."""
    spec = NetworkSpec(hidden_size=6, weight_scale=1.5)
    arguments: dict[str, Any] = dict(networks=2, steps=10_001, burn_in=0)
    data = measure(spec, products=("jacobian", "lyapunov"), **arguments)
    found = data.log_singular_value / 10_000
    assert data.log_singular_value.min() < -10_000
    np.testing.assert_allclose(found, data.lyapunov_exponent, rtol=0, atol=2e-3)


@pytest.mark.parametrize("scale, steps", [(1.5, 300), (3.0, 200), (10.0, 120), (30.0, 60)])
def test_against_arbitrary_precision(scale: float, steps: int) -> None:
    """Every exponent of eight tanh units in 200 digits; units saturate down to phi' = 1e-30."""
    spec = NetworkSpec(hidden_size=8, weight_scale=scale)
    ensemble = sample(spec, 1, steps, seed=7, inputs="zero", burn_in=0)
    W, start = ensemble.W.values[0, 0], ensemble.initial_state.values[0]
    data = measure(ensemble, products=PRODUCT)
    with mp.workdps(200):
        exact = [[mp.mpf(float(x)) for x in row] for row in W]
        kept = measure(ensemble, products=(), keep=("states",)).state.values[0, 0]
        before = [[mp.mpf(float(x)) for x in row] for row in (*start, *kept[:-1])]
        basis = [mp.matrix([float(i == j) for i in range(8)]) for j in range(8)]
        logs = [mp.mpf(0)] * 8
        for t in range(1, steps):
            slopes = [mp.sech(mp.fdot(row, before[t])) ** 2 for row in exact]
            pushed = [
                mp.matrix([d * mp.fdot(row, list(v)) for row, d in zip(exact, slopes, strict=True)])
                for v in basis
            ]
            basis = []
            for j, v in enumerate(pushed):
                for q in basis:
                    v -= (q.T * v)[0] * q
                logs[j] += mp.log(mp.norm(v))
                basis.append(v / mp.norm(v))
        want = np.array([float(x / (steps - 1)) for x in logs])
    found = data.local_exponent.values[0]
    share = np.diff(block_ends(steps, 0), prepend=0) / (steps - 1)
    np.testing.assert_allclose(share @ found, want, rtol=0, atol=1e-8)
    assert data.worst_condition < LIMIT


def test_what_dies_down_within_an_interval_is_seen() -> None:
    """Identity matrices, among them 20 of e^-69: ln 1e-30 * 20 / 1000 for all exponents.

    The interval is 32 steps long when they come, and 1e-600 is zero.
    """
    spec = NetworkSpec(activation="linear", weights="identity", hidden_size=5, tied=False)
    ensemble = sample(spec, 1, 1001, inputs="zero")
    ensemble["W"][:, 210:230] *= 1e-30
    data = measure(ensemble, products=PRODUCT)
    assert data.status == STATUS["ok"]
    np.testing.assert_allclose(data.lyapunov_exponent, 20 * np.log(1e-30) / 1000, rtol=1e-12)


def test_columns_in_a_plane() -> None:
    """W = Q T Q^T whose columns are nearly dependent though of no two: ln of the diagonal of T.

    T = [[1, 1, 1], [0, 2 a, 1], [0, 0, a]] has the eigenvalues 1, 2 a, a and a condition of about
    1 / a^2; its columns' lengths tell of 1 / a only.
    """
    turned = np.linalg.qr(np.random.default_rng(5).standard_normal((3, 3)))[0]
    for a in (1e-3, 1e-5):
        W = turned @ np.array([[1, 1, 1], [0, 2 * a, 1], [0, 0, a]]) @ turned.T
        data = measure(linear([W], 400), burn_in=100, products=PRODUCT)
        want = np.log(np.sort(np.abs(exact_eigenvalues(W)))[::-1])
        found = data.lyapunov_exponent.values[0]
        worst = data.worst_condition.item()
        assert abs(found - want).max() <= 20 * worst * float(np.finfo(float).eps)
        assert 0.1 < worst * a**2 < 1e3


def exact_eigenvalues(W: np.ndarray) -> np.ndarray:
    """In 60 digits; those of LAPACK are off by eps over the smallest one."""
    with mp.workdps(60):
        return np.array([complex(mu) for mu in mp.eig(mp.matrix(W.tolist()), right=False)])


@pytest.mark.parametrize("fields", [{"weight_scale": 30.0}, {"gate_bias": {"output": 40.0}}])
def test_a_step_that_is_too_much_is_told(fields: dict[str, Any]) -> None:
    """Saturated LSTMs, whose h and c are parallel to rounding: not beneath `LIMIT`, and said so."""
    spec = NetworkSpec(cell="lstm", hidden_size=6, **fields)
    data = measure(spec, networks=4, steps=30, burn_in=0, products=PRODUCT)
    assert (data.worst_condition > LIMIT).any()
    assert (data.status == STATUS["ok"]).all()


# Any architecture


def test_largest_exponent_is_the_rate_of_the_gradient() -> None:
    """Forwards and backwards along the same chain, to their errors over time."""
    for fields in ({"weight_scale": 2.0}, {"cell": "gru", "weight_scale": 1.5}):
        spec = NetworkSpec(hidden_size=16, **fields)
        data = measure(spec, networks=50, steps=400, products=("gradient", "lyapunov"), exponents=1)
        difference = data.rate - data.lyapunov_exponent[:, 0]
        assert_mean(difference.values, 0.0, float(np.hypot(difference.std(), 0.002)))


@pytest.mark.parametrize("k", [1, 3, 8, 9])
@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_leading_exponents_are_the_first_of_all(k: int, cell: str) -> None:
    """From other initial directions: equal once these have turned, in a few hundred steps."""
    spec = NetworkSpec(cell=cell, hidden_size=10, weight_scale=1.4)
    arguments: dict[str, Any] = dict(networks=3, steps=3000, burn_in=1000, products=PRODUCT)
    everything = measure(spec, **arguments)
    some = measure(spec, exponents=k, **arguments)
    assert some.lyapunov_exponent.shape == (3, k)
    want = everything.lyapunov_exponent[:, :k]
    np.testing.assert_allclose(some.lyapunov_exponent, want, rtol=0, atol=2e-3)


def test_sequences_that_nothing_couples_are_one_spectrum() -> None:
    """A batch without a norm: the union of the sequences' exponents, sorted."""
    spec = NetworkSpec(hidden_size=4, batch_size=3, weight_scale=1.2)
    ensemble = sample(spec, 2, 60, seed=3)
    whole = measure(ensemble, products=PRODUCT)
    apart = []
    for b in range(3):
        one = ensemble.isel(sequence=[b])
        single = one.attrs["spec"].replace('"batch_size": 3', '"batch_size": 1')
        one = one.assign_attrs(spec=single)
        apart.append(measure(one, products=PRODUCT).lyapunov_exponent.values)
    want = -np.sort(-np.concatenate(apart, axis=1), axis=1)
    np.testing.assert_allclose(whole.lyapunov_exponent, want, rtol=1e-12, atol=1e-12)
    for k in (2, 4, 5):  # of 12; from 4 on every sequence has all of its own
        some = measure(ensemble, products=PRODUCT, exponents=k)
        assert some.lyapunov_exponent.shape == (2, k)
        positive = (want[:, :k] > 0).all(axis=1)
        np.testing.assert_array_equal(np.isnan(some.unstable_count), positive)


# Exponents of -inf, bad networks


def test_what_dies_is_minus_infinity() -> None:
    """Units that are switched off take their directions with them, for good; the rest stays."""
    W = np.diag([0.9, 0.0, 0.5, 0.0])
    W[1, 0] = 0.3
    data = measure(linear([W], 50), products=PRODUCT)
    found = data.lyapunov_exponent.values[0]
    np.testing.assert_allclose(found[:2], np.log([0.9, 0.5]), atol=1e-12)
    assert (found[2:] == -np.inf).all() and data.status == STATUS["ok"]
    nilpotent = measure(linear([np.diag([1.0, 1.0], k=1)], 50), products=PRODUCT)
    assert (nilpotent.lyapunov_exponent == -np.inf).all()
    assert nilpotent.status == STATUS["dead"]
    assert (data.lyapunov_standard_error[0, 2:] == 0).all()


def test_relu_networks() -> None:
    """Half of the units are off: of fresh weights at every step about half the exponents are left.

    In theory lambda(t) is finite below t = 1/2; the rank of the product is the least number of
    living units of any step, and that is known from the states.
    """
    spec = NetworkSpec(activation="relu", hidden_size=24, weight_scale=2**0.5, tied=False)
    arguments: dict[str, Any] = dict(networks=4, steps=40, inputs="zero")
    data = measure(spec, products=("lyapunov",), keep=("states",), **arguments)
    living = (data.state.values[:, 0, 1:] > 0).sum(axis=2).min(axis=1)
    np.testing.assert_array_equal(np.isfinite(data.lyapunov_exponent).sum("index"), living)


def test_zeros_of_an_lstm() -> None:
    """Oracle G: at the zero fixed point N of the 2N exponents are -inf, beyond rounding's reach."""
    spec = NetworkSpec(cell="lstm", hidden_size=6, weight_scale=1.2)
    ensemble = sample(spec, 2, 400, inputs="zero")
    for name in ("initial_state", "initial_cell_state"):
        ensemble[name][:] = 0
    data = measure(ensemble, burn_in=200, products=PRODUCT)
    mu = np.linalg.eigvals(ensemble.sel(gate="cell").W.values)
    want = np.sort(np.log(np.abs(0.5 + 0.25 * mu)), axis=1)[:, ::-1]
    np.testing.assert_allclose(data.lyapunov_exponent[:, :6], want, atol=2e-2)
    assert (data.lyapunov_exponent[:, 6:] < -20).all()


def test_bad_networks_are_told() -> None:
    """Overflow of the state, and NaN among the given weights."""
    ensemble = sample(NetworkSpec(hidden_size=4), 3, 20)
    ensemble["W"][1, 0, 0, 0] = np.nan
    data = measure(ensemble, products=PRODUCT)
    assert data.status.values.tolist() == [STATUS["ok"], STATUS["bad_input"], STATUS["ok"]]
    assert np.isfinite(data.lyapunov_exponent[[0, 2]]).all()
    assert data.lyapunov_exponent[1].isnull().all() and np.isnan(data.entropy_rate[1])


# What follows from exponents


def test_dimension_entropy_and_unstable_directions() -> None:
    """By hand: sums of the exponents, the first of which that is negative, interpolated."""
    rows = np.array(
        [
            [0.3, 0.1, -0.2, -0.8],  # 0.3, 0.4, 0.2, -0.6: three, and 0.2 / 0.8
            [-0.1, -0.2, -0.3, -0.4],
            [0.4, 0.3, 0.2, 0.1],
            [0.5, 0.0, -np.inf, -np.inf],
            [np.nan] * 4,
        ]
    )
    found = attractor(rows, all_there=True)
    np.testing.assert_allclose(found["kaplan_yorke_dimension"], [3.25, 0, 4, 2, np.nan])
    np.testing.assert_allclose(found["entropy_rate"], [0.4, 0, 1.0, 0.5, np.nan])
    np.testing.assert_allclose(found["unstable_count"], [2, 0, 4, 1, np.nan])
    neutral = attractor(np.array([[1e-16, -1e-17, 0.0]]), all_there=True)
    assert neutral["unstable_count"] == 0 and neutral["kaplan_yorke_dimension"] == 3
    some = attractor(rows[:, :2], all_there=False)
    np.testing.assert_allclose(some["kaplan_yorke_dimension"], [np.nan, 0, np.nan, np.nan, np.nan])
    np.testing.assert_allclose(some["entropy_rate"], [np.nan, 0, np.nan, 0.5, np.nan])
    np.testing.assert_allclose(some["unstable_count"], [np.nan, 0, np.nan, 1, np.nan])


@pytest.mark.parametrize("steps, burn_in, ends", [(2, 0, [1]), (6, 2, [3, 4, 5])])
def test_blocks(steps: int, burn_in: int, ends: list[int]) -> None:
    """As many blocks as steps where there are few; they end with the window."""
    assert block_ends(steps, burn_in).tolist() == ends
    data = measure(
        NetworkSpec(hidden_size=3), networks=1, steps=steps, burn_in=burn_in, products=PRODUCT
    )
    assert data.block.values.tolist() == ends
    assert np.isinf(data.lyapunov_standard_error).all() == (len(ends) == 1)
    assert block_ends(1000, 100)[-1] == 999 and len(block_ends(1000, 100)) == 10


def test_refuses_exponents_that_make_no_sense() -> None:
    """A number below 1, without the product, or beside singular values, which count on."""
    spec = NetworkSpec(hidden_size=3)
    for products, exponents in ((PRODUCT, 0), (PRODUCT, 1.5), (("gradient",), 2)):
        with pytest.raises(InputError, match="exponents"):
            measure(spec, networks=1, steps=5, products=products, exponents=exponents)
    with pytest.raises(InputError, match="exponents"):
        measure(spec, networks=1, steps=5, products=("jacobian", "lyapunov"), exponents=2)
    assert measure(spec, networks=1, steps=5, products=PRODUCT, exponents=9).sizes["index"] == 3
