"""Tasks on workers: in order, few at a time, and what becomes of those that fail."""

from __future__ import annotations

import os
import subprocess
import sys
import weakref
from functools import partial

import numpy as np
import pytest
import xarray as xr
from poison import deadly_sweep

from gradhorizon.studies import executors
from gradhorizon.studies.errors import RunIncomplete
from gradhorizon.studies.measuring import Progress, measure_segments
from gradhorizon.studies.run import Means, run_sweep
from gradhorizon.studies.schedule import DEADLY, GUARD, Failure, Job, in_order
from gradhorizon.studies.segment import Fold
from gradhorizon.studies.study import Study
from gradhorizon.studies.summary import Summary
from gradhorizon.studies.sweep import Sweep
from gradhorizon.studies.task import Measurement, Task

BLOCK = 64


@pytest.fixture
def flow(monkeypatch):
    """Two cells of some blocks, measured by hand: a summary of each block's first network.

    The list holds a weak reference to every summary that was made.
    """
    monkeypatch.setattr(Measurement, "block", BLOCK)
    measured = []

    def measure(task):
        values = {"status": np.zeros(task.count, np.int8), "rate": np.full(task.count, task.first)}
        summary = Summary.of(values)
        measured.append(weakref.ref(summary))
        return summary

    monkeypatch.setattr(Task, "__call__", measure)

    def run(blocks, progress, update=lambda count: None):
        study = Study("flow", "", grid={"weight_scale": (1.0, 2.0)})
        sweep = Sweep(study, {}, study.grid, networks=blocks * BLOCK - 1, steps=10)
        missing = {
            segment: Fold() for cell in sweep.cells for segment in cell.segments(sweep.networks)
        }
        saved = {}
        with executors.serial() as workers:
            measure_segments(missing, workers, saved.__setitem__, progress, update)
        return sweep, saved

    return run, measured


@pytest.mark.parametrize("blocks", [5, 50])
def test_summaries_in_memory_do_not_grow_with_the_networks(blocks, flow):
    """Those in flight, and per stored segment of 16 blocks, two parts."""
    (run, measured), most = flow, 0

    def update(count):
        nonlocal most
        most = max(most, sum(one() is not None for one in measured))

    progress = Progress()
    sweep, saved = run(blocks, progress, update)
    assert len(measured) == 2 * blocks
    assert progress.measured == 2 * sweep.networks
    assert executors.WAITING < most <= executors.WAITING + 2 + 2 * len(saved)
    for cell in sweep.cells:
        parts = [one.total for s, one in saved.items() if s.measurement is cell.measurement]
        total = parts[0] if len(parts) == 1 else parts[0].merge(parts[1])
        for part in parts[2:]:
            total = total.merge(part)
        firsts = np.repeat(np.arange(blocks) * BLOCK, BLOCK)[: sweep.networks]
        assert total.status_count.sum() == sweep.networks
        assert total.results()["rate_mean"] == pytest.approx(firsts.mean(), rel=1e-12)


def test_a_stopped_run_stores_what_it_has_begun(flow):
    """Complete blocks are kept: the next run goes on after them."""
    (run, measured), progress = flow, Progress()

    def stop(count):
        progress.stop = progress.measured >= 3 * BLOCK

    sweep, saved = run(10, progress, stop)
    (found,) = saved.values()
    assert found.blocks == len(measured) == 3 + executors.WAITING
    assert found.networks == progress.measured == found.blocks * BLOCK
    (segment,) = sweep.cells[0].segments(sweep.networks)
    left = list(segment.tasks(segment.usable(found).blocks))
    assert [task.first for task in left] == list(range(found.networks, sweep.networks, BLOCK))
    assert sum(task.count for task in left) == sweep.networks - found.networks


def thing(number, way="return"):
    """A task of another kind: returns its number, fails, or takes its process down."""
    ways = {"return": number, "raise": "no such thing"}
    return Job(number, partial(os._exit, 1) if way == "die" else partial(int, ways[way]))


def outcomes(things, workers):
    return [(job.owner, outcome) for job, outcome in in_order(iter(things), workers)]


@pytest.mark.parametrize("crew", [executors.serial, executors.threads, executors.processes])
def test_results_come_in_order_and_errors_in_their_places(crew):
    things = [thing(k, "raise" if k == 3 else "return") for k in range(20)]
    with crew() as workers:
        found = outcomes(things, workers)
    reason = "ValueError: invalid literal for int() with base 10: 'no such thing'"
    assert found[3] == (3, Failure(reason))
    del found[3]
    assert found == [(k, k) for k in range(20) if k != 3]


def test_a_task_that_kills_its_process_is_told_from_its_neighbours():
    things = [thing(k, "die" if k in (1, 4) else "return") for k in range(8)]
    with executors.processes(2) as workers:
        found = dict(outcomes(things, workers))
    assert found.pop(1) == found.pop(4) == Failure(DEADLY)
    assert found == {k: k for k in (0, 2, 3, 5, 6, 7)}


def test_what_is_not_wanted_any_more_is_not_tried_again():
    """A cell that kills workers does so with one of its tasks, not with all that wait."""
    gone = set()
    with executors.processes(1) as workers:
        jobs = (Job(k, partial(os._exit, 1)) for k in range(3))
        for job, outcome in in_order(jobs, workers, lambda job: not gone):
            assert isinstance(outcome, Failure)
            gone.add(job.owner)
    assert gone == {0}


UNGUARDED = """
from pathlib import Path
from gradhorizon.studies import executors
from gradhorizon.studies.errors import RunIncomplete
from gradhorizon.studies.catalogue import load_study
from gradhorizon.studies.options import Options, settle
from gradhorizon.studies.run import Means, run_sweep

sweep = settle(load_study("bptt"), Options(networks=4, steps=9, overrides=("hidden_size=4",)))
run_sweep(sweep, Path("out"), Means(1, executors.processes))
"""


def test_a_script_without_a_guard_ends_with_a_hint(tmp_path):
    """Workers that read it again cannot start; the run ends in seconds and says why."""
    script = tmp_path / "study.py"
    script.write_text(UNGUARDED)
    command = [sys.executable, str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ConnectionError: workers die before they do anything; {GUARD}"
    )


def test_a_first_cell_that_kills_every_worker_is_named_and_the_others_are_measured(tmp_path):
    sweep = deadly_sweep()
    with pytest.raises(RunIncomplete) as stopped:
        run_sweep(sweep, tmp_path / "out", Means(1, executors.processes))
    reason = f"networks 0 to 19: {DEADLY}"
    assert str(stopped.value) == f"failed: weight_scale = 0.01, seed 0: {reason}"
    data = xr.load_dataset(tmp_path / "out" / "results.nc")
    assert data.status_count.sum("status").values.tolist() == [0, 20]
