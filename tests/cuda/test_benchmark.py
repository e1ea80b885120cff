"""The table of the GPU benchmark, of a tiny job."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks import gpu
from benchmarks.gpu_limits import Limits


def test_the_table_of_a_tiny_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours, whoever else is installed, and the shares of the limits."""
    job = replace(gpu.JOBS[0].tiny(), n=4, N=3, T=4)
    limits = Limits(1e9, 1e9, 1e9)
    found = gpu.table([job], limits).splitlines()
    cells = [cell.strip() for cell in found[2].strip("| ").split(" | ")]
    assert cells[0] == job.name
    assert len(cells) == len(gpu.HEADINGS)
    arithmetic, _, shared = limits.seconds(job)
    assert arithmetic == pytest.approx(10 * 4**2 * 4 * 3 / 1e9)
    assert shared == pytest.approx(2 * 4**2 * 4 * 3 * 4 / 1e9)
    assert "TFLOP/s" in found[-1]
