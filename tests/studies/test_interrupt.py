"""Ctrl-C: what has begun is finished, nothing else is, and there is one line about it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from gradhorizon.studies import executors
from gradhorizon.studies.measuring import Progress, interruptible, measure_segments
from gradhorizon.studies.options import Options, settle
from gradhorizon.studies.segment import Fold
from gradhorizon.studies.study import Study
from gradhorizon.studies.task import Task

WORKERS = 2


class Held:
    """Tasks that begin and then wait until they may go on."""

    def __init__(self, monkeypatch):
        self.begun, self.release, measure = [], threading.Event(), Task.__call__

        def held(task):
            self.begun.append(task.first)
            assert self.release.wait(60)
            return measure(task)

        monkeypatch.setattr(Task, "__call__", held)


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def sweep(monkeypatch):
    """Segments of 200 networks in blocks of 8, of which nothing is known."""
    monkeypatch.setattr("gradhorizon.studies.task.LARGEST_BLOCK", 8)
    study = Study("held", "", base={"hidden_size": 4}, grid={"weight_scale": (1.0,)}, steps=8)
    (cell,) = settle(study, Options(networks=200)).cells
    return {segment: Fold() for segment in cell.segments(200)}


def test_only_what_has_begun_is_finished(monkeypatch, sweep, capfd):
    """One task per thread, although three per thread were handed out; their blocks are stored."""
    held, handed, progress, saved = Held(monkeypatch), [], Progress(), {}

    def interrupt():
        until(lambda: len(held.begun) == WORKERS and len(handed) == executors.WAITING * WORKERS)
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: sum(future.cancelled() for future in handed) == len(handed) - WORKERS)
        held.release.set()

    thread = threading.Thread(target=interrupt)
    with executors.threads(WORKERS) as workers, interruptible(progress):
        submit = workers.submit
        monkeypatch.setattr(workers, "submit", lambda f: handed.append(submit(f)) or handed[-1])
        thread.start()
        measure_segments(sweep, workers, saved.__setitem__, progress, lambda count: None)
    thread.join()
    assert sorted(held.begun) == [0, 8]
    assert progress.measured == 16
    assert [found.blocks for found in saved.values()] == [2]
    assert capfd.readouterr().err == "gradhorizon: finishing what runs; again to stop now\n"


def test_twice_waits_for_nobody(monkeypatch, sweep):
    """The run ends while its tasks are still held."""
    held, progress, ended, waited = Held(monkeypatch), Progress(), threading.Event(), []

    def interrupt():
        until(lambda: len(held.begun) == WORKERS)
        os.kill(os.getpid(), signal.SIGINT)
        until(lambda: progress.stop)
        os.kill(os.getpid(), signal.SIGINT)
        waited.append(not ended.wait(10))
        held.release.set()

    thread = threading.Thread(target=interrupt)
    crew = executors.threads(WORKERS)
    with pytest.raises(KeyboardInterrupt), crew as workers, interruptible(progress):
        thread.start()
        measure_segments(sweep, workers, lambda *saved: None, progress, lambda count: None)
    ended.set()
    thread.join()
    assert waited == [False]
    assert sorted(held.begun) == [0, 8]


INTERRUPTED = """
import signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from gradhorizon.studies.cli import main
sys.exit(main(["run", "decay", "--out", sys.argv[2]]))
"""


HINT = "; the same command goes on from here"


@pytest.mark.parametrize(
    "module, hint",
    [("importlib.metadata", ""), ("gradhorizon.kernels", HINT), ("xarray", HINT), ("scipy", HINT)],
)
def test_during_the_imports_it_is_one_line(module, hint, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module, tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == f"gradhorizon: interrupted{hint}\n"
    assert not (tmp_path / "out").exists()
