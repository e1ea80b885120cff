"""Standard streams that are closed, full, or read by nobody: the run is the same, and its status.

Each case is judged by the results of a plain run, or by the status that the plain run has.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure
from gradhorizon.engine.progress import progress_bar
from gradhorizon.studies import validation
from gradhorizon.studies.cli import main
from gradhorizon.studies.display import Display
from gradhorizon.studies.oracles import CHECKS

TINY = ("run", "decay", "--networks", "4", "--steps", "8", "--workers", "1")
TINY += tuple(f"--set={x}" for x in ("weight_scale=1", "slope=1", "activation=tanh"))
SPEC, ASKED = NetworkSpec(hidden_size=4), {"networks": 5, "steps": 8}


class Deaf(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, text):
        raise BrokenPipeError


class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


class Plain:
    """What a notebook or a service may put in place of a stream: it can be written to."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    out = tmp_path_factory.mktemp("usual") / "out"
    assert main([*TINY, "--out", str(out)]) == 0
    return xr.load_dataset(out / "results.nc")


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&- --processes"])
def test_a_run_whose_streams_are_closed_is_a_run(closed, usual, tmp_path):
    """Also where other files get the numbers of those that are closed, as in a daemon."""
    *streams, option = [*closed.split(), ""] if "--" not in closed else closed.split()
    command = [sys.executable, "-m", "gradhorizon.studies.cli", *TINY, "--out", "out"]
    shell = f'exec "$@" {option} {" ".join(streams)}'
    done = subprocess.run(["bash", "-c", shell, "-", *command], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "out/results.nc"), usual)
    assert done.stderr == b""


@pytest.mark.parametrize("closed", ["2>&-", "1>&-", "2>&1 >/dev/full", "2>&1 | true"])
@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("run", "decay", "--steps", "1"), 2), (("run",), 2), (("list",), 0)],
)
def test_the_exit_status_does_not_depend_on_who_listens(arguments, status, closed, tmp_path):
    if arguments == ("list",) and "full" in closed:
        status = 1  # what was asked for is lost
    shell = f'"$@" {closed}; exit ${{PIPESTATUS[0]}}'
    command = ["bash", "-c", shell, "-", sys.executable, "-m", "gradhorizon.studies.cli"]
    done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_without_standard_error_nothing_is_told_on_standard_output(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["status", "none"]) == 2
    assert sys.stderr is None
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("stream", [None, Deaf(), Full(), Plain(), io.StringIO()], ids=type)
def test_networks_are_measured_whatever_standard_error_is(stream, monkeypatch):
    expected = measure(SPEC, **ASKED)
    monkeypatch.setattr(sys, "stderr", stream)
    xr.testing.assert_identical(measure(SPEC, **ASKED, progress=True), expected)
    if isinstance(stream, Plain):
        assert "5.00/5.00" in stream.text


def test_networks_are_measured_though_standard_error_was_closed(monkeypatch):
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    xr.testing.assert_identical(measure(SPEC, **ASKED, progress=True), measure(SPEC, **ASKED))


@pytest.mark.parametrize("stream", [None, Deaf(), Plain()], ids=type)
def test_a_bar_for_terminals_alone_is_silent_elsewhere(stream, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(3, always=False) as bar:
        bar.update(3)
    assert bar.disable
    assert getattr(stream, "text", "") == ""


def test_a_terminal_that_goes_away_disturbs_nobody(monkeypatch):
    class Terminal(Deaf):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar(3, always=False) as bar:
        bar.update(3)
        assert not bar.disable


def test_a_file_of_events_that_cannot_go_on_ends_and_the_run_does_not(monkeypatch, capsys):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with Display("mine", 3, 0, Path("/dev/full")) as display:
        display.update(3)
    assert display.done == 3
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "/dev/full" in error


@pytest.mark.parametrize("reader", [Deaf, Full])
def test_a_refuted_validation_is_refuted_though_nobody_reads_the_table(
    reader, monkeypatch, tmp_path
):
    """And the checks are in the file: they were before the table is printed."""
    few = [next(check for check in CHECKS if "eigen" in check.statement)]
    found = validation.validate(few, size="quick", workers=1)
    refuted = validation.Validation(
        (validation.Verdict(found.verdicts[0].result, None, False),), 1.0, "quick", 0
    )
    monkeypatch.setattr(validation, "validate", lambda **asked: refuted)
    monkeypatch.setattr(sys, "stdout", reader())
    assert main(["validate", "--quick", "--json", str(tmp_path / "checks.json")]) == 1
    assert json.loads((tmp_path / "checks.json").read_text())["overall"]["holds"] is False
