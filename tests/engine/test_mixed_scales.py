"""Parts of one network that do not act on each other: right at any scale, or said not to be.

Sequences of a network, and units of a diagonal W, grow and shrink by themselves. A power of two
that they shared would put all but the largest on a wrong scale.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import exact
import mpmath as mp
import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import STATUS, NetworkSpec, measure, sample

MIXED = STATUS["mixed_scales"]
STEPS = {"float64": 3000, "float32": 600}
PRECISIONS = pytest.mark.parametrize("precision", STEPS)
UNBOUNDED = ("elu", "silu", "gelu", "softplus", "relu", "leaky_relu")


def alone(ensemble: xr.Dataset, b: int) -> xr.Dataset:
    """The networks of an ensemble with their sequence b as the only one."""
    spec = replace(NetworkSpec.from_json(ensemble.attrs["spec"]), batch_size=1)
    return ensemble.isel(sequence=[b]).copy(deep=True).assign_attrs(spec=spec.to_json())


def silent_but(ensemble: xr.Dataset, b: int) -> xr.Dataset:
    """The same networks and sequences, with a loss of sequence b only."""
    one = ensemble.copy(deep=True)
    one["readout_gradient"] = ensemble.readout_gradient.where(ensemble.sequence == b, 0.0)
    return one


def assert_each_as_alone(ensemble: xr.Dataset, products: tuple[str, ...]) -> np.ndarray:
    """Compare with each sequence alone; returns the status of the networks.

    States, Jacobians and gradients are computed in the same order, so that they agree to the last
    bit; squares are added up in another one.
    """
    precision = NetworkSpec.from_json(ensemble.attrs["spec"]).precision
    rounding = {"rtol": 1e-15, "atol": 8 * float(np.finfo(precision).eps)}
    sequences = range(ensemble.sizes["sequence"])
    options: dict[str, Any] = {"products": products, "keep": ("states",)}
    together = measure(ensemble, **options)
    each = [measure(alone(ensemble, b), **options) for b in sequences]
    ok = together.status.values == 0
    for b in sequences:
        np.testing.assert_array_equal(together.state[ok, b], each[b].state[ok, 0])
        loss = measure(silent_but(ensemble, b), products=products)
        assert set(np.unique(loss.status[ok])) <= {STATUS["ok"], STATUS["dead"]}
        for name in ("log_gradient", "contribution_W", "contribution_U"):
            if name in loss:
                np.testing.assert_allclose(loss[name][ok], each[b][name][ok], **rounding)
    if "lyapunov" in products:
        spectra = np.concatenate([one.lyapunov_exponent for one in each], axis=1)
        np.testing.assert_array_equal(
            together.lyapunov_exponent[ok], -np.sort(-spectra, axis=1)[ok]
        )
    if "jacobian" in products:
        norms = np.stack([one.log_jacobian_norm for one in each])
        np.testing.assert_array_equal(together.log_jacobian_norm[ok, 1], norms.max(0)[ok, 1])
    return np.asarray(together.status)


def test_two_sequences_of_one_unit() -> None:
    """h -> elu(1.2 h) grows by ln 1.2 a step from +1; from -1 it settles at h = e^(1.2 h) - 1."""
    spec = NetworkSpec(activation="elu", hidden_size=1, batch_size=2)
    ensemble = sample(spec, 1, 4000, inputs="zero", burn_in=500)
    ensemble["W"][:] = 1.2
    ensemble["initial_state"].values[0, :, 0] = [1, -1]
    data = measure(ensemble, products=("lyapunov",))
    fixed = float(mp.findroot(lambda h: mp.exp(1.2 * h) - 1 - h, -0.5))
    settled = np.log(1.2) + 1.2 * fixed  # of the derivative 1.2 e^(1.2 h)
    assert data.status.item() == 0
    np.testing.assert_allclose(data.lyapunov_exponent[0], [np.log(1.2), settled], atol=1e-9)


@PRECISIONS
@pytest.mark.parametrize("activation", UNBOUNDED)
@pytest.mark.parametrize(
    "sizes", [(1, 3), pytest.param((2, 4, 5, 6, 7, 8), marks=pytest.mark.slow)], ids=str
)
def test_random_networks(activation: str, precision: str, sizes: tuple[int, ...]) -> None:
    """Each sequence as alone; random weights couple all units, and no scales are mixed."""
    for size in sizes:
        for sequences in (2, 3):
            spec = NetworkSpec(
                activation=activation,
                hidden_size=size,
                weight_scale=1.6,
                batch_size=sequences,
                precision=precision,
            )
            seed = 10 * size + sequences
            ensemble = sample(spec, 6, STEPS[precision], seed=seed, inputs="zero")
            status = assert_each_as_alone(ensemble, ("gradient", "lyapunov"))
            assert set(status) <= {STATUS["ok"], STATUS["dead"]}
            assert (status == 0).sum() >= 3


DRIVEN: dict[str, dict[str, Any]] = {
    "gru": {"cell": "gru", "skip": 1.3},
    "lstm": {"cell": "lstm", "skip": 1.3},
    "layer": {"normalization": "layer", "skip": 1.4, "norm_scale": 0.5},
}
FREE: dict[str, dict[str, Any]] = {
    "untied": {"tied": False, "activation": "softplus", "weight_scale": 2.0},
    "leaky": {"activation": "silu", "weight_scale": 2.5, "skip": 0.5, "branch": 0.5},
    "biases": {"activation": "elu", "weight_scale": 2.0, "bias_scale": 0.3},
}


@pytest.mark.parametrize("loss", ["last", "every"])
@pytest.mark.parametrize("name", DRIVEN | FREE)
def test_sequences_of_other_networks(name: str, loss: str) -> None:
    """One sequence starts from very small numbers, and is not driven; all products."""
    fields = (DRIVEN | FREE)[name]
    spec = NetworkSpec(hidden_size=4, batch_size=3, precision="float32", **fields)
    inputs = "gaussian" if name in DRIVEN else "zero"
    ensemble = sample(spec, 4, 300, seed=5, burn_in=0, loss=loss, inputs=inputs)
    ensemble["input"][:, 1] = 0.0
    ensemble["initial_state"][:, 1] *= 1e-30
    status = assert_each_as_alone(ensemble, ("trajectory", "gradient", "weights", "jacobian"))
    if name == "lstm":  # h grows, c does not
        assert (status == MIXED).all()
    else:
        assert set(status) <= {STATUS["ok"], STATUS["dead"]}
        assert (status == 0).any()


def test_terms_of_sequences_add_up() -> None:
    """dL/dW is the sum over sequences, at whatever scales: the terms of each alone, in float64."""
    spec = NetworkSpec(activation="elu", hidden_size=3, batch_size=3, weight_scale=1.5)
    ensemble = sample(spec, 5, 150, seed=2, inputs="zero")
    keep: dict[str, Any] = {"products": ("weights",), "keep": ("gradients",)}
    together = measure(ensemble, **keep)
    each = [measure(alone(ensemble, b), **keep) for b in range(3)]
    for name in ("grad_W", "grad_b"):
        total = sum(one[name].values for one in each)
        np.testing.assert_allclose(together[name], total, rtol=1e-9, atol=1e-12 * abs(total).max())


def units_alone(
    weights: np.ndarray, start: np.ndarray, activation: str, window: tuple[int, int]
) -> np.ndarray:
    """Mean over a window of steps of ln |w phi'(w h)| of each unit h -> phi(w h), in 30 digits."""
    phi, derivative = exact.ACTIVATIONS[activation]
    found = []
    with mp.workdps(30):
        for w, h in zip(map(mp.mpf, weights.tolist()), map(mp.mpf, start.tolist()), strict=True):
            logs = []
            for _ in range(window[1]):
                net = w * h
                h, slope = phi(net), abs(w * derivative(net))
                logs.append(float(mp.log(slope)) if slope else -np.inf)
            found.append(np.mean(logs[window[0] :]))
    return np.array(found)


DIAGONAL = np.array([1.6, 0.9, 1.25])
RIGHT = {"ok"}
SAID = {"ok", "mixed_scales"}
OUTCOMES = [
    ("linear", 1.0, RIGHT),
    ("tanh", 1.0, RIGHT),
    ("sin", -1.0, RIGHT),
    ("silu", 1.0, RIGHT),  # what does not grow becomes tiny, where silu is linear
    ("gelu", 1.0, SAID),  # the third unit grows, too, but more slowly
    ("elu", 1.0, SAID),
    ("elu", -1.0, SAID),  # the third unit settles at -0.37, beside one that grows
    ("softplus", 1.0, SAID),
    ("relu", 1.0, SAID),  # the second unit vanishes, and the sign of its net with it
    ("leaky_relu", -1.0, SAID),
]


@PRECISIONS
@pytest.mark.parametrize("activation, third, outcome", OUTCOMES)
def test_units_that_nothing_couples(
    activation: str, third: float, outcome: set[str], precision: str
) -> None:
    """A diagonal W: every unit's own exponent, or `mixed_scales`; a short chain is right."""
    found_codes, start = set(), np.array([1.0, 1.0, third])
    for steps in (12, STEPS[precision]):
        spec = NetworkSpec(activation=activation, hidden_size=3, precision=precision)
        skipped = steps // 3
        ensemble = sample(spec, 1, steps - skipped, inputs="zero", burn_in=skipped)
        ensemble["W"][0, 0] = np.diag(DIAGONAL)
        ensemble["initial_state"][0, 0] = start
        data = measure(ensemble, products=("jacobian",))
        found_codes.add(data.status.item())
        if data.status.item() == 0:
            weights = np.diag(ensemble.W.values[0, 0]).astype(float)
            want = units_alone(weights, start, activation, (skipped + 1, steps))
            found = data.log_singular_value.values[0] / (steps - skipped - 1)
            tolerance = 1e-9 if precision == "float64" else 2e-5
            np.testing.assert_allclose(found, -np.sort(-want), rtol=0, atol=tolerance)
    assert found_codes == {STATUS[name] for name in outcome}


@PRECISIONS
def test_a_pulse_after_silence(precision: str) -> None:
    """relu, no input for long, then a pulse to the first of two units that nothing couples.

    The state is brought to the scale of the pulse. That of the other unit is lost, and with it the
    sign of its net: said so. If the pulse reaches both units, both nets are large, and right.
    """
    spec = NetworkSpec(activation="relu", hidden_size=2, precision=precision)
    steps = 3000 if precision == "float64" else 400
    ensemble = sample(spec, 2, steps, burn_in=0)
    ensemble["W"][:], ensemble["U"][:] = 0.5 * np.eye(2), np.eye(2)
    ensemble["initial_state"][:] = 1.0
    ensemble["input"][:] = 0.0
    ensemble["input"][:, :, -1, 0] = 1.0
    ensemble["input"][1, :, -1, 1] = 1.0
    data = measure(ensemble, products=("gradient",))
    np.testing.assert_array_equal(data.status, [MIXED, 0])
    np.testing.assert_allclose(data.rate[1], np.log(0.5), rtol=1e-6)


def test_small_units_keep_their_size() -> None:
    """elu beside a unit that grows: -1 stays -1, though the power of two of the state is 2^600."""
    spec = NetworkSpec(activation="elu", hidden_size=2)
    ensemble = sample(spec, 1, 650, inputs="zero", burn_in=0)
    ensemble["W"][0, 0] = [[2.0, 0.0], [-2.0, 0.0]]
    ensemble["initial_state"][:] = 1.0
    data = measure(ensemble, keep=("states",), products=("jacobian",))
    assert data.status.item() == 0
    np.testing.assert_array_equal(data.state[0, 0, :, 0], 2.0 ** np.arange(1, 651))
    np.testing.assert_array_equal(data.state[0, 0, 20:, 1], -1.0)


def test_a_state_that_dies_starts_again_at_its_true_size() -> None:
    """relu, fresh weights: 150 steps grow to 2^300, one ends all, and biases begin anew."""
    weights = np.r_[np.full(150, 4.0), -1.0, np.full(9, 0.5)]
    spec = NetworkSpec(activation="relu", hidden_size=1, tied=False)
    ensemble = sample(spec, 1, weights.size, inputs="zero", burn_in=0)
    ensemble["W"].values.flat[:], ensemble["b"][:] = weights, 1.0
    ensemble["initial_state"][:] = 1.0
    state = measure(ensemble, products=("trajectory",), keep=("states",)).state.values.ravel()
    h, want = 1.0, []
    for w in weights:
        h = max(w * h + 1, 0.0)
        want.append(h)
    np.testing.assert_allclose(state, want, rtol=1e-14)


OPEN: dict[str, tuple[dict[str, Any], list[list[float]]]] = {
    "gates": ({"cell": "gru", "hidden_size": 2, "skip": 1.2}, [[0.0, 0.0], [0.0, 0.0]]),
    "softplus": ({"activation": "softplus", "hidden_size": 2}, [[2.0, 0.0], [0.0, 0.0]]),
}


@pytest.mark.parametrize("name", OPEN)
def test_zero_is_no_asymptote_of_gates_and_of_activations_that_are_not_zero_there(
    name: str,
) -> None:
    """Units whose net is exactly 0 beside a state above the limit: said to be mixed."""
    fields, W = OPEN[name]
    spec = NetworkSpec(precision="float32", **fields)
    ensemble = sample(spec, 2, 300, inputs="zero", burn_in=0)
    ensemble["W"][:], ensemble["initial_state"][:] = np.array(W), 1.0
    assert (measure(ensemble).status == MIXED).all()
