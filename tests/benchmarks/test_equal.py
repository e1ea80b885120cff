"""Before anything is timed: peers compute what we compute, and the parts of ours make the whole."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks import ours
from benchmarks.equality import assert_equal
from benchmarks.jobs import JOBS, Job
from benchmarks.peers import HINT, columns, missing, peers

KINDS = list(dict.fromkeys(job.tiny() for job in JOBS))


PAIRS = [(job, column) for job in KINDS for column in columns(job)]


@pytest.mark.parametrize(("job", "column"), PAIRS, ids=lambda value: getattr(value, "id", value))
def test_peers_compute_what_we_compute(job: Job, column: str) -> None:
    if missing(column):
        pytest.skip(f"not installed: {HINT}")
    assert_equal(job, peers(job)[column])


@pytest.mark.parametrize("job", KINDS, ids=lambda job: job.id)
def test_networks_drawn_beforehand_are_those_of_the_job(job: Job) -> None:
    whole, apart = ours.whole(job), ours.Drawn(job).sweep()
    assert whole.keys() == apart.keys()
    for name in whole:
        np.testing.assert_array_equal(whole[name], apart[name])
