"""Arguments of measure and sample: refused in one line that names them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import InputError, NetworkSpec, measure, plan, sample

SPEC = NetworkSpec(hidden_size=4, input_size=3)
GOOD: dict[str, Any] = {"networks": 2, "steps": 5}
SEQUENCES = np.zeros((2, 6, 3))

BOTH: list[tuple[str, Any, str]] = [
    *(("networks", v, "networks") for v in (0, -1, 1.0, None, "3", True, 2**70, np.nan)),
    *(("steps", v, "steps") for v in (1, 0, -5, 2.5, None, "9", True, 10**9)),
    *(("seed", v, "seed") for v in (-1, 2**64, 0.5, None, "0", True)),
    *(("burn_in", v, "burn_in") for v in (-1, 4, 100, 0.0, "1", True)),
    *(("loss", v, "loss") for v in ("", "first", None, 1)),
    *(("inputs", v, "inputs") for v in ("", "Gaussian", "file.npy", None, 3.0, [], [[1.0, 2.0]])),
    ("inputs", np.zeros((6, 3)), "inputs.shape"),
    ("inputs", np.zeros((2, 6, 4)), "inputs.shape"),
    ("inputs", np.zeros((0, 6, 3)), "inputs.shape"),
    ("inputs", np.zeros((2, 3, 3)), "steps"),
    ("inputs", np.zeros((2, 6, 3), complex), "inputs.dtype"),
    ("inputs", np.zeros((2, 6, 3), bool), "inputs.dtype"),
    ("inputs", np.zeros((2, 6, 3), object), "inputs.dtype"),
    ("inputs", np.full((2, 6, 3), "a"), "inputs.dtype"),
    ("inputs", [[[1.0, 2.0]], [[1.0]]], "inputs"),
]
MEASURE_ONLY: list[tuple[str, Any, str]] = [
    *(("products", v, "products") for v in ("gradient", ("gradients",), ("",), (None,), [3])),
    *(("products", v, "products") for v in (None, 3)),
    *(("keep", v, "keep") for v in ("states", ("state",), (1,), None)),
    *(("clip", v, "clip") for v in (1.0, "norm", {"by": 1.0}, ["norm"], {"norm": 1.0})),
    *(("clip", {"norm": v}, "clip.norm") for v in (0.0, -1, np.nan, np.inf, "1", None, True)),
    *(("clip", {"value": v}, "clip") for v in ([1.0, 1.0], [1.0, -1.0], [])),
    *(("device", v, "device") for v in ("gpu", "CPU", None, 0)),
    *(("workers", v, "workers") for v in (0, -1, 1.5, "2", True, 10**6)),
]


def assert_refused(call: Any, field: str) -> None:
    with pytest.raises(InputError) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(field)
    assert "\n" not in message
    assert "allowed: " in message


def test_gates_in_another_order_are_refused() -> None:
    """Labels that do not say what the cell takes the gates for; without labels, order counts."""
    ensemble = sample(NetworkSpec(cell="lstm", hidden_size=4), 2, 5)
    swapped = ensemble.isel(gate=[1, 0, 2, 3])
    assert_refused(lambda: measure(swapped), "ensemble.gate")
    again = measure(swapped.isel(gate=[1, 0, 2, 3]).drop_vars("gate"))
    np.testing.assert_array_equal(again.rate, measure(ensemble).rate)


def test_weights_that_nothing_reads_are_refused() -> None:
    """A gate that does not read h has zeros in W, and a gradient of zero."""
    ensemble = sample(NetworkSpec(cell="minimal_rnn", hidden_size=4), 2, 5)
    kept = measure(ensemble, products=("weights",), keep=("gradients",))
    for W in (ensemble.W, kept.grad_W):
        assert (W.sel(gate="candidate") == 0).all()
        assert (W.sel(gate="update") != 0).all()
    ensemble["W"][1, 1, 0, 0] = 1e-9
    assert_refused(lambda: measure(ensemble), "ensemble.W")


def label(value: Any) -> str:
    return repr(value).replace("\n", "")[:30]


@pytest.mark.parametrize("name, value, field", BOTH + MEASURE_ONLY, ids=label)
def test_measure_refuses(name: str, value: Any, field: str) -> None:
    assert_refused(lambda: measure(SPEC, **(GOOD | {name: value})), field)


@pytest.mark.parametrize("name, value, field", BOTH, ids=label)
def test_sample_refuses(name: str, value: Any, field: str) -> None:
    assert_refused(lambda: sample(SPEC, **(GOOD | {name: value})), field)


@pytest.mark.parametrize("spec", [None, "tanh", {}, 3, NetworkSpec])
def test_spec_must_be_a_spec(spec: Any) -> None:
    assert_refused(lambda: measure(spec, **GOOD), "spec")
    assert_refused(lambda: sample(spec, **GOOD), "spec")


def test_too_large_for_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "memory_budget", lambda: 2**20)
    spec = NetworkSpec(hidden_size=512)
    assert_refused(lambda: measure(spec, **GOOD), "hidden_size and steps")
    assert_refused(lambda: sample(spec, **GOOD), "")


def test_arguments_that_work() -> None:
    """Integers of NumPy, lists, integer and float32 sequences, no product at all."""
    data = measure(SPEC, networks=np.int64(2), steps=np.int32(5), seed=np.uint64(2**64 - 1))
    assert data.log_gradient.shape == (2, 5)
    assert set(measure(SPEC, **GOOD, products=()).data_vars) == {"status"}
    reference = measure(SPEC, **GOOD, inputs=np.ones((2, 6, 3)))
    for inputs in (np.ones((2, 6, 3), int), np.ones((2, 6, 3), "f4"), np.ones((2, 6, 3)).tolist()):
        assert measure(SPEC, **GOOD, inputs=inputs).identical(reference)


def test_the_callers_array_is_left_alone() -> None:
    inputs = np.random.default_rng(0).standard_normal((2, 6, 3))
    before = inputs.copy()
    measure(SPEC, **GOOD, inputs=inputs, products=("gradient", "weights"))
    np.testing.assert_array_equal(inputs, before)
    ensemble = sample(SPEC, 2, 5)
    saved = ensemble.copy(deep=True)
    measure(ensemble, products=("trajectory", "gradient", "weights", "jacobian"))
    assert ensemble.identical(saved)


@pytest.mark.parametrize(
    "given",
    [{"networks": 2}, {"steps": 5}, {"inputs": "zero"}, {"loss": "every"}, {"seed": 3}],
    ids=lambda g: next(iter(g)),
)
def test_an_ensemble_brings_its_own_arguments(given: dict[str, Any]) -> None:
    """What a given ensemble fixes must not be given again, to be silently ignored."""
    assert_refused(lambda: measure(sample(SPEC, 2, 5), **given), next(iter(given)))


BROKEN: dict[str, tuple[Any, str]] = {
    "no spec": (lambda d: d.drop_attrs(), "ensemble.attrs"),
    "wrong spec": (lambda d: d.assign_attrs(spec="{}x"), "spec"),
    "no network axis": (lambda d: d.isel(network=0), "ensemble"),
    "no W": (lambda d: d.drop_vars("W"), "ensemble"),
    "no readout_gradient": (lambda d: d.drop_vars("readout_gradient"), "ensemble"),
    "W without gates": (lambda d: d.isel(gate=0), "ensemble.W"),
    "W too small": (lambda d: d.isel(source=slice(0, 3)), "ensemble.W"),
    "units missing": (lambda d: d.isel(unit=slice(0, 2)), "ensemble.W"),
    "features missing": (lambda d: d.isel(feature=slice(0, 2)), "ensemble.U"),
    "complex U": (lambda d: d.assign(U=d.U.astype(complex)), "ensemble.U.dtype"),
    "text b": (lambda d: d.assign(b=d.b.astype(str)), "ensemble.b.dtype"),
    "one step": (lambda d: d.isel(step=slice(0, 1)), "burn_in and steps"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_ensembles(name: str) -> None:
    change, field = BROKEN[name]
    assert_refused(lambda: measure(change(sample(SPEC, 2, 5, burn_in=0))), field)


@pytest.mark.parametrize("burn_in", [-1, 4, 5, 6, 100, 1.0, "1"])
def test_burn_in_of_an_ensemble(burn_in: Any) -> None:
    assert_refused(lambda: measure(sample(SPEC, 2, 5, burn_in=0), burn_in=burn_in), "burn_in")


def test_ensembles_in_other_forms() -> None:
    """Another order of dimensions, another precision and a subset of networks are understood."""
    ensemble = sample(SPEC, 4, 5)
    expected = measure(ensemble)
    turned = ensemble.transpose(..., "network").assign(W=ensemble.W.transpose("source", ...))
    assert measure(turned).equals(expected)
    part = measure(ensemble.isel(network=[3, 1]))
    np.testing.assert_array_equal(part.log_gradient, expected.log_gradient[[3, 1]])
    single = measure(ensemble.astype("float32"))
    np.testing.assert_allclose(single.log_gradient, expected.log_gradient, atol=1e-4)


def test_an_ensemble_without_networks_is_refused() -> None:
    assert_refused(lambda: measure(sample(SPEC, 2, 5).isel(network=slice(0))), "ensemble")


def test_variables_are_labelled() -> None:
    """Every variable has units and a long name; the attributes say what computed them."""
    products = ("trajectory", "gradient", "weights", "jacobian")
    data = measure(SPEC, **GOOD, seed=4, products=products, keep=("states", "gradients"))
    for name, variable in data.data_vars.items():
        assert variable.dims[0] == "network", name
        assert variable.attrs["units"], name
        assert variable.attrs["long_name"], name
    assert NetworkSpec.from_json(data.attrs["spec"]) == SPEC
    assert data.attrs["seed"] == 4
    assert len(data.attrs["kernel_digest"]) == 16
    assert {"versions", "steps", "burn_in", "loss"} <= set(data.attrs)
    assert isinstance(data, xr.Dataset)
    assert list(data.norm.values) == ["frobenius", "spectral"]


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = measure(SPEC, **GOOD)
    assert capsys.readouterr() == ("", "")
    loud = measure(SPEC, **GOOD, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "2" in err
    assert loud.identical(quiet)
