"""Chains far longer than any number format: logarithms stay finite, and right."""

from __future__ import annotations

from dataclasses import replace

import exact
import mpmath as mp
import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure, sample

PRECISIONS = pytest.mark.parametrize("precision", ["float64", "float32"])
LONG = 100_000


def with_recurrent_weights(
    W: np.ndarray, steps: int, activation: str = "linear", precision: str = "float64"
) -> xr.Dataset:
    """One undriven network with the given W, started from (1, ..., 1)."""
    spec = NetworkSpec(activation=activation, hidden_size=len(W), precision=precision)
    ensemble = sample(spec, 1, steps, inputs="zero", burn_in=0)
    ensemble["W"][0, 0] = W
    ensemble["initial_state"][:] = 1.0
    return ensemble


def positive(ensemble: xr.Dataset) -> xr.Dataset:
    """Absolute values of all weights and inputs: every relu stays open."""
    for name in ("W", "U", "b", "input", "initial_state", "readout_gradient"):
        ensemble[name] = abs(ensemble[name])
    return ensemble


@PRECISIONS
@pytest.mark.parametrize("weight_scale", [0.1, 10.0])
@pytest.mark.parametrize("activation", ["tanh", "linear", "relu", "sigmoid"])
def test_long_chains_stay_finite(activation: str, weight_scale: float, precision: str) -> None:
    """10^5 steps of vanishing or exploding gradients give finite log norms for every product."""
    spec = NetworkSpec(
        activation=activation, hidden_size=6, weight_scale=weight_scale, precision=precision
    )
    ensemble = sample(spec, 2, LONG, burn_in=10)
    ensemble = positive(ensemble) if activation == "relu" else ensemble
    data = measure(ensemble, products=("trajectory", "gradient", "weights"))
    assert (data.status == 0).all()
    for name in set(data.data_vars) - {"activation_variance", "horizon"}:
        assert np.isfinite(data[name]).all(), name
    assert abs(data.log_gradient[0, -1]) > 1000  # far outside the format
    if activation in ("linear", "relu"):
        rho = np.abs(np.linalg.eigvals(ensemble.W.values[:, 0].astype(float))).max(axis=1)
        np.testing.assert_allclose(data.rate, np.log(rho), rtol=0, atol=2e-3)


@PRECISIONS
@pytest.mark.parametrize("gain", [0.1, 1.0, 10.0])
def test_linear_orthogonal_is_exact(gain: float, precision: str) -> None:
    """The gradient at lag k is g^k to round-off: k ln g to 1e-12 relative in float64.

    Q is orthogonal to n eps only, which every step repeats: k n eps at most.
    """
    spec = NetworkSpec(
        activation="linear",
        weights="orthogonal",
        hidden_size=8,
        weight_scale=gain,
        precision=precision,
    )
    data = measure(spec, networks=2, steps=LONG, seed=3, burn_in=0)
    lag = np.arange(LONG)
    own = 8 * np.finfo(precision).eps
    expected = np.broadcast_to(lag * np.log(np.float64(np.dtype(precision).type(gain))), (2, LONG))
    rtol = 1e-12 if precision == "float64" else 0
    np.testing.assert_allclose(data.log_gradient, expected, rtol=rtol, atol=LONG * own)
    np.testing.assert_allclose(data.log_gradient[:, :100], expected[:, :100], atol=100 * own)


def exact_chain(ensemble: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log_gradient, contribution_W and ln |h| of a network of one sequence, in 40 digits."""
    spec = NetworkSpec.from_json(ensemble.attrs["spec"])
    phi, dphi = exact.ACTIVATIONS[spec.activation]
    W, U = (mp.matrix(ensemble[k].values[0, 0].astype(float).tolist()) for k in "WU")
    x = ensemble.input.values[0, 0].astype(float)
    h = [mp.matrix(ensemble.initial_state.values[0, 0].astype(float).tolist())]
    derivative = []
    for t in range(len(x)):
        net = W * h[-1] + U * mp.matrix(x[t].tolist())
        h.append(net.apply(phi))
        derivative.append(net.apply(dphi))
    delta = mp.matrix(ensemble.readout_gradient.values[0, 0].astype(float).tolist())
    norms, terms = [], []
    for t in range(len(x) - 1, -1, -1):
        delta = mp.matrix([d * e for d, e in zip(derivative[t], delta, strict=True)])
        norms.append(mp.norm(delta))
        terms.append(float(mp.log(norms[-1] * mp.norm(h[t]))))
        delta = W.T * delta
    logs = np.array([float(mp.log(g / norms[0])) for g in norms])
    return logs, np.array(terms), np.array([float(mp.log(mp.norm(s))) for s in h])


GROWING = ("linear", "relu", "leaky_relu", "softplus", "elu", "gelu", "silu")
SHRINKING = ("linear", "tanh", "leaky_relu", "elu", "gelu", "silu", "erf", "sin")


@PRECISIONS
@pytest.mark.parametrize("inputs", ["zero", "gaussian"])
@pytest.mark.parametrize(
    "activation, weight_scale",
    [(name, 10.0) for name in GROWING] + [(name, 0.05) for name in SHRINKING],
)
def test_states_beyond_the_format(
    activation: str, weight_scale: float, inputs: str, precision: str
) -> None:
    """Homogeneous states of size 10^+-400 and more against 40-digit arithmetic.

    Growing networks have positive weights, so that the state is one ray and the chain is well
    conditioned: every step costs (n + 8) eps.
    """
    steps = 520
    spec = NetworkSpec(
        activation=activation,
        hidden_size=3,
        weight_scale=weight_scale,
        precision=precision,
    )
    ensemble = sample(spec, 1, steps, seed=2, inputs=inputs, burn_in=0)
    ensemble = positive(ensemble)
    with mp.workdps(40):
        gradient, terms, _ = exact_chain(ensemble)
    data = measure(ensemble, products=("gradient", "weights"))
    assert data.status.item() == 0
    atol = 4 * steps * 11 * float(np.finfo(precision).eps)
    np.testing.assert_allclose(data.log_gradient[0], gradient, rtol=0, atol=atol)
    np.testing.assert_allclose(data.contribution_W[0], terms, rtol=0, atol=atol)


@PRECISIONS
@pytest.mark.parametrize("activation", ["sigmoid", "softplus"])
@pytest.mark.parametrize("depth", [25.0, 90.0, 300.0, 600.0])
def test_recovery_from_tiny_states(activation: str, depth: float, precision: str) -> None:
    """Activations with phi(0) > 0 leave a tiny state in one step: phi(0) = 1/2 or ln 2.

    h_1 = phi(-depth) = e^-depth, and the undriven network continues at h_2 = phi(-0).
    """
    if precision == "float32" and depth > 85:
        depth /= 8
    ensemble = with_recurrent_weights(np.array([[-depth]]), 6, activation, precision)
    data = measure(ensemble, keep=("states",))
    h, want = 1.0, []
    for _ in range(6):
        net = -depth * h
        h = 1 / (1 + np.exp(-net)) if activation == "sigmoid" else np.log1p(np.exp(net))
        want.append(h)
    rtol = 40 * depth * float(np.finfo(precision).eps)
    np.testing.assert_allclose(data.state[0, 0, :, 0], want, rtol=rtol)


@PRECISIONS
@pytest.mark.parametrize("gain", [12.0, 30.0, 200.0])
def test_saturated_gradients_are_not_lost(gain: float, precision: str) -> None:
    """A step that shrinks the gradient by e^-2 gain is measured as long as phi' is a number.

    One unit, h -> tanh(gain h) from h = 1: the log gradient falls by ln(gain 4 e^(-2 gain)) a step
    (the state stays at 1 to rounding), far beyond what the square of the norm could hold.
    """
    if 2 * gain > -np.log(np.finfo(precision).tiny):
        pytest.skip("phi' itself underflows")
    ensemble = with_recurrent_weights(np.array([[gain]]), 40, "tanh", precision)
    data = measure(ensemble)
    assert data.status.item() == 0
    step = np.log(gain) + np.log(4.0) - 2 * gain  # 1 - tanh^2 -> 4 e^(-2 gain)
    np.testing.assert_allclose(data.log_gradient[0], step * np.arange(40), rtol=1e-5)


@pytest.mark.parametrize("activation", ["linear", "relu"])
@PRECISIONS
def test_a_step_may_be_of_any_size(activation: str, precision: str) -> None:
    """A homogeneous state grows by 10^300 a step (10^36 in float32): ln rho(W) per step."""
    scale = 1e300 if precision == "float64" else 1e36
    spec = NetworkSpec(
        activation=activation, hidden_size=4, weight_scale=scale, precision=precision
    )
    ensemble = positive(sample(spec, 3, 150, burn_in=60))
    data = measure(ensemble, products=("gradient", "jacobian", "lyapunov"))
    assert (data.status == 0).all()
    rho = np.abs(np.linalg.eigvals(ensemble.W.values[:, 0].astype(float))).max(axis=1)
    tolerance = {"rtol": 0, "atol": 1e-9 if precision == "float64" else 1e-4}
    np.testing.assert_allclose(data.rate, np.log(rho), **tolerance)
    np.testing.assert_allclose(data.lyapunov_exponent[:, 0], np.log(rho), **tolerance)


@PRECISIONS
def test_bounded_activation_with_a_growing_skip(precision: str) -> None:
    """h' = 1.2 h + erf(W h): the state follows 1.2^k, erf adds at most 1 a step.

    |h_k / 1.2^k - h_0| <= sum of 1.2^-j < 5 for all k, in size 1.2^1000 = e^182.
    """
    steps = 1000
    spec = NetworkSpec(activation="erf", hidden_size=4, skip=1.2, precision=precision)
    options = {"inputs": "zero", "burn_in": 0, "products": ("trajectory",), "keep": ("states",)}
    data = measure(spec, networks=3, steps=steps, **options)
    assert (data.status == 0).all()
    start = sample(spec, 3, steps, inputs="zero", burn_in=0).initial_state.values
    for k in (10, 60, 200, 500, steps):
        scaled = np.exp(np.log(np.abs(data.state.values[:, :, k - 1])) - k * np.log(1.2))
        assert (np.abs(scaled) <= np.abs(start) + 5 + 1e-3).all(), k


def test_terms_of_w_far_below_those_of_u() -> None:
    """Shut gates of a GRU: dL/d(W h) is e^-60 of dL/d(U x) in the same step, and not lost."""
    spec = NetworkSpec(cell="gru", hidden_size=2, gate_bias={"reset": -60.0, "update": -60.0})
    ensemble = sample(spec, 3, 2)
    found = []
    for precision in ("float64", "float32"):
        same = ensemble.assign_attrs(spec=replace(spec, precision=precision).to_json())
        found.append(measure(same, products=("weights",), keep=("gradients",)))
    double, single = found
    assert (double.log_grad_W < -55).all()
    assert (double.log_grad_U > -5).all()
    for name in ("log_grad_W", "contribution_W", "log_grad_U"):
        np.testing.assert_allclose(single[name], double[name], rtol=0, atol=1e-3)
    size = float(abs(double.grad_W).max())
    np.testing.assert_allclose(single.grad_W, double.grad_W, rtol=0, atol=1e-3 * size)


def test_inputs_of_any_size() -> None:
    """The term of U is linear in x where x is too small to move the state, squares underflowing."""
    spec = NetworkSpec(hidden_size=3, precision="float32")
    ensemble = sample(spec, 1, 4, burn_in=0)
    small = {size: ensemble.copy(deep=True) for size in (1e-10, 1e-30)}
    for size, one in small.items():
        one["input"] *= np.float32(size)
    data = {size: measure(one, products=("weights",)) for size, one in small.items()}
    gap = (data[1e-10].log_grad_U - data[1e-30].log_grad_U).values
    np.testing.assert_allclose(gap, np.log(1e20), rtol=1e-5)


def in_both_precisions(spec: NetworkSpec, steps: int, networks: int = 3) -> list[xr.Dataset]:
    """The same networks measured in float64 and in float32."""
    ensemble = sample(spec, networks, steps, burn_in=0)
    found = []
    for precision in ("float64", "float32"):
        same = ensemble.assign_attrs(spec=replace(spec, precision=precision).to_json())
        found.append(measure(same, products=("trajectory", "gradient", "weights")))
    return found


@pytest.mark.parametrize("normalization", ["batch", "batch-separate", "layer"])
def test_growing_states_of_normalised_networks(normalization: str) -> None:
    """h grows by 1.4 a step, to 2^145: far beyond float32, well inside float64; all terms agree."""
    spec = NetworkSpec(
        hidden_size=8, normalization=normalization, batch_size=8, skip=1.4, norm_scale=0.5
    )
    double, single = in_both_precisions(spec, 300)
    assert (double.status == 0).all()
    assert (single.status == 0).all()
    for name in ("log_gradient", "rate", "contribution_W", "contribution_U", "mean_derivative"):
        assert np.isfinite(single[name]).all(), name
        np.testing.assert_allclose(single[name], double[name], rtol=0, atol=2e-2, err_msg=name)


@pytest.mark.parametrize("cell", ["gru", "lstm", "minimal_rnn"])
def test_gates_beside_a_state_too_large_are_an_overflow(cell: str) -> None:
    """Normalised gates do not saturate: their derivatives grow with the state, past a format."""
    spec = NetworkSpec(cell=cell, hidden_size=8, normalization="layer", skip=1.4)
    double, single = in_both_precisions(spec, 200)
    assert (double.status == 0).all()
    assert (single.status == 1).all()


def test_gradients_that_underflow_beside_others_are_dead() -> None:
    """Units of a residual GRU grow at rates of their own: where dL/dnet is lost, status says so."""
    spec = NetworkSpec(cell="gru", hidden_size=8, skip=1.0)
    data = measure(spec, networks=16, steps=1600)
    lost = np.isneginf(data.log_gradient).any("lag")
    assert lost.any()
    assert (data.status.values[lost.values] == 2).all()
