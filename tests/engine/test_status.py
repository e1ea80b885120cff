"""Divergence, death and bad input are codes of single networks, never errors or silent averages."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import STATUS, NetworkSpec, Wanted, measure, plan, random_source, sample
from gradhorizon.engine.chunk import Run
from gradhorizon.engine.processor import Processor
from gradhorizon.kernels.bodies.adjoint import larger, smaller

PRODUCTS = ("trajectory", "gradient", "weights", "jacobian")
EACH = pytest.mark.parametrize("product", PRODUCTS)
BAD = pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])


@pytest.fixture(autouse=True)
def no_warnings() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def assert_others_untouched(data: xr.Dataset, clean: xr.Dataset, bad: list[int]) -> None:
    """Codes of exactly the bad networks; every bit of the others as without them."""
    expected = np.zeros(data.sizes["network"], int)
    expected[bad] = STATUS["bad_input"]
    np.testing.assert_array_equal(data.status, expected)
    good = np.flatnonzero(expected == 0)
    for name in data.data_vars:
        np.testing.assert_array_equal(data[name][good], clean[name][good], err_msg=name)


def test_extremes_of_the_norms() -> None:
    """What the status is told by: of all lags; NaN wherever one is, though numbers follow it."""
    source = random_source(NetworkSpec(hidden_size=5, weight_scale=2.0), 9, 0, "zero", 2, "last")
    arrays = Run.of(source, 0, 4, Wanted(("gradient",)), Processor()).arrays.adjoint
    found = np.stack([arrays.square.min(axis=1), arrays.square.max(axis=1)], axis=1)
    np.testing.assert_array_equal(arrays.extremes, found)
    for function, expected in ((smaller, 1.0), (larger, 2.0)):
        assert function(1.0, 2.0) == function(2.0, 1.0) == expected
        assert np.isnan([function(np.nan, 1.0), function(1.0, np.nan)]).all()


@BAD
@EACH
def test_bad_inputs(product: str, bad: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN or infinity in one sequence marks the networks that read it, whatever the chunks."""
    monkeypatch.setattr(plan, "LARGEST_CHUNK", 3)
    spec = NetworkSpec(hidden_size=4, input_size=3)
    inputs = np.random.default_rng(0).standard_normal((4, 10, 3))
    arguments: dict[str, Any] = dict(networks=9, steps=8, burn_in=0, products=(product,))
    clean = measure(spec, inputs=inputs, **arguments)
    inputs[1, 5, 2] = bad
    assert_others_untouched(measure(spec, inputs=inputs, **arguments), clean, [1, 5])
    inputs[1, 5, 2], inputs[2, 9, 0] = 0.0, bad  # a step that nobody reads
    assert (measure(spec, inputs=inputs, **arguments).status == 0).all()
    burnt = measure(spec, inputs=inputs, **(arguments | {"burn_in": 1}))  # now it is read
    np.testing.assert_array_equal(np.flatnonzero(burnt.status), [2, 6])


@BAD
@EACH
@pytest.mark.parametrize("name", ["W", "U", "b", "input", "initial_state", "readout_gradient"])
def test_bad_arrays_of_an_ensemble(name: str, product: str, bad: float) -> None:
    ensemble = sample(NetworkSpec(hidden_size=4, input_size=3, batch_size=2), 5, 6)
    clean = measure(ensemble, products=(product,))
    ensemble[name].values[3].flat[-1] = bad
    assert_others_untouched(measure(ensemble, products=(product,)), clean, [3])


def test_inputs_beyond_float32() -> None:
    """A float64 number that float32 cannot hold is a bad input, without a warning."""
    spec = NetworkSpec(hidden_size=3, precision="float32")
    inputs = np.zeros((2, 5, 3))
    inputs[1, 0, 0] = 1e300
    data = measure(spec, networks=2, steps=5, inputs=inputs, burn_in=0)
    np.testing.assert_array_equal(data.status, [0, STATUS["bad_input"]])


@EACH
def test_overflow_in_one_step(product: str) -> None:
    """Weights of 1e300 leave the range between two rescalings, but for a homogeneous activation."""
    spec = NetworkSpec(activation="softplus", hidden_size=4, weight_scale=1e300)
    data = measure(spec, networks=3, steps=8, products=(product,))
    assert (data.status == STATUS["overflow"]).all()


@EACH
def test_overflow_does_not_reach_the_neighbours(product: str) -> None:
    ensemble = sample(NetworkSpec(activation="softplus", hidden_size=4), 5, 8)
    clean = measure(ensemble, products=(product,))
    ensemble["W"][2] = 1e300
    data = measure(ensemble, products=(product,))
    assert data.status[2] == STATUS["overflow"]
    for name in data.data_vars:
        keep = [0, 1, 3, 4]
        np.testing.assert_array_equal(data[name][keep], clean[name][keep])


def test_dead_relu() -> None:
    """All units negative at one measured step: the gradient is zero at that lag and beyond."""
    spec = NetworkSpec(activation="relu", hidden_size=4, input_size=4)
    ensemble = sample(spec, 3, 8, burn_in=0)
    ensemble["b"][:] = 5.0
    ensemble["W"][:], ensemble["U"][:] = 0.1 * np.eye(4), np.eye(4)
    ensemble["input"][1, 0, 3] = -100.0
    data = measure(ensemble, products=PRODUCTS)
    np.testing.assert_array_equal(data.status, [0, STATUS["dead"], 0])
    assert np.isfinite(data.log_gradient[1, :4]).all()
    assert (data.log_gradient[1, 4:] == -np.inf).all()
    assert (data.contribution_W[1, 4:] == -np.inf).all()
    assert np.isfinite(data.log_grad_W).all()
    assert (data.log_jacobian_norm[1, :, 3:] == -np.inf).all()
    assert data.rate[1] == -np.inf


def backpropagated(ensemble: xr.Dataset, k: int, skip: float, loss: str) -> np.ndarray:
    """|dL/dnet| of a tanh network at the measured steps, the last one first."""
    part = ensemble.isel(network=k, gate=0, sequence=0)
    W, U, x = part.W.values, part.U.values, part.input.values
    h, nets = part.initial_state.values, []
    for x_t in x:
        nets.append(W @ h + U @ x_t + part.b.values)
        h = skip * h + np.tanh(nets[-1])
    g, norms = np.zeros_like(h), []
    for t, net in enumerate(reversed(nets)):
        if loss == "every" and t < 8:
            g = g + part.readout_gradient.values[::-1][t]
        elif t == 0:
            g = part.readout_gradient.values
        delta = g / np.cosh(net) ** 2
        norms.append(np.linalg.norm(delta))
        g = W.T @ delta + skip * g
    return np.array(norms[:8])


ENDING = {"nothing": np.zeros((3, 3)), "two lags": np.diag([1.0, 1.0], k=1)}


@pytest.mark.parametrize("burn_in", [0, 1, 3, 6])
@pytest.mark.parametrize("loss", ["last", "every"])
@pytest.mark.parametrize("skip", [0.0, 0.5])
@pytest.mark.parametrize("name", ENDING)
def test_a_gradient_that_ends(name: str, skip: float, loss: str, burn_in: int) -> None:
    """W = 0, or nilpotent: the rate is -inf and the horizon 0, wherever the rate begins."""
    spec = NetworkSpec(hidden_size=3, skip=skip)
    ensemble = sample(spec, 2, 8, burn_in=burn_in, loss=loss)
    ensemble["W"][:, 0] = ENDING[name]
    data = measure(ensemble)
    norms = [backpropagated(ensemble, k, skip, loss) for k in (0, 1)]
    ends = skip == 0 and loss == "last"
    assert ends == (norms[0][-1] == 0)
    with np.errstate(divide="ignore"):
        log = np.log([norm / norm[0] for norm in norms])
    np.testing.assert_allclose(data.log_gradient, log, atol=1e-12)
    rate = [-np.inf] * 2 if ends else (log[:, -1] - log[:, burn_in]) / (7 - burn_in)
    np.testing.assert_allclose(data.rate, rate, atol=1e-12)
    horizon = np.where(np.asarray(rate) < 0, -1 / np.asarray(rate), np.inf)
    np.testing.assert_allclose(data.horizon, horizon, rtol=1e-9)
    np.testing.assert_array_equal(data.status, STATUS["dead"] if ends else 0)


@pytest.mark.parametrize("burn_in, expected", [(0, np.inf), (1, np.log(0.5)), (2, np.log(0.5))])
def test_a_rate_beside_a_gradient_that_is_zero_at_lag_0(burn_in: int, expected: float) -> None:
    """Flat at the last step alone (hard tanh beyond 1), past which the skip path carries 0.5."""
    spec = NetworkSpec(activation="hard_tanh", hidden_size=3, skip=0.5, weight_scale=0)
    ensemble = sample(spec, 2, 6, burn_in=burn_in)
    ensemble["input"][:], ensemble["initial_state"][:] = 0.0, 0.0
    ensemble["input"][1, 0, -1] = 100.0
    data = measure(ensemble)
    np.testing.assert_allclose(data.rate[0], np.log(0.5), rtol=1e-12)
    np.testing.assert_allclose(data.rate[1], expected, rtol=1e-12)
    np.testing.assert_array_equal(data.status, [0, STATUS["dead"]])


def test_nothing_has_no_rate() -> None:
    """A gradient that is zero at every lag."""
    ensemble = sample(NetworkSpec(hidden_size=3), 1, 6)
    ensemble["readout_gradient"][:] = 0
    data = measure(ensemble)
    assert np.isnan(data.rate).all() and np.isnan(data.horizon).all()
    assert data.status == STATUS["dead"]


@pytest.mark.parametrize("product", ["gradient", "weights"])
def test_ok_means_finite(product: str) -> None:
    """Whoever averages the networks with status 0 gets a number.

    The last step of this network is flat (hard tanh beyond 1), so that dL/dnet_T is exactly zero;
    the skip path carries the gradient past it.
    """
    spec = NetworkSpec(activation="hard_tanh", hidden_size=3, input_size=3, skip=0.5, branch=0.5)
    ensemble = sample(spec, 2, 8, burn_in=0)
    ensemble["W"][:], ensemble["U"][:], ensemble["b"][:] = 0.3 * np.eye(3), np.eye(3), 0.0
    ensemble["input"][:] = 0.1
    ensemble["initial_state"][:] = 0.1
    ensemble["input"][1, 0, -1] = 100.0
    data = measure(ensemble, products=(product,))
    ok = data.isel(network=data.status.values == 0)
    assert 0 in ok.network.values
    for name in ("rate", "log_grad_W", "log_grad_U", "log_grad_b"):
        if name in ok:
            assert np.isfinite(ok[name]).all(), name


def test_vanished_networks_are_not_dead() -> None:
    """A gradient of 10^-3000 is small, not zero."""
    spec = NetworkSpec(weight_scale=1e-3, hidden_size=4)
    data = measure(spec, networks=3, steps=1000)
    assert (data.status == 0).all()
    assert (data.log_gradient[:, -1] < -6000).all()


def test_codes_are_described() -> None:
    data = measure(NetworkSpec(hidden_size=3), networks=2, steps=4)
    for name, code in STATUS.items():
        assert f"{code} {name}" in data.status.attrs["long_name"]
    assert data.status.dtype.kind == "i"


FACTORS: list[dict[str, Any]] = [
    *({name: 1e300} for name in ("weight_scale", "input_scale", "bias_scale", "skip")),
    *({"weights": w, "weight_scale": 1e300} for w in ("orthogonal", "identity", "uniform")),
    {"weights": "pytorch", "weight_scale": 1e300},
    {"weight_scale": 1e300, "tied": False},
    {"gate_bias": {"hidden": -1e300}},
    {"skip": -1e300, "normalization": "layer"},
]


@pytest.mark.parametrize("fields", FACTORS, ids=str)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_factors_that_the_precision_cannot_hold(fields: dict[str, Any], precision: str) -> None:
    """Infinite in float32; no network is said to be well, and nothing is said besides."""
    spec = NetworkSpec(hidden_size=3, precision=precision, **fields)
    data = measure(spec, networks=4, steps=6, products=("gradient", "weights"))
    assert (data.status > 0).all() or precision == "float64"
    assert not np.isnan(data.rate[data.status == 0]).any()
    assert sample(spec, 2, 6).sizes["network"] == 2
