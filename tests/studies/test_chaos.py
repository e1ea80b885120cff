"""SIGKILL at random moments, to the driver and to workers: the same arrays, nothing left over."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import xarray as xr
from children import children_of

from gradhorizon.studies.cli import main

ARGUMENTS = ("run", "decay", "--steps", "60", "--set", "hidden_size=12", "--networks")


def start(out, networks):
    command = [sys.executable, "-m", "gradhorizon.studies.cli", *ARGUMENTS, networks]
    command += ["--out", str(out), "--processes", "--workers", "2"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_progress(out, process):
    """Until one more cell is stored; False if the run ended."""
    before, deadline = len(list(out.glob("cells/*.cell"))), time.monotonic() + 120
    while len(list(out.glob("cells/*.cell"))) == before:
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return True


@pytest.mark.parametrize(
    "kills, networks", [(2, "300"), pytest.param(24, "4000", marks=pytest.mark.slow)]
)
def test_a_run_survives(kills, networks, undisturbed, tmp_path):
    """Half of the kills hit the driver, half a worker; then the same command, to its end."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    arguments, expected = undisturbed
    if arguments != (*ARGUMENTS, networks):
        assert main([*ARGUMENTS, networks, "--out", str(whole)]) == 0
        expected = xr.load_dataset(whole / "results.nc")
    dice, done, process = random.Random(3), [], start(out, networks)
    while len(done) < kills:
        if not wait_for_progress(out, process):
            break
        time.sleep(dice.uniform(0, 0.3))
        workers = children_of(process.pid)
        victim = dice.choice(workers) if workers and len(done) % 2 else process.pid
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue
        done.append(victim)
        if victim == process.pid:
            process.wait()
            process = start(out, networks)
    assert len(done) == kills, "the run ended before all kills"
    assert process.wait(timeout=300) == 0
    xr.testing.assert_identical(xr.load_dataset(out / "results.nc"), expected)
    assert [path.name for path in (*out.glob(".*"), *out.glob("cells/.*"))] == []
