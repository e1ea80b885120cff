"""Whatever a TOML file says: it runs, or is refused with one clear line; NaN is never averaged."""

from __future__ import annotations

import math
import random
import shutil

import numpy as np
import pytest
import tomli_w
import xarray as xr

from gradhorizon.engine.products import PRODUCTS
from gradhorizon.studies import results
from gradhorizon.studies.cli import main
from gradhorizon.studies.names import KNOWN

GOOD = {
    "cell": ("rnn", "lstm", "gru", "minimal_rnn"),
    "activation": ("tanh", "relu", "linear", "hard_tanh", "sin"),
    "normalization": ("none", "batch", "layer", "batch-separate"),
    "weights": ("gaussian", "orthogonal", "uniform", "identity", "pytorch"),
    "precision": ("float32", "float64"),
    "tied": (True, False),
    "hidden_size": (1, 2, 5),
    "batch_size": (1, 2, 5),
    "input_size": (1, 4),
}
EXTREME = (0, 0.0, -1, 1, 2, 0.5, 1e-320, 1e-300, 1e-30, 1e30, 1e300, -1e308, math.inf, math.nan)
WRONG = (
    True,
    "",
    "tanh",
    "\u00e9\n",
    [],
    [1, "a"],
    [[1.0]],
    {},
    {"forget": 1.0},
    {"hidden": 1e300},
)
WRONG += (2**31, 2**63, 2**70, -(2**70), "1e9", [math.nan, 1.0], [0.5, 0.5], [1.0, 2.0])
TOP = {
    "networks": (1, 2, 3, 0, -1, 1.5, "2", True, math.nan, [2]),
    "steps": (2, 3, 9, 40, 1, 0, -3, 2.0, "9", 2**70, math.inf),
    "seed": (0, 1, 2**64 - 1, 2**64, -1, "0", 1.0),
    "burn_in": (0, 1, 5, 10**6, -1, 2.5, "1"),
    "inputs": ("gaussian", "zero", "nowhere.npy", "", 3, []),
    "exponents": (1, 2, 10**6, 0, "1", True),
    "clip": ({}, {"norm": 1.0}, {"value": [0.1, 1e300]}, {"norm": -1}, {"size": 1}, 3, []),
    "name": ("mine", "", "a/b", "decay", 3, "\u00e9"),
}


def drawn(dice):
    """A small sweep, some of whose entries are anything."""
    content = {"networks": 2, "steps": 6, "spec": {"hidden_size": 3}, "grid": {}}
    content["products"] = dice.sample(sorted(PRODUCTS), dice.choice((1, 1, 2)))
    if dice.random() < 0.05:
        content["products"] = dice.choice(([], ["gradients"], "gradient", [1], {}))
    for _ in range(dice.choice((0, 1, 2, 3, 4))):
        place = dice.choice(("spec", "spec", "spec", "grid", "top"))
        if place == "top":
            name = dice.choice(sorted(TOP))
            content[name] = dice.choice(TOP[name])
            continue
        name = dice.choice([*KNOWN, "nonsense"])
        value = dice.choice((*EXTREME, *WRONG))
        if name in GOOD and dice.random() < 0.7:
            value = dice.choice(GOOD[name])
        content[place][name] = [value] if place == "grid" and dice.random() < 0.7 else value
    return content


@pytest.mark.parametrize(
    "count", [100, pytest.param(10_000, marks=pytest.mark.slow)], ids=["few", "all"]
)
def test_any_file_runs_or_is_refused_with_a_line(count, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(results, "draw", lambda folder, data: None)
    monkeypatch.chdir(tmp_path)
    file, out = tmp_path / "mine.toml", tmp_path / "out"
    dice, ran = random.Random(5), 0
    for _ in range(count):
        content = drawn(dice)
        file.write_text(tomli_w.dumps(content), encoding="utf-8")
        status = main(["run", str(file), "--out", str(out), "--workers", "1"])
        error = capsys.readouterr().err
        assert status in (0, 2), (content, error)
        if status == 2:
            assert error.startswith("gradhorizon: "), (content, error)
            assert error.count("\n") == 1, (content, error)
            assert not (out / "results.nc").exists()
        else:
            ran += 1
            check(xr.load_dataset(out / "results.nc"), content)
        shutil.rmtree(out, ignore_errors=True)
    assert count / 10 < ran < count


def check(data, content):
    """Means are NaN only where no network is good; statuses account for all networks."""
    good = data.status_count.sel(status="ok").values
    total = data.status_count.sum("status").values
    assert (total == content["networks"]).all(), content
    for name in data.data_vars:
        if name.endswith("_mean"):
            values = data[name].values
            lost = np.isnan(values).reshape(*good.shape, -1).any(axis=-1)
            assert not (lost & (good > 0)).any(), (name, content)
