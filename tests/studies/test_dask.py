"""On a dask cluster of two processes: the same arrays, also when workers are killed."""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import pytest
import xarray as xr

from gradhorizon.studies.cli import main

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

    thread = threading.Thread(target=kill)
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
