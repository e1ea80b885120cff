"""Studies on a GPU: the command line, and what a results folder says of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest


from gradhorizon.engine import NetworkSpec, cuda
from gradhorizon.studies.cli import main

SWEEP = """
products = ["gradient"]
networks = 3
steps = 4
[spec]
hidden_size = 4
[grid]
weight_scale = [0.5, 3.0]
"""


def run(out: Path, *options: str) -> int:
    file = out.parent / "mine.toml"
    file.write_text(SWEEP)
    return main(["run", str(file), *options, "--out", str(out)])


def test_a_study_says_where_it_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The numbers of the CPU to rounding; float32 unless told otherwise; no mixing."""
    there, here = tmp_path / "there", tmp_path / "here"
    assert run(there, "--device", "cuda", "--precision", "float64") == 0
    assert run(here, "--precision", "float64") == 0
    ours, theirs = (xr.load_dataset(folder / "results.nc") for folder in (there, here))
    np.testing.assert_allclose(ours.rate_mean, theirs.rate_mean, rtol=1e-9, atol=1e-9)
    assert ours.attrs["device"] == "cuda" and theirs.attrs["device"] == "cpu"
    assert json.loads((there / "configuration.json").read_text())["device"] == "cuda"
    capsys.readouterr()
    assert run(here, "--device", "cuda", "--precision", "float64") == 2
    assert "device = cpu" in capsys.readouterr().err
    assert run(tmp_path / "short", "--device", "cuda") == 0
    stored = json.loads((tmp_path / "short" / "configuration.json").read_text())
    assert stored["base"]["precision"] == "float32"


def test_a_chunk_that_does_not_fit_is_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A device that is out of memory: fewer networks at a time, the same results."""
    take = cuda.DeviceMemory.take

    def small(self: cuda.DeviceMemory, name: str, shape: tuple[int, ...], dtype: str) -> object:
        if name == "W" and shape[0] > 1:
            raise MemoryError
        return take(self, name, shape, dtype)

    assert run(tmp_path / "whole", "--device", "cuda") == 0
    monkeypatch.setattr(cuda.DeviceMemory, "take", small)
    assert run(tmp_path / "split", "--device", "cuda") == 0
    assert "out of memory: 1 networks at a time now" in capsys.readouterr().err
    whole, split = (xr.load_dataset(tmp_path / n / "results.nc") for n in ("whole", "split"))
    xr.testing.assert_equal(whole.rate_mean, split.rate_mean)


def test_a_plan_keeps_to_the_memory_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a chunk takes, with what networks use one after the other, is within the budget."""
    from gradhorizon.engine.ensemble import Window
    from gradhorizon.engine.layout import Wanted
    from gradhorizon.engine.plan import chunk_bytes

    spec, window = NetworkSpec(hidden_size=32), Window(steps=100, burn_in=10)
    wanted = Wanted.of(("gradient", "weights"))
    each, shared = chunk_bytes(spec, window, wanted)
    for budget in (2 * (each + shared), 30 * (each + shared), 3000 * (each + shared)):
        gpu = cuda.Gpu()
        gpu.budget = budget
        plan = gpu.plan(spec, window, wanted, workers=1)
        places = gpu.places(shared, budget // plan.workers)
        assert plan.chunk >= 1 and places >= 1
        assert plan.workers * (plan.chunk * each + places * shared) <= budget
