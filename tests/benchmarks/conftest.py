"""Gathers the rows of the run and prints them as one table at its end."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from benchmarks.table import Row, comma_separated, markdown

FILE = "GRADHORIZON_BENCHMARK_TABLE"
"""Environment variable: a file to write the table to, as CSV if its name ends so."""

ROWS, LINES = pytest.StashKey[list[Row]](), pytest.StashKey[list[str]]()


@pytest.fixture
def rows(pytestconfig: pytest.Config) -> list[Row]:
    """Rows of the table."""
    return pytestconfig.stash.setdefault(ROWS, [])


@pytest.fixture
def lines(pytestconfig: pytest.Config) -> list[str]:
    """Lines below the table."""
    return pytestconfig.stash.setdefault(LINES, [])


def pytest_benchmark_group_stats() -> list[object]:
    """No table of pytest-benchmark's own: its times are those of one of many contestants."""
    return []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    rows, lines = config.stash.get(ROWS, []), config.stash.get(LINES, [])
    report = "\n".join(([markdown(rows)] if rows else []) + lines)
    if not report:
        return
    terminalreporter.section("benchmarks")
    terminalreporter.write_line(report)
    if path := os.environ.get(FILE):
        Path(path).write_text(comma_separated(rows) if path.endswith(".csv") else report + "\n")
