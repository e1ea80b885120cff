"""Whatever a TOML file says: it runs, or is refused with one clear line; NaN is never averaged."""

from __future__ import annotations

import math
import os
import random
import shutil
import signal

import numpy as np
import pytest
import tomli_w

from gradhorizon.engine.products import PRODUCTS
from gradhorizon.studies import figures, outputs, results
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


LONGEST = 120
"""Seconds for a file, the compilation of a kernel included, before it is said to hang."""

PIECES = [(5, 100), *(pytest.param(k, 500, marks=pytest.mark.slow) for k in range(100, 120))]
"""Seeds and numbers of files: the long form is 10,000 in pieces, each of which can be run again."""

NO_WARNINGS = pytest.mark.filterwarnings("error::RuntimeWarning")
"""As they would stand on standard error."""


@pytest.fixture
def judged(tmp_path, monkeypatch, capsys):
    """Run a command line: its exit status, once it is clear that it was a run or a line.

    Nothing is drawn, or forced to disk, and of the results what is no plain number is written: the
    rest would take ten times as long. The command has all of them as `results`.
    """

    def write(folder, data):
        command.results = data
        plain = [name for name, values in data.data_vars.items() if values.dtype.kind in "fi"]
        outputs.write_dataset(folder, data.drop_vars(plain))

    monkeypatch.setattr(results, "write_dataset", write)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(figures, "rendered", lambda data: {})
    monkeypatch.chdir(tmp_path)

    def command(arguments, shown):
        def hang(number, frame):
            pytest.fail(f"no end: {shown}")

        before = signal.signal(signal.SIGALRM, hang)
        signal.alarm(LONGEST)
        try:
            status = main(arguments)
        except SystemExit as stop:  # as argparse refuses
            status = stop.code
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)
        error = capsys.readouterr().err
        assert status in (0, 2), (shown, error)
        if status == 2:
            assert error.startswith("gradhorizon: "), (shown, error)
            assert error.count("\n") == 1, (shown, error)
        return status

    return command


@NO_WARNINGS
@pytest.mark.parametrize("seed, count", PIECES)
def test_any_file_runs_or_is_refused_with_a_line(seed, count, judged, tmp_path):
    file, out = tmp_path / "mine.toml", tmp_path / "out"
    dice, ran = random.Random(seed), 0
    for _ in range(count):
        content = drawn(dice)
        file.write_text(tomli_w.dumps(content), encoding="utf-8")
        if judged(["run", str(file), "--out", str(out), "--workers", "1"], content) == 0:
            ran += 1
            check(judged.results, content)
        assert (out / "results.nc").exists() or not out.exists()
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


SWEEP = """
networks = 2
steps = 6
[spec]
hidden_size = 3
[grid]
slope = [1.0, 2.0]
"""
ANY = (
    "",
    "0",
    "-1",
    "2",
    "1.5",
    "nan",
    "inf",
    "1e9",
    "9" * 30,
    "é",
    "\x1b[2J",
    "a\nb",
    "1_0",
    "[",
    "..",
)
FLAGS = {
    "--networks": ANY,
    "--steps": ANY,
    "--burn-in": ANY,
    "--seed": ANY,
    "--workers": ANY,
    "--inputs": (*ANY, "zero", "mine.toml", "/dev/null"),
    "--precision": (*ANY, "float32"),
    "--device": (*ANY, "cpu", "cuda"),
    "--shard": (*ANY, "1/1", "1/2", "3/2", "0/1", "1/", "1/1/1", "-1/1"),
    "--log-json": ("", ".", "log", "none/log", "/dev/null", "x" * 300),
    "--target-error": (*ANY, "1", "50%", "%", "-1", "1e-400", "1%%"),
    "--ceiling": (*ANY, "3"),
    "--nonsense": ANY,
}
KEYS = (*KNOWN, "gate_bias.hidden", "nonsense", "", "slope.x", "=")
TEXTS = (
    *ANY,
    "1,2",
    "1,1",
    ",",
    "tanh",
    "relu,erf",
    "true,false",
    "{}",
    "{hidden = 1}",
    "1979-05-27",
)


def typed(dice):
    """Some flags, each with anything."""
    arguments = []
    for _ in range(dice.choice((1, 1, 2, 3))):
        if dice.random() < 0.5:
            text = f"{dice.choice(KEYS)}={dice.choice(TEXTS)}"
            arguments += ["--set", dice.choice((text, text, text.replace("=", ""), text + text))]
        else:
            flag = dice.choice(sorted(FLAGS))
            arguments += [flag, dice.choice(FLAGS[flag])]
            arguments += ["--ceiling", "9"] if flag == "--target-error" else []
    return arguments


@NO_WARNINGS
@pytest.mark.parametrize("seed, count", PIECES)
def test_any_command_line_runs_or_is_refused_with_a_line(seed, count, judged, tmp_path):
    (tmp_path / "mine.toml").write_text(SWEEP)
    dice, ran = random.Random(seed), 0
    for _ in range(count):
        arguments = typed(dice)
        ran += judged(["run", "mine.toml", "--out", "out", *arguments], arguments) == 0
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert count / 50 < ran < count
