"""Studies on a GPU: the command line, and what a results folder says of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import NetworkSpec, computed_by, cuda
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


def test_a_plan_keeps_to_the_memory_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two chunks at a time, whoever asked for one worker: tasks plan for themselves alone."""
    from gradhorizon.engine.ensemble import Window
    from gradhorizon.engine.layout import Wanted
    from gradhorizon.engine.plan import chunk_bytes

    spec, window = NetworkSpec(hidden_size=32), Window(steps=100, burn_in=10)
    wanted = Wanted.of(("gradient", "weights"))
    each, shared = chunk_bytes(spec, window, wanted)
    monkeypatch.setattr(cuda, "WORKERS", 2)
    monkeypatch.setattr(cuda, "free_bytes", lambda: free)
    for free in (5 * (each + shared), 75 * (each + shared), 7500 * (each + shared)):
        gpu = cuda.Gpu()
        for workers in (None, 1, 2, 8):
            plan, places = gpu.plan(spec, window, wanted, workers), gpu.places(shared)
            assert plan.chunk >= 1 and places >= 1
            assert plan.workers == (1 if workers == 1 else 2)
            assert 2 * (plan.chunk * each + places * shared) <= 0.8 * free


def test_results_of_another_kind_of_gpu_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stored result is keyed by names what its kernels were compiled for."""
    before = computed_by("cuda")
    monkeypatch.setattr(cuda, "capability", lambda: "8.0")
    assert computed_by("cuda") != before
    assert "8.0" in computed_by("cuda")
