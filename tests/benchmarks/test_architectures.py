"""What a multiply-add costs in each architecture: gated cells within 1.5 times the plain one."""

from __future__ import annotations

import time
from functools import partial

import pytest
from benchmarks import limit, ours
from benchmarks.jobs import Job
from benchmarks.turns import Turns

from gradhorizon.kernels.cells import CELLS

SIZES = {16: 256, 32: 128, 64: 64, 128: 16}
"""Units -> networks."""

STEPS, ROUNDS = 100, 15
PRODUCTS = ("gradient",)
GATED = [name for name, cell in CELLS.items() if cell.gated]


@pytest.mark.parametrize("n", SIZES)
def test_cost_of_a_multiply_add(benchmark, lines: list[str], n: int) -> None:
    """Processor time of whole jobs on one thread over the operations of their sweeps."""
    size = (n, SIZES[n], STEPS) if benchmark.enabled else (8, 4, 6)
    jobs = {name: Job(*size, cell=name, products=PRODUCTS) for name in CELLS}
    runs = {name: partial(ours.whole, job, workers=1) for name, job in jobs.items()}
    turns = Turns(runs, timer=time.process_time)
    benchmark.pedantic(turns, rounds=ROUNDS, warmup_rounds=1)
    pairs = {name: limit.operations(job) / 2 for name, job in jobs.items()}
    cost = {name: 1e9 * turns.median(name) / pairs[name] for name in jobs}
    benchmark.extra_info.update(cost)
    shown = (f"{name} {ns:.3f} ns ({ns / cost['rnn']:.2f})" for name, ns in cost.items())
    line = f"n = {n}: a multiply-add takes {', '.join(shown)}"
    if benchmark.enabled:
        lines.append(line)
        for name in GATED:
            assert cost[name] <= 1.5 * cost["rnn"], line
