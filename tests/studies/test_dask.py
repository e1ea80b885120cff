"""On a dask cluster of two processes: the same arrays, also when workers are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import dask_processes
import pytest
import xarray as xr
from poison import deadly_sweep

from gradhorizon.studies import executors
from gradhorizon.studies.cli import main
from gradhorizon.studies.errors import RunIncomplete
from gradhorizon.studies.run import Means, run_sweep
from gradhorizon.studies.schedule import DEADLY

distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")

ARGUMENTS = ["run", "bptt", "--networks", "64", "--steps", "12", "--set", "hidden_size=6"]


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def direct(tmp_path_factory):
    out = tmp_path_factory.mktemp("direct") / "out"
    assert main([*ARGUMENTS, "--out", str(out)]) == 0
    return xr.load_dataset(out / "results.nc")


def test_dask_agrees_with_threads(cluster, direct, tmp_path):
    out, address = tmp_path / "out", cluster.scheduler_address
    assert main([*ARGUMENTS, "--out", str(out), "--scheduler", address]) == 0
    xr.testing.assert_identical(xr.load_dataset(out / "results.nc"), direct)


def test_killed_workers_cost_nothing(cluster, direct, tmp_path):
    """A worker is killed as soon as the first cell is stored; its tasks run elsewhere."""
    out, killed = tmp_path / "out", []

    def kill():
        while not list(out.glob("cells/*.cell")):
            time.sleep(0.01)
        with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
            pid = next(iter(client.run(os.getpid).values()))
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)

    thread = threading.Thread(target=kill, daemon=True)  # should the run fail, it ends too
    thread.start()
    arguments = [*ARGUMENTS, "--out", str(out), "--scheduler", cluster.scheduler_address]
    assert main(arguments) == 0
    thread.join()
    assert killed
    xr.testing.assert_identical(xr.load_dataset(out / "results.nc"), direct)
    assert json.loads((out / "provenance.json").read_text())["failed"] == []


@pytest.mark.parametrize("address", ["nonsense", "tcp://127.0.0.1:1"])
def test_nobody_there_is_one_line(address, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([*ARGUMENTS, "--out", str(out), "--scheduler", address]) == 2
    error = capsys.readouterr().err
    assert error.startswith("gradhorizon: --scheduler: ")
    assert error.count("\n") == 1


LONG = ["decay", "--networks", "2000", "--steps", "60", "--set", "hidden_size=16"]
LONG += ["--set", "slope=1", "--set", "weight_scale=1,1.5"]


def test_a_scheduler_that_dies_ends_the_run_and_a_new_one_goes_on(tmp_path):
    """One line and status 1 within a minute; what is stored is kept; the same arrays at the end."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    command = [sys.executable, "-m", "gradhorizon.studies.cli", "run", *LONG, "--out", str(out)]
    with dask_processes.cluster(1) as first:
        run = subprocess.Popen([*command, "--scheduler", first.address], stderr=subprocess.PIPE)
        while not list(out.glob("cells/*.cell")):
            assert run.poll() is None, run.communicate()[1].decode()
            time.sleep(0.005)
        first.scheduler.kill()
        told = run.communicate(timeout=60)[1].decode()
    assert run.returncode == 1
    reason = "nobody runs the tasks any more"
    assert told == f"gradhorizon: the run failed: {reason}; it can be resumed\n"
    stored = {file.name: file.read_bytes() for file in out.glob("cells/*.cell")}
    assert stored
    with dask_processes.cluster(1) as second:
        assert main(["run", *LONG, "--out", str(out), "--scheduler", second.address]) == 0
    assert stored.items() <= {f.name: f.read_bytes() for f in out.glob("cells/*.cell")}.items()
    assert main(["run", *LONG, "--out", str(whole)]) == 0
    xr.testing.assert_identical(
        xr.load_dataset(out / "results.nc"), xr.load_dataset(whole / "results.nc")
    )


@pytest.mark.slow
def test_a_first_cell_that_kills_every_worker_is_named_and_the_others_are_measured(tmp_path):
    """Workers are had again by their nanny."""
    with dask_processes.cluster(1, nanny=True) as found:
        crew = Means(crew=lambda count: executors.scheduler(found.address))
        with pytest.raises(RunIncomplete) as stopped:
            run_sweep(deadly_sweep(), tmp_path / "out", crew)
    reason = f"networks 0 to 19: {DEADLY}"
    assert str(stopped.value) == f"failed: weight_scale = 0.01, seed 0: {reason}"
    data = xr.load_dataset(tmp_path / "out" / "results.nc")
    assert data.status_count.sum("status").values.tolist() == [0, 20]
