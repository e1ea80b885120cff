"""Every command and example of the README does what it says, at a size for tests."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numba import cuda

from gradhorizon.engine import InputError
from gradhorizon.studies.cli import COMMANDS, main, settled
from gradhorizon.studies.parser import build_parser
from gradhorizon.studies.sweep import check

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
FENCE = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(language):
    return [text for name, text in FENCE.findall(README) if name == language]


def commands():
    lines = [line.split("#")[0] for text in blocks("bash") for line in text.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    inline = re.findall(r"`(gradhorizon run [^`]+)`", README)
    found = dict.fromkeys([part for part in parts if "gradhorizon" in part] + inline)
    return [shlex.split(part) for part in found]


def test_python_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    examples = blocks("python")
    assert len(examples) == 5
    scope = {}
    for example in examples:
        exec(example.replace("networks=1024", "networks=32"), scope)
    assert "log_jacobian_norm" in capsys.readouterr().out


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_parse(command):
    assert build_parser().parse_args(command[1:]).command in COMMANDS | {"list": None}


@pytest.mark.parametrize("command", [c for c in commands() if c[1] == "run"], ids=" ".join)
def test_sweeps_can_be_run(command, tmp_path, monkeypatch):
    """Every cell is checked and none measured."""
    monkeypatch.chdir(tmp_path)
    for text in blocks("toml"):
        Path("my_sweep.toml").write_text(text)
    np.save("digits.npy", np.full((3, 64, 1), 0.5))
    sweep = settled(build_parser().parse_args(command[1:]))
    if sweep.device == "cuda" and not cuda.is_available():
        with pytest.raises(InputError, match="device"):
            check(sweep, workers=1)
    else:
        assert check(sweep, workers=1) == 1


def test_the_sweep_runs(tmp_path):
    (text,) = blocks("toml")
    (tmp_path / "width.toml").write_text(text)
    out = tmp_path / "out"
    options = ["--networks", "64", "--steps", "30", "--out", str(out)]
    assert main(["run", str(tmp_path / "width.toml"), *options]) == 0
    data = xr.load_dataset(out / "results.nc")
    assert data.rate_mean.dims == ("weight_scale", "hidden_size")


def test_the_ci_runs_the_test_command_literally_and_first():
    """The line that it looks up is the one that stands in a block of commands."""
    (printed,) = [line for text in blocks("bash") for line in text.splitlines() if "pytest" in line]
    script = (ROOT / ".ci" / "run").read_text()
    (lookup,) = re.findall(r"^readme=\$\((.*)\)$", script, re.MULTILINE)
    found = subprocess.run(["bash", "-c", lookup], cwd=ROOT, capture_output=True, text=True)
    assert found.stdout == printed + "\n"
    first = script.index('\nbash -c "$readme"\n')
    assert "pytest" not in re.sub("#.*", "", script[: script.index("readme=")])
    assert script.index('\n"$bin/pytest"') > first


def test_the_figure_it_shows_is_there():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / path).stat().st_size < 400_000
