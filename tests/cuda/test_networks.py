"""A seed gives the same networks on the CPU and on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradhorizon.engine import NetworkSpec, measure
from gradhorizon.engine.place import Law, Memory
from gradhorizon.kernels.random import TILE

PRODUCTS = ("trajectory", "gradient", "weights", "lyapunov")


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("length", [1, 2 * TILE, 2 * TILE + 3, 9 * TILE])
def test_numbers_are_the_same(length: int, distribution: str, precision: str) -> None:
    """Uniform numbers to the last bit; normal ones to rounding, by fused multiply-adds."""
    from gradhorizon.engine.device_memory import DeviceMemory

    law = Law(seed=2**63 + 5, stream=3, first=7, scale=1.0, distribution=distribution)
    here = Memory().random("x", (3, length), precision, law)
    memory = DeviceMemory()
    there = memory.fetch(memory.random("x", (3, length), precision, law))
    memory.stream.synchronize()
    if distribution == "uniform":
        np.testing.assert_array_equal(there, here)
    else:
        bound = 8 * np.finfo(precision).eps
        np.testing.assert_allclose(there, here, rtol=bound, atol=bound)


FIELDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "lstm": {"cell": "lstm", "bias_scale": 0.5},
    "minimal": {"cell": "minimal_rnn"},
    "pytorch": {"cell": "gru", "weights": "pytorch"},
    "orthogonal": {"weights": "orthogonal"},
    "identity": {"weights": "identity", "batch_size": 2},
    "uniform": {"weights": "uniform", "tied": False},
    "chaotic": {"weight_scale": 3.0},
}


@pytest.mark.parametrize("name", FIELDS)
def test_devices_agree(name: str) -> None:
    """Every variable, network by network; far from where chaos would take rounding errors."""
    spec = NetworkSpec(hidden_size=6, input_size=4, **FIELDS[name])
    products = (*PRODUCTS, "eigenvalue")
    arguments: dict[str, Any] = dict(networks=3, steps=7, seed=4, products=products)
    arguments["clip"] = {"norm": 0.5, "value": 0.01}
    here, there = measure(spec, **arguments), measure(spec, device="cuda", **arguments)
    for variable in set(here.data_vars) - {"worst_condition"}:
        np.testing.assert_allclose(there[variable], here[variable], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("inputs", ["zero", "real"])
def test_inputs(inputs: str) -> None:
    """Without inputs, and with real ones."""
    given: Any = inputs
    if inputs == "real":
        given = np.random.default_rng(0).standard_normal((4, 5, 3))
    spec = NetworkSpec(hidden_size=4, input_size=3, batch_size=2)
    arguments: dict[str, Any] = dict(networks=3, steps=5, inputs=given, products=PRODUCTS[:3])
    here, there = measure(spec, **arguments), measure(spec, device="cuda", **arguments)
    for variable in here.data_vars:
        np.testing.assert_allclose(there[variable], here[variable], rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, in the simulator
def test_what_becomes_of_networks() -> None:
    """Overflow, death and bad input have the codes of the CPU; the others are measured."""
    spec = NetworkSpec(hidden_size=4, activation="relu", weight_scale=1e30, precision="float32")
    arguments: dict[str, Any] = dict(networks=6, steps=9, products=("gradient",))
    here, there = measure(spec, **arguments), measure(spec, device="cuda", **arguments)
    np.testing.assert_array_equal(there.status, here.status)
    assert (here.status != 0).any()
