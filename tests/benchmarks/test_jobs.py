"""Whole jobs, ours and every peer's in turns, beside the limit of the machine.

``pytest tests/benchmarks --benchmark-enable`` prints the table; without the flag every job runs
once at a tiny size, so that it cannot rot.
"""

from __future__ import annotations

import csv
from functools import partial

import numpy as np
import pytest
from benchmarks import limit, ours
from benchmarks.equality import assert_equal, assert_same_law
from benchmarks.jobs import JOBS, Job
from benchmarks.peers import peers
from benchmarks.table import Row, comma_separated, markdown
from benchmarks.turns import ROUNDS, Turns


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.id)
def test_job(benchmark, rows: list[Row], job: Job) -> None:
    enabled = benchmark.enabled
    if enabled:
        for peer in peers(job.few()).values():
            assert_equal(job.few(), peer)
    else:
        job = job.tiny()
    found, drawn = peers(job), ours.Drawn(job)
    turns = Turns(
        {
            **{column: partial(peer.run, 0) for column, peer in found.items()},
            "gemm_rate": partial(limit.gemm_rate, job.precision, limit.GEMM_SIZE if enabled else 8),
            "copy_rate": partial(limit.copy_rate, limit.COPY_BYTES if enabled else 8),
            "one thread": partial(ours.whole, job, workers=1),
            "sampling": drawn.sampling,
            "sweep": drawn.sweep,
        }
    )
    result = benchmark.pedantic(
        ours.whole, args=(job,), setup=turns, rounds=ROUNDS, warmup_rounds=1
    )
    for column in found:
        assert_same_law(job, result, turns.results[column][0])
    row = row_of(job, turns, benchmark.stats.stats.median if enabled else 1.0)
    assert job.name in markdown([row])
    assert len(list(csv.DictReader(comma_separated([row]).splitlines()))) == 1
    if enabled:
        rows.append(row)
        benchmark.extra_info.update(row.seconds | row.measures)


def row_of(job: Job, turns: Turns, ours_seconds: float) -> Row:
    rates = {name: float(np.median(turns.results[name])) for name in ("gemm_rate", "copy_rate")}
    seconds = {name: turns.median(name) for name in turns.contestants if name not in rates}
    least = limit.seconds(job, **rates)
    return Row(job, {"ours": ours_seconds, **seconds}, **rates, limit=least)
