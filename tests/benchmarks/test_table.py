"""The table's figures from times, and its verdicts."""

from __future__ import annotations

import pytest
from benchmarks import table
from benchmarks.jobs import Job
from benchmarks.limit import operations
from benchmarks.peers import COLUMNS
from benchmarks.table import Row, cell, markdown, notes

JOB = Job(64, 8, 10)
SECONDS = {"ours": 2.0, "one thread": 3.0, "sampling": 0.6, "sweep": 1.5, "NumPy": 50.0}
ROW = Row(JOB, SECONDS | {"JAX expert": 18.0}, gemm_rate=2e9, copy_rate=3e9, limit=0.9)


@pytest.fixture(params=[True, False])
def installed(request, monkeypatch) -> bool:
    """Whether the peers' libraries are."""
    monkeypatch.setattr(table, "missing", lambda column: not request.param)
    return request.param


def test_figures_and_verdicts(installed: bool) -> None:
    expected = {
        "JAX expert": "9.0 (>= 10: missed)",
        "best peer": "9.0 JAX expert (>= 10: missed)" if installed else "-",
        "NumPy": "25.0",
        "limit": "60 (>= 60: met)",
        "sampling": "20 (<= 15: missed)",
        "threads": "1.50 (>= 1.9: missed)",
        "PyTorch": "-" if installed else "not installed",
    }
    assert {measure: cell(ROW, measure) for measure in expected} == expected
    met = [line for line in notes([ROW]) if line.startswith("Goals met")]
    assert met == [f"Goals met: 1 of {5 if installed else 4}."]
    assert (table.HINT in markdown([ROW])) is not installed


def test_every_peer_has_a_column() -> None:
    assert set(COLUMNS) < set(table.HEADINGS)


def test_operations_of_back_propagation() -> None:
    """10 n^2 per network and step in the plain network, for every gate and every sequence."""
    plain = operations(JOB)
    assert plain == 8 * 10 * 10 * 64**2
    assert operations(Job(64, 8, 10, cell="lstm")) == 4 * plain
    assert operations(Job(64, 8, 10, batch_size=5)) == 5 * plain
