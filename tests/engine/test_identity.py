"""Network i of (spec, seed) is the same network, bit for bit, however it is computed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure, plan, sample

PRODUCTS = ("trajectory", "gradient", "weights", "jacobian")
NETWORKS, STEPS, SEED = 13, 7, 2**63 + 12345

SPECS: dict[str, dict[str, Any]] = {
    "gaussian": {},
    "orthogonal": {"weights": "orthogonal"},
    "uniform": {"weights": "uniform", "bias_scale": 0.2},
    "identity": {"weights": "identity"},
    "pytorch": {"weights": "pytorch"},
    "untied": {"tied": False, "batch_size": 2},
    "untied orthogonal": {"tied": False, "weights": "orthogonal"},
    "batch": {"batch_size": 3, "activation": "relu"},
    "one unit": {"hidden_size": 1, "input_size": 1},
    "float32": {"precision": "float32", "bias_scale": 0.1, "activation": "gelu"},
    "float32 orthogonal": {"precision": "float32", "weights": "orthogonal", "hidden_size": 9},
    "lstm": {"cell": "lstm", "bias_scale": 0.2, "gate_bias": {"forget": 1.0}},
    "gru": {"cell": "gru", "weights": "pytorch", "batch_size": 2},
    "minimal rnn": {"cell": "minimal_rnn", "bias_scale": 0.2, "batch_size": 2},
    "batch norm": {"normalization": "batch", "batch_size": 3, "bias_scale": 0.1},
    "layer norm": {"cell": "gru", "normalization": "layer", "bias_scale": 0.1, "tied": False},
    "separate": {"cell": "lstm", "normalization": "batch-separate", "batch_size": 4},
}


def run(name: str, networks: int = NETWORKS, **options: Any) -> xr.Dataset:
    spec = NetworkSpec(**({"hidden_size": 5, "input_size": 3} | SPECS[name]))
    loss = "every" if spec.batch_size > 1 else "last"
    return measure(
        spec,
        networks=networks,
        steps=STEPS,
        seed=SEED,
        products=PRODUCTS,
        keep=("states", "gradients"),
        loss=loss,
        **options,
    )


def assert_same_bits(one: xr.Dataset, other: xr.Dataset) -> None:
    assert set(one.data_vars) == set(other.data_vars)
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name].values, other[name].values, err_msg=name)


@pytest.fixture(scope="module")
def whole() -> dict[str, xr.Dataset]:
    """Every ensemble in one chunk."""
    return {name: run(name, workers=1) for name in SPECS}


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("name", SPECS)
def test_chunk_size(
    name: str, chunk: int, whole: dict[str, xr.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "LARGEST_CHUNK", chunk)
    assert_same_bits(run(name, workers=1), whole[name])


@pytest.mark.parametrize("name", SPECS)
def test_memory_of_a_chunk(
    name: str, whole: dict[str, xr.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "CHUNK_BYTES", 1)  # one network at a time
    assert_same_bits(run(name, workers=1), whole[name])


@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.parametrize("name", SPECS)
def test_workers(
    name: str, workers: int, whole: dict[str, xr.Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "LARGEST_CHUNK", 2)
    assert_same_bits(run(name, workers=workers), whole[name])


@pytest.mark.parametrize("networks", [1, 4, 29])
@pytest.mark.parametrize("name", SPECS)
def test_number_of_networks(name: str, networks: int, whole: dict[str, xr.Dataset]) -> None:
    common = slice(0, min(networks, NETWORKS))
    found = run(name, networks).isel(network=common)
    assert_same_bits(found, whole[name].isel(network=common))


@pytest.mark.parametrize("name", SPECS)
def test_products_do_not_disturb_each_other(name: str, whole: dict[str, xr.Dataset]) -> None:
    """Each product alone gives what all of them together give."""
    spec = NetworkSpec(**({"hidden_size": 5, "input_size": 3} | SPECS[name]))
    loss = "every" if spec.batch_size > 1 else "last"
    for product in PRODUCTS:
        alone = measure(
            spec, networks=NETWORKS, steps=STEPS, seed=SEED, products=(product,), loss=loss
        )
        for variable in set(alone.data_vars) - {"status"}:
            np.testing.assert_array_equal(alone[variable], whole[name][variable])


@pytest.mark.parametrize("loss", ["last", "every"])
@pytest.mark.parametrize("inputs", ["gaussian", "zero", "array"])
@pytest.mark.parametrize("name", SPECS)
def test_sampled_ensemble_measures_the_same(name: str, inputs: str, loss: str) -> None:
    """measure(sample(spec, ...)) is measure(spec, ...), every bit and every variable of it.

    Also where the ensemble's arrays lie in memory in another order.
    """
    spec = NetworkSpec(**({"hidden_size": 5, "input_size": 3} | SPECS[name]))
    given: Any = inputs
    if inputs == "array":
        given = np.random.default_rng(0).standard_normal((4, STEPS + 2, spec.input_size))
    arguments: dict[str, Any] = dict(steps=STEPS, seed=SEED, inputs=given, loss=loss, burn_in=2)
    direct = measure(spec, networks=6, products=PRODUCTS, keep=("states", "gradients"), **arguments)
    ensemble = sample(spec, 6, **arguments)
    for order in (ensemble, ensemble.transpose(*list(ensemble.sizes)[::-1])):
        again = measure(order, products=PRODUCTS, keep=("states", "gradients"))
        assert_same_bits(direct, again)
    assert again.attrs["spec"] == direct.attrs["spec"]
    for key in ("steps", "burn_in", "loss"):
        assert again.attrs[key] == direct.attrs[key], key


def test_repeated_measurement_reuses_nothing() -> None:
    """Workspaces of earlier, larger runs leave no trace in a smaller one."""
    first = run("gaussian")
    run("batch", networks=40)
    run("untied")
    assert_same_bits(run("gaussian"), first)


def test_seeds_give_different_networks() -> None:
    spec = NetworkSpec(hidden_size=4)
    values = [
        measure(spec, networks=1, steps=5, seed=seed).log_gradient.values.tobytes()
        for seed in (0, 1, 2**32, 2**64 - 1)
    ]
    assert len(set(values)) == 4
