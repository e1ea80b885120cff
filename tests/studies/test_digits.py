"""Real input: scikit-learn's handwritten digits, read as sequences of 64 pixels."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure
from gradhorizon.studies.cli import main

datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")


@pytest.fixture(scope="module")
def digits():
    images = datasets.load_digits().data
    return (images / 16.0)[:, :, None]


def test_networks_read_the_digits(digits):
    spec = NetworkSpec(hidden_size=16, input_size=1, weight_scale=1.2)
    data = measure(
        spec, networks=50, steps=64, inputs=digits, products=("gradient", "trajectory"), burn_in=0
    )
    assert (data.status == 0).all()
    assert np.isfinite(data.rate).all()
    zero = measure(spec, networks=50, steps=64, inputs="zero", products=("gradient",), burn_in=0)
    assert (data.rate != zero.rate).all(), "the inputs reach the networks"


def test_the_command_line_reads_the_digits(digits, tmp_path):
    np.save(tmp_path / "digits.npy", digits)
    out = tmp_path / "out"
    arguments = ["run", "bptt", "--networks", "40", "--set", "hidden_size=12"]
    arguments += ["--inputs", str(tmp_path / "digits.npy"), "--out", str(out)]
    assert main(arguments) == 0
    data = xr.load_dataset(out / "results.nc")
    assert data.attrs["steps"] == 64, "the sequences' own length"
    assert json.loads(data.attrs["base"])["input_size"] == 1
    counts = data.status_count
    assert (counts.sel(status="ok", activation=["tanh", "sigmoid"]) == 40).all()
    assert (counts.sel(status=["ok", "dead"]).sum("status") == 40).all(), "relu networks may die"
