"""How a measurement is cut into chunks, and whether it fits into memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..kernels.cells import CELLS
from ..kernels.norms import BATCH, NORMALIZATIONS
from .ensemble import Window
from .errors import InputError, Shown
from .spec import NetworkSpec

CHUNK_BYTES = 8 * 2**20
"""Arrays of a chunk stay in the last-level cache from sweep to sweep. A smaller chunk would stay in
a nearer one, but the Python around it (150 us, which one thread does at a time) weighs more: two
threads did 1.2 to 1.3 times the work of one with 2 MiB, 1.4 to 1.7 times with 8."""

LARGEST_CHUNK = 1024


@dataclass(frozen=True)
class Plan:
    """A number of workers and the networks that each takes at a time."""

    workers: int
    chunk: int

    def ranges(self, first: int, stop: int) -> list[tuple[int, int]]:
        """(first network, count) of every chunk."""
        return [(k, min(self.chunk, stop - k)) for k in range(first, stop, self.chunk)]


def make_plan(
    spec: NetworkSpec,
    window: Window,
    products: Sequence[str],
    workers: int | None = None,
    clips: bool = False,
) -> Plan:
    """Choose the chunk size and the number of workers.

    Raises
    ------
    InputError
        If a single network does not fit into the memory budget.
    """
    need = bytes_per_network(spec, window, products, clips)
    budget = memory_budget()
    if need > budget:
        size = f"{need / 2**30:.1f} GiB for one network"
        raise InputError(
            "hidden_size and steps", Shown(size), f"at most {budget / 2**30:.1f} GiB of memory"
        )
    wanted = workers or available_cores()
    return Plan(
        workers=max(1, min(wanted, budget // need)),
        chunk=int(max(1, min(CHUNK_BYTES // need, LARGEST_CHUNK))),
    )


def check_count(networks: int, each: int) -> None:
    """Refuse more networks than results of `each` bytes fit into the memory budget."""
    largest = memory_budget() // each
    if networks > largest:
        raise InputError("networks", networks, f"at most {largest}, what fits into memory")


def available_cores() -> int:
    """Processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_budget() -> int:
    """Bytes for the arrays of all workers: 40 % of the machine's memory."""
    return int(0.4 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def bytes_per_network(
    spec: NetworkSpec, window: Window, products: Sequence[str], clips: bool = False
) -> int:
    """Memory of one network: its weights, its tape and the work space of the products."""
    cell = CELLS[spec.cell]
    S, G, P = len(cell.slots), len(cell.gates), cell.rows
    norm = NORMALIZATIONS[spec.normalization]
    Q = cell.recurrent + G if norm.separate else P
    n, m, B, T = spec.hidden_size, spec.input_size, spec.batch_size, window.total
    K = 1 if spec.tied else T
    numbers = K * n * (2 * cell.recurrent * n + G * m + P) + B * n * window.losses
    drive = 0 if B == 1 and Q == G else G
    numbers += T * B * (m + n * (drive + Q + S * P + S * S + S + (2 * Q if norm.kind else 0)))
    if "weights" in products:
        numbers += T * B * (max(n, m) + P * n) + (G * n * (n + m) if spec.tied else 0)
    if "jacobian" in products:
        coupled = B if norm.kind == BATCH else 1
        numbers += (2 + cell.recurrent + 2 + 4) * (S * coupled * n) ** 2
    need = int(numbers * np.dtype(spec.precision).itemsize)
    if clips:  # all gradients, where weights are fresh at every step too, and copies of them
        need += 7 * 8 * K * n * (cell.recurrent * n + G * m + P)
    return need
