"""The command that measures a driver's cost, at a tiny size, so that it cannot rot."""

from __future__ import annotations

import math

import pytest
from benchmarks import driver


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    sizes = {"ROUNDS": 1, "TRIES": 1, "WORKERS": 2, "SIZES": (16,), "KINDS": ("threads",)}
    for name, value in sizes.items():
        monkeypatch.setattr(driver, name, value)


@pytest.mark.parametrize(
    "table, rows",
    [(driver.task_table, 1), (lambda: driver.idle_table(8), 1), (lambda: driver.busy_table(2), 1)],
    ids=["task", "idle", "busy"],
)
def test_tables_have_numbers(table, rows):
    title, rule, *lines = list(table())
    assert len(lines) == rows
    for line in (rule, *lines):
        assert line.count("|") == title.count("|")
    for line in lines:
        values = [float(text) for text in line.strip("| ").split("|")[1:]]
        assert all(math.isfinite(value) and value >= 0 for value in values)
