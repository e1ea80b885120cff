"""The same sweep wherever its tasks run, in whatever pieces: the same arrays, bit for bit."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import xarray as xr
from children import blas_threads, children_of
from threadpoolctl import threadpool_limits

from gradhorizon.engine import available_cores
from gradhorizon.studies import executors, task
from gradhorizon.studies.catalogue import NAMES, load_study
from gradhorizon.studies.claim import stored_sweep
from gradhorizon.studies.cli import main
from gradhorizon.studies.lock import locked
from gradhorizon.studies.options import Options, settle
from gradhorizon.studies.own_sweep import load_toml
from gradhorizon.studies.results import ResultsFolder
from gradhorizon.studies.run import Means, run_sweep

pytestmark = pytest.mark.usefixtures("undrawn")

SMALL = ("--networks", "200", "--steps", "12", "--set", "hidden_size=6")


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    """Blocks of 16 networks, so that a cell of 200 has segments of 13 blocks, and a rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task, "LARGEST_BLOCK", 16)
        yield


@pytest.fixture(scope="module")
def direct(tmp_path_factory):
    """An undisturbed run."""
    out = tmp_path_factory.mktemp("direct") / "out"
    assert main(["run", "bptt", *SMALL, "--out", str(out)]) == 0
    return xr.load_dataset(out / "results.nc")


def bptt(networks=200):
    overrides = ("hidden_size=6",)
    return settle(load_study("bptt"), Options(networks=networks, steps=12, overrides=overrides))


@pytest.mark.parametrize("name", ["serial", "processes"])
def test_executors_agree_with_threads(name, direct, tmp_path):
    crew = {"serial": lambda count: executors.serial(), "processes": executors.processes}[name]
    run_sweep(bptt(), tmp_path / "out", Means(2, crew))
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "out/results.nc"), direct)


@pytest.mark.parametrize("crew", ["serial", "threads", "processes", "given"])
def test_tasks_have_one_thread_of_blas(crew):
    """Tasks are what runs in parallel; afterwards this process has its threads again."""
    with threadpool_limits(2, "blas"), ThreadPoolExecutor(1) as pool:
        crews = {"serial": executors.serial, "given": partial(executors.given, pool, 1)}
        with crews.get(crew, partial(getattr(executors, crew), 1))() as workers:
            assert workers.submit(blas_threads).result() == {1}
        assert blas_threads() == {2}


def test_shards_agree_with_the_whole(direct, tmp_path, capsys):
    """Each does its part, none is collected before all are there."""
    out = tmp_path / "out"
    for part in (3, 1):
        assert main(["run", "bptt", *SMALL, "--out", str(out), "--shard", f"{part}/3"]) == 0
    assert not (out / "results.nc").exists()
    assert main(["status", str(out)]) == 0
    assert main(["collect", str(out)]) == 1
    told = capsys.readouterr()
    assert "missing: " in told.out
    hint = f"gradhorizon status {out} names them"
    assert re.fullmatch(rf"gradhorizon: \d+ of 18 cells are not complete; {hint}\n", told.err)
    assert main(["run", "bptt", *SMALL, "--out", str(out), "--shard", "2/3"]) == 0
    assert main(["collect", str(out)]) == 0
    xr.testing.assert_identical(xr.load_dataset(out / "results.nc"), direct)
    assert main(["status", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("bptt: ")


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/2/3"])
def test_a_shard_that_is_none_is_refused(text, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["run", "bptt", "--shard", text])
    assert stopped.value.code == 2
    assert "i/n with 1 <= i <= n" in capsys.readouterr().err


def test_an_extended_run_uses_what_is_stored(direct, tmp_path, monkeypatch):
    """100 networks, then 200 and another point: only what is new is measured, to the same bits."""
    out = tmp_path / "out"
    run_sweep(bptt(100), out)
    before = {path.name for path in out.glob("cells/*")}
    measured = []
    measure = task.Task.__call__

    def counted(one):
        measured.append(one.count)
        return measure(one)

    monkeypatch.setattr(task.Task, "__call__", counted)
    sweep = bptt()
    run_sweep(sweep, out, Means(1))
    tail = 100 % 16
    assert sum(measured) == (100 + tail) * len(sweep.distinct)
    xr.testing.assert_identical(xr.load_dataset(out / "results.nc"), direct)
    assert {path.name for path in out.glob("cells/*")} == before


def test_a_smaller_run_keeps_what_is_there(tmp_path, capsys):
    """Also one that was begun by mistake: nothing stored is lost, and `status` says so."""
    out = tmp_path / "out"
    first = run_sweep(bptt(20), out)
    xr.testing.assert_equal(run_sweep(bptt(3), out), first)
    sweep = bptt(5000)
    with ResultsFolder.opened(out, sweep):
        pass
    assert main(["collect", str(out)]) == 1
    xr.testing.assert_equal(xr.load_dataset(out / "results.nc"), first)
    capsys.readouterr()
    assert main(["status", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(": 20 of 5000 networks")


@pytest.mark.parametrize("name", NAMES)
def test_tasks_travel(name):
    """Any study's task can be pickled: what it needs are functions of modules, and few bytes."""
    sweep = settle(load_study(name), Options(networks=4))
    one = next(sweep.distinct[0].segments(4)[0].tasks(0))
    assert len(pickle.dumps(one)) < 2000
    again = pickle.loads(pickle.dumps(one))
    assert again.measurement.configuration == one.measurement.configuration


def test_without_enough_memory_chunks_are_smaller(monkeypatch, capsys):
    """The same statistics, and a line for each attempt."""
    one = next(bptt(16).distinct[0].segments(16)[0].tasks(0))
    whole, measure = one(), task.measure_block

    def little(source, first, count, products, **options):
        if count > 2:
            raise MemoryError
        return measure(source, first, count, products, **options)

    monkeypatch.setattr(task, "measure_block", little)
    again = one().arrays()
    assert capsys.readouterr().err.splitlines()[-1].endswith(" 2 networks at a time now")
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(again[name], array)


def test_a_worker_of_another_version_is_refused():
    one = next(bptt(4).distinct[0].segments(4)[0].tasks(0))
    with pytest.raises(RuntimeError, match="another version"):
        task.Task(one.measurement, 0, 4, "0123456789abcdef")()


def test_a_folder_tells_its_sweep(tmp_path):
    """A sweep of the user's own with real inputs, from what stands in its folder."""
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\nnetworks = 3\nproducts = ["lyapunov"]\nexponents = 2\n'
        "[spec]\nhidden_size = 4\ngate_bias = {hidden = 0.5}\n[grid]\nweight_scale = [1, 1.5]\n"
    )
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((2, 9, 3)))
    study, options = load_toml(file)
    given = Options(inputs=str(tmp_path / "x.npy")).over(options)
    sweep = settle(study, given)
    out = tmp_path / "out"
    run_sweep(sweep, out)
    again = stored_sweep(out)
    assert [cell.key for cell in again.cells] == [cell.key for cell in sweep.cells]
    (tmp_path / "x.npy").unlink()
    file.unlink()
    whole = xr.load_dataset(out / "results.nc")
    assert main(["collect", str(out)]) == 0
    xr.testing.assert_identical(xr.load_dataset(out / "results.nc"), whole)


def test_a_failed_cell_is_named_and_the_others_are_measured(tmp_path, monkeypatch, capsys):
    """Exit status 1, a line with its point and seed; once mended, the same command finishes."""
    out, measure = tmp_path / "out", task.Task.__call__

    def fails(one):
        if one.measurement.spec.weight_scale == 1.5:
            raise FloatingPointError("poison")
        return measure(one)

    file = tmp_path / "mine.toml"
    file.write_text("networks = 40\nsteps = 9\n[grid]\nweight_scale = [1.0, 1.5, 2.0]\n")
    command = ["run", str(file), "--set", "hidden_size=4", "--out", str(out), "--workers", "1"]
    log = tmp_path / "log.jsonl"
    monkeypatch.setattr(task.Task, "__call__", fails)
    assert main([*command, "--log-json", str(log)]) == 1
    line = "failed: weight_scale = 1.5, seed 0: networks 0 to 15: FloatingPointError: poison"
    assert line in capsys.readouterr().err
    events = [json.loads(text) for text in log.read_text().splitlines()]
    assert [event["event"] for event in events if event["event"] != "progress"] == [
        "start",
        "failed",
        "end",
    ]
    assert events[-1]["networks"] == 80
    assert events[-1]["total"] == 120
    partial = xr.load_dataset(out / "results.nc")
    assert np.isfinite(partial.rate_mean.values).tolist() == [True, False, True]
    assert partial.status_count.sum("status").values.tolist() == [40, 0, 40]
    assert main(["status", str(out)]) == 0
    assert line in capsys.readouterr().out
    monkeypatch.setattr(task.Task, "__call__", measure)
    assert main(command) == 0
    assert np.isfinite(xr.load_dataset(out / "results.nc").rate_mean.values).all()


START = [sys.executable, "-m", "gradhorizon.studies.cli", "run", "decay", "--networks", "4000"]


def start(out, *arguments):
    command = [*START, "--set", "hidden_size=16", "--out", str(out), *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob("cells/*.cell")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process


def test_one_run_at_a_time_and_ctrl_c_ends_it_in_order(tmp_path, capsys):
    """The second is refused with a line; after SIGINT the results so far are there, no lock is."""
    out = tmp_path / "out"
    process = start(out)
    arguments = ["run", "decay", "--networks", "4000", "--set", "hidden_size=16"]
    assert main([*arguments, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert "(in use)" in error
    assert error.count("\n") == 1
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 1, told
    assert "interrupted" in told
    assert sorted(path.name for path in out.glob(".*")) == []
    partial = xr.load_dataset(out / "results.nc")
    done = partial.status_count.sum("status")
    assert 0 < int((done > 0).sum()) < done.size


def test_a_killed_run_leaves_no_lock_that_holds(tmp_path):
    """Nor processes: they end with the one that started them."""
    out = tmp_path / "out"
    process = start(out, "--processes")
    children = children_of(process.pid)
    assert len(children) >= available_cores()
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{child}") for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with locked(out / ".lock"):
        assert (out / ".lock").exists()
    assert not (out / ".lock").exists()
