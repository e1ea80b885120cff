"""A result is named by all that decides it: whatever changes the numbers changes the name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import reference
import xarray as xr

from gradhorizon.engine import NetworkSpec, sample
from gradhorizon.studies import task
from gradhorizon.studies.catalogue import load_study
from gradhorizon.studies.cli import main
from gradhorizon.studies.options import Options, read_inputs, settle
from gradhorizon.studies.sweep import Sweep
from gradhorizon.studies.task import Measurement

SIGNED = np.arange(-3, 3, dtype="<i2").reshape(1, 6, 1)


def named(array):
    study = load_study("decay")
    return Sweep(study, {"input_size": 1}, {}, networks=2, steps=4, inputs=array).inputs_name


@pytest.mark.parametrize(
    "other",
    [
        SIGNED.view("<u2"),
        SIGNED.view(">i2"),
        SIGNED.view("<f2"),
        SIGNED.reshape(2, 3, 1),
        SIGNED[:, ::-1],
        SIGNED[:, :5],
    ],
    ids=["type", "byte order", "kind", "shape", "order", "length"],
)
def test_inputs_of_other_values_have_another_name(other):
    assert named(SIGNED) != named(other)


@pytest.mark.parametrize("dtype", [">i2", "<i8", ">f8", "<f4", "<f2", np.longdouble])
def test_inputs_of_the_same_values_have_the_same_name(dtype):
    assert named(SIGNED.astype(dtype)) == named(SIGNED)
    assert named(np.asfortranarray(SIGNED)) == named(SIGNED)


def test_the_results_of_other_inputs_are_not_shown(tmp_path, capsys):
    """Two arrays of the same bytes: the second is refused in the folder of the first.

    The rate of the second is that of plain backpropagation through the same networks.
    """
    (tmp_path / "s.toml").write_text("networks = 2\n[spec]\nhidden_size = 3\n[grid]\nslope = [1.0]")
    file = tmp_path / "x.npy"
    command = ["run", str(tmp_path / "s.toml"), "--inputs", str(file), "--out"]
    np.save(file, SIGNED.view("<u2"))
    assert main([*command, str(tmp_path / "r")]) == 0
    np.save(file, SIGNED)
    capsys.readouterr()
    assert main([*command, str(tmp_path / "r")]) == 2
    error = capsys.readouterr().err
    assert "inputs = array (1, 6, 1)" in error and error.count("\n") == 1
    assert main([*command, str(tmp_path / "new")]) == 0
    found = xr.load_dataset(tmp_path / "new" / "results.nc")
    spec = NetworkSpec(hidden_size=3, input_size=1)
    ensemble = sample(spec, 2, 6, inputs=SIGNED.astype(float))
    np.testing.assert_array_equal(ensemble.input[0, 0, :, 0], SIGNED[0, :, 0])
    expected = reference.measure(ensemble)["rate"].mean()
    np.testing.assert_allclose(found["rate_mean"].item(), expected, rtol=1e-12)


def test_inputs_that_were_named_do_not_change(tmp_path):
    np.save(tmp_path / "x.npy", SIGNED)
    with pytest.raises(ValueError, match="read-only"):
        read_inputs(str(tmp_path / "x.npy"))[0, 0, 0] = 7


@pytest.fixture(scope="module")
def measurement():
    overrides = ["hidden_size=4", "activation=tanh", "weight_scale=1.0"]
    return (
        settle(load_study("decay"), Options(networks=2, overrides=overrides)).cells[0].measurement
    )


def another(arrays):
    return {}


CHANGED = {
    "spec": NetworkSpec(hidden_size=5),
    "steps": 33,
    "seed": 9,
    "inputs_name": "zero",
    "burn_in": 3,
    "products": ("weights",),
    "exponents": 1,
    "clip": {"norm": 1.0},
    "kept": ("rate",),
    "derive": another,
}
ALSO = {"inputs": "has a name", "device": "see test_a_device_is_named"}


def test_every_field_of_a_measurement_is_looked_at():
    assert {f.name for f in dataclasses.fields(Measurement)} == {*CHANGED, *ALSO}


@pytest.mark.parametrize("name", CHANGED)
def test_every_field_of_a_measurement_is_in_its_key(name, measurement):
    assert dataclasses.replace(measurement, **{name: CHANGED[name]}).key != measurement.key


def test_a_device_is_named(measurement, monkeypatch):
    monkeypatch.setattr(task, "computed_by", lambda name: f"{name} of another kind")
    assert dataclasses.replace(measurement).key != measurement.key


SPECS = [
    NetworkSpec(hidden_size=3, input_size=3, batch_size=2),
    NetworkSpec(hidden_size=3, input_size=3, batch_size=2, tied=False),
    *(
        NetworkSpec(hidden_size=3, input_size=3, batch_size=2, **{name: np.nextafter(1.0, 2.0)})
        for name in ("slope", "weight_scale", "input_scale", "bias_scale", "skip", "branch")
    ),
    NetworkSpec(hidden_size=3, input_size=3, batch_size=2, gate_bias={"hidden": 5e-324}),
]


def test_specifications_are_told_apart_to_the_last_bit(measurement):
    keys = {dataclasses.replace(measurement, spec=spec).key for spec in SPECS}
    assert len(keys) == len(SPECS)


def one(arrays):
    return {"one": np.ones(3)}


def two(arrays):
    return {"one": 2 * np.ones(3)}


def test_functions_of_one_module_are_told_apart():
    assert task.code_digest(one) != task.code_digest(two)


@pytest.mark.parametrize("source", ["segment.py", "task.py", "summary.py", "products.py"])
def test_sources_that_decide_are_in_the_digest(source, monkeypatch):
    """And an edit while a process runs does not rename what the process computes."""
    before, read = task.code_digest(one), Path.read_bytes
    assert task._read() == task.SOURCES
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path.name == source))
    assert task._read() != task.SOURCES
    assert task.code_digest(one) == before
