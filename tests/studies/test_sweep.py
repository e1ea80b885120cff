"""The flow of a sweep's tasks: what is in flight and in memory does not grow with the networks."""

from __future__ import annotations

import weakref
from concurrent.futures import Future

import numpy as np
import pytest

from gradhorizon.studies.study import Study
from gradhorizon.studies.summary import Summary
from gradhorizon.studies.sweep import BLOCK, Sweep, Task, run_cells


class Immediate:
    """An executor that runs a task where it is submitted."""

    def submit(self, task):
        future = Future()
        future.set_result(task())
        return future


@pytest.mark.parametrize("blocks", [5, 50])
def test_summaries_in_memory_do_not_grow_with_the_networks(blocks, monkeypatch):
    """At most those in flight, those of finished cells, and the two that a merge holds."""
    measured, most = [], 0

    def measure(task):
        values = {"status": np.zeros(task.count, np.int8), "rate": np.full(task.count, task.first)}
        summary = Summary.of(values)
        measured.append(weakref.ref(summary))
        return summary

    def progress(count):
        nonlocal most
        most = max(most, sum(one() is not None for one in measured))

    found = {}
    monkeypatch.setattr(Task, "__call__", measure)
    study = Study("flow", "", grid={"weight_scale": (1.0, 2.0)})
    sweep = Sweep(study, {}, study.grid, networks=blocks * BLOCK - 1, steps=10)
    in_flight = 4
    run_cells(sweep.cells, Immediate(), in_flight, lambda c, s: found.update({c.key: s}), progress)
    assert len(measured) == 2 * blocks
    assert most <= in_flight + len(sweep.cells) + 2
    for summary in found.values():
        assert summary.status_count.sum() == sweep.networks
        firsts = np.repeat(np.arange(blocks) * BLOCK, BLOCK)[: sweep.networks]
        assert summary.results()["rate_mean"] == pytest.approx(firsts.mean(), rel=1e-12)
