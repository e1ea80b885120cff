"""What a multiply-add costs in each architecture, all of them in the same run.

``pytest tests/benchmarks/test_architectures.py --benchmark-enable -s`` prints the table and holds
the gated cells to 1.5 times the plain one; without the flag everything runs once, so that it
cannot rot.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from gradhorizon.engine import NetworkSpec, measure
from gradhorizon.kernels.cells import CELLS

SIZES = {16: 256, 32: 128, 64: 64, 128: 16}
"""Units -> networks."""

STEPS, ROUNDS = 100, 15


def seconds(spec: NetworkSpec, networks: int) -> float:
    """Processor time of one job on one thread: sampling, forward and backward sweep."""
    start = time.process_time()
    data = measure(spec, networks=networks, steps=STEPS, burn_in=0, workers=1)
    assert (data.status == 0).all()
    return time.process_time() - start


def multiply_adds(spec: NetworkSpec, networks: int) -> int:
    """W h and U x forward, W^T delta backward."""
    cell, n = CELLS[spec.cell], spec.hidden_size
    return networks * STEPS * n * n * (2 * cell.recurrent + len(cell.gates))


def interleaved(n: int, rounds: int) -> dict[str, float]:
    """Nanoseconds per multiply-add of every cell: medians, the cells taking turns."""
    specs = {name: NetworkSpec(cell=name, hidden_size=n) for name in CELLS}
    for spec in specs.values():
        seconds(spec, 1)  # compiled here
    taken: dict[str, list[float]] = {name: [] for name in specs}
    for _ in range(rounds):
        for name, spec in specs.items():
            taken[name].append(seconds(spec, SIZES[n]) / multiply_adds(spec, SIZES[n]) * 1e9)
    return {name: float(np.median(values)) for name, values in taken.items()}


@pytest.mark.parametrize("n", SIZES)
def test_cost_of_a_multiply_add(benchmark, n):
    rounds = ROUNDS if benchmark.enabled else 1
    cost = benchmark.pedantic(interleaved, args=(n, rounds), rounds=1)
    line = ", ".join(f"{name} {ns:.3f} ns ({ns / cost['rnn']:.2f})" for name, ns in cost.items())
    print(f"\nn = {n}: a multiply-add takes {line}")
    benchmark.extra_info.update(cost)
    if benchmark.enabled:
        for name in ("lstm", "gru"):
            assert cost[name] <= 1.5 * cost["rnn"], name
