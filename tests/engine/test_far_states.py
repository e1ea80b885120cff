"""States far from size 1 in float32, against the naive reference, whose float64 holds them as is.

What decides a step beside such a state differs: a norm, biases, inputs, f(0), gates that multiply
the state, units that have become constants.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference

from gradhorizon.engine import STATUS, NetworkSpec, measure, sample

NORMS = ("layer", "batch", "batch-separate")
SMALL, LARGE = 1e-25, 1e25
TINY: dict[str, dict[str, Any]] = {
    "layer": {"normalization": "layer", "skip": 1.5},
    "layer, biases": {"normalization": "layer", "skip": 0.5, "bias_scale": 0.1},
    "layer, f(0) = ln 2": {"normalization": "layer", "activation": "softplus", "skip": 0.9},
    "layer, gates": {"normalization": "layer", "cell": "gru"},
    "batch": {"normalization": "batch", "batch_size": 8, "skip": 0.9},
    "softplus": {"activation": "softplus", "skip": 0.5},
    "tanh": {},
    "relu": {"activation": "relu"},
    "three sequences": {"batch_size": 3},
    "minimal_rnn": {"cell": "minimal_rnn"},
    "minimal_rnn, layer": {"cell": "minimal_rnn", "normalization": "layer"},
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
}
"""Networks that start from, or stay at, states of 2^-83."""

DECAYING: dict[str, dict[str, Any]] = {
    "layer": {"normalization": "layer", "weight_scale": 1e-3},
    "layer, skip": {"normalization": "layer", "activation": "elu", "skip": 0.1, "norm_scale": 1e-3},
    "tanh": {"weight_scale": 0.01},
    "minimal_rnn": {"cell": "minimal_rnn", "gate_bias": {"update": -2.0}},
    "gru": {"cell": "gru", "gate_bias": {"update": -3.0}, "weight_scale": 0.1},
    "lstm": {"cell": "lstm", "gate_bias": {"forget": -2.0, "input": 1.0}, "weight_scale": 0.1},
    "minimal_rnn, layer": {
        "cell": "minimal_rnn",
        "normalization": "layer",
        "gate_bias": {"update": -2.0},
    },
    "gru, layer": {
        "cell": "gru",
        "normalization": "layer",
        "gate_bias": {"update": -3.0},
        "weight_scale": 1e-4,
    },
}
"""Networks whose states leave the range of float32 by themselves."""

HUGE: dict[str, dict[str, Any]] = {
    "elu": {"activation": "elu"},
    "relu": {"activation": "relu"},
    "linear": {"activation": "linear"},
    "leaky": {"activation": "silu", "skip": 0.5},
} | {name: {"normalization": name, "skip": 1.5, "batch_size": 4} for name in NORMS}
"""Networks that start from states of 2^83."""


def assert_equals_reference(
    fields: dict[str, Any], steps: int, start: float = 1.0, **options: Any
) -> None:
    """Measure gradients and their terms; every network must be ok."""
    spec = NetworkSpec(hidden_size=4, precision="float32", **fields)
    ensemble = sample(spec, 2, steps, seed=3, burn_in=0, **{"inputs": "zero"} | options)
    ensemble["initial_state"] *= np.float32(start)
    data = measure(ensemble, products=("gradient", "weights"))
    np.testing.assert_array_equal(data.status, STATUS["ok"])
    for k, net in enumerate(reference.networks(ensemble)):
        passage = reference.Passage(net)
        with np.errstate(divide="ignore"):
            gradient, weights = reference._gradient(passage), reference._weights(passage)
        for name in ("log_gradient", "rate", "contribution_W", "log_grad_W", "log_grad_U"):
            want = (gradient | weights)[name]
            np.testing.assert_allclose(data[name][k], want, rtol=0, atol=0.02, err_msg=name)


@pytest.mark.parametrize("loss", ["last", "every"])
@pytest.mark.parametrize("name", TINY)
def test_tiny_initial_states(name: str, loss: str) -> None:
    """Steps without inputs: what acts beside the state is in the name of the case."""
    assert_equals_reference(TINY[name], 20, SMALL, loss=loss)


@pytest.mark.parametrize("name", ["tanh", "layer", "three sequences"])
def test_tiny_initial_states_beside_inputs(name: str) -> None:
    """The first step is done at the true scale; the BPTT term of the initial state stays right."""
    assert_equals_reference(TINY[name], 20, SMALL, inputs="gaussian")


@pytest.mark.parametrize("name", DECAYING)
def test_states_that_decay(name: str) -> None:
    """Without inputs and biases a state has no smallest size."""
    assert_equals_reference(DECAYING[name], 60)


@pytest.mark.parametrize("inputs", ["zero", "gaussian"])
@pytest.mark.parametrize("name", HUGE)
def test_huge_initial_states(name: str, inputs: str) -> None:
    """Squares of the numbers as they are given would leave the format."""
    assert_equals_reference(HUGE[name], 30, LARGE, inputs=inputs)


CONSTANTS = [("elu", 0.0), ("elu", 1.0), ("softplus", 0.0), ("silu", 1.0), ("gelu", 1.0)]


@pytest.mark.parametrize("activation, bias_scale", CONSTANTS)
def test_units_that_become_constants_together(activation: str, bias_scale: float) -> None:
    """Fresh weights of scale 200: in some networks a step makes constants of all huge units.

    The states of 30 steps are compared, in which float64 needs no power of two.
    """
    spec = NetworkSpec(
        activation=activation,
        hidden_size=4,
        tied=False,
        weight_scale=200.0,
        bias_scale=bias_scale,
        precision="float32",
    )
    ensemble = sample(spec, 60, 30, seed=1, burn_in=0, inputs="zero")
    data = measure(ensemble, products=("trajectory", "gradient"), keep=("states",))
    constant = 0
    for k, net in enumerate(reference.networks(ensemble)):
        want = reference.forward(net)[1:, 0]
        size = abs(want).max(axis=1, keepdims=True)
        constant += int((size[1:] < 1e-12 * size[:-1]).any())
        assert data.status[k] in (STATUS["ok"], STATUS["dead"])
        assert (abs(data.state.values[k, 0] - want) <= 1e-2 * size + 1e-37).all()
    assert constant >= 3


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_negative_numbers_may_be_lost_beside_others(activation: str) -> None:
    """W = 1: what is below 0 shrinks by 0.5 or 0.505 a step, has the derivative of 0, and is ok."""
    spec = NetworkSpec(
        hidden_size=8, activation=activation, weights="identity", skip=0.5, branch=0.5
    )
    data = measure(spec, networks=4, steps=1600, inputs="zero", products=("jacobian",), burn_in=0)
    np.testing.assert_array_equal(data.status, STATUS["ok"])
    slopes = np.exp(data.log_singular_value / 1599)
    below = 0.5 if activation == "relu" else 0.505
    assert (np.isclose(slopes, 1.0) | np.isclose(slopes, below)).all()
    assert {round(float(s), 3) for s in slopes.values.ravel()} == {1.0, below}


@pytest.mark.parametrize("output", [-40.0, -55.0])
def test_h_far_below_the_cell(output: float) -> None:
    """An LSTM whose output gate is shut: h is e^-55, and its square no number of float32."""
    assert_equals_reference(
        {"cell": "lstm", "gate_bias": {"output": output}}, 20, inputs="gaussian"
    )


def test_losses_of_zero_add_nothing() -> None:
    """A readout that is 0 but at the last step: the gradient of loss="last", however small."""
    spec = NetworkSpec(hidden_size=4, weight_scale=0.1, precision="float32")
    every = sample(spec, 3, 60, burn_in=0, loss="every")
    every["readout_gradient"][:, :, :-1] = 0.0
    last = sample(spec, 3, 60, burn_in=0)
    last["readout_gradient"].values[:] = every["readout_gradient"].values[:, :, -1]
    data, want = measure(every), measure(last)
    np.testing.assert_array_equal(data.status, STATUS["ok"])
    np.testing.assert_array_equal(data.log_gradient, want.log_gradient)


SAID: dict[str, tuple[dict[str, Any], float, int, str]] = {
    "inputs, W = 0": (
        {"normalization": "layer", "weight_scale": 0.0, "skip": 1.5},
        1.0,
        200,
        "gaussian",
    ),
    "equal sequences": (
        {"normalization": "batch", "batch_size": 4, "skip": 1.0},
        LARGE,
        10,
        "zero",
    ),
    "small slope": ({"branch": 1e20, "slope": 2e-20}, 1e20, 8, "zero"),
    "large slope": ({"slope": 2.0**61, "skip": 0.5, "branch": 1e-30}, SMALL, 4, "zero"),
}
"""Fields, size of the initial state, steps, inputs of networks that no power of two serves."""


@pytest.mark.parametrize("name", SAID)
def test_states_that_no_power_of_two_serves_are_said(name: str) -> None:
    """Variances of a norm that cannot be squared, and f that is neither linear nor constant."""
    fields, start, steps, inputs = SAID[name]
    spec = NetworkSpec(hidden_size=4, precision="float32", **fields)
    ensemble = sample(spec, 3, steps, burn_in=0, inputs=inputs)
    if name == "equal sequences":
        ensemble["initial_state"][:] = 1.0
    ensemble["initial_state"] *= np.float32(start)
    np.testing.assert_array_equal(measure(ensemble).status, STATUS["mixed_scales"])


@pytest.mark.parametrize("step", [86, 97, 105])
def test_a_unit_that_a_pulse_makes_zero_is_said(step: int) -> None:
    """relu, W = 0.5: beside a pulse to the first unit, 2^-66 of the second is lost, or is not."""
    spec = NetworkSpec(hidden_size=2, activation="relu", precision="float32")
    ensemble = sample(spec, 1, step + 1, burn_in=0)
    ensemble["W"][:], ensemble["U"][:] = 0.5 * np.eye(2), np.eye(2)
    ensemble["input"][:], ensemble["initial_state"].values[0, 0] = 0.0, [1.0, 2.0**-66]
    ensemble["input"].values[0, 0, step, 0] = 1.0
    data = measure(ensemble, products=("gradient", "weights"))
    if data.status.item() == STATUS["ok"]:
        want = reference._weights(reference.Passage(reference.networks(ensemble)[0]))["log_grad_b"]
        np.testing.assert_allclose(data.log_grad_b[0], want, atol=1e-4)
    else:
        assert data.status.item() == STATUS["mixed_scales"]
