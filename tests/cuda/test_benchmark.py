"""The table of the GPU benchmark, of a tiny job."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from benchmarks import gpu, ours
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


def test_the_blocks_of_a_study_tell_what_all_networks_do() -> None:
    """Merged statistics, and those of all networks at once on the CPU."""
    job = replace(gpu.JOBS[0].tiny(), n=3, N=5, T=4, precision="float64")
    found, expected = gpu.ours(job, 1), ours.whole(job, 1)
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12)
