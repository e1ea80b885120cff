"""How a measurement is cut into chunks, and whether it fits into memory."""

from __future__ import annotations

import itertools
import math
import os
from dataclasses import dataclass

import numpy as np

from .eigenvalue import VISITS
from .ensemble import Window
from .errors import InputError, Shown
from .layout import LONG, Sizes, Wanted, layout
from .spec import NetworkSpec

CHUNK_BYTES = 8 * 2**20
"""Drawn numbers of a chunk, which the sweeps read from the last-level cache, and its results. The
Python around a chunk takes 0.2 ms, which one thread does at a time: a few per cent of this."""

LARGEST_CHUNK = 1024

GROUP = 4096
"""Networks whose statistics are made at once, where results stay on a device: their sums are the
same to the last bit whichever chunks they were in. Every group costs Python a millisecond."""


@dataclass(frozen=True)
class Plan:
    """A number of workers and the networks that each takes at a time.

    A chunk that is larger than a `group` has whole groups, but for the last one.
    """

    workers: int
    chunk: int
    group: int = 1

    def ranges(self, first: int, stop: int) -> list[tuple[int, int]]:
        """(first network, count) of every chunk: as many for each worker, larger ones first."""
        unit = self.group if self.chunk >= self.group else 1
        total = -(-(stop - first) // unit)
        pieces = -(-total // (self.chunk // unit))
        pieces = min(total, -(-pieces // self.workers) * self.workers)
        size, larger = divmod(total, pieces)
        counts = [unit * (size + 1)] * larger + [unit * size] * (pieces - larger)
        counts[-1] -= unit * total - (stop - first)
        return list(zip(itertools.accumulate(counts[:-1], initial=first), counts, strict=True))


def make_plan(
    spec: NetworkSpec, window: Window, wanted: Wanted, workers: int | None = None
) -> Plan:
    """Choose the chunk size and the number of workers.

    Raises
    ------
    InputError
        If a single network does not fit into the memory budget.
    """
    each, shared = chunk_bytes(spec, window, wanted)
    budget = memory_budget()
    if each + shared > budget:
        size = f"{(each + shared) / 2**30:.1f} GiB for one network"
        raise InputError(
            "hidden_size and steps", Shown(size), f"at most {budget / 2**30:.1f} GiB of memory"
        )
    most = workers or available_cores()
    return Plan(
        workers=max(1, min(most, budget // (each + shared))),
        chunk=int(max(1, min(CHUNK_BYTES // each, LARGEST_CHUNK))),
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


def ensemble_bytes(spec: NetworkSpec, window: Window) -> int:
    """Memory of the drawn numbers of one network."""
    s = Sizes(spec, window)
    numbers = s.K * s.n * (2 * s.R * s.n + 2 * s.G * s.m + s.P)  # W and U transposed, too
    numbers += s.B * (s.n * (s.S + window.losses) + s.T * s.m)
    return int(numbers * np.dtype(spec.precision).itemsize)


def chunk_bytes(spec: NetworkSpec, window: Window, wanted: Wanted) -> tuple[int, int]:
    """Memory that every network of a chunk takes, and what they use one after the other."""
    each, shared = ensemble_bytes(spec, window), 0
    parts = layout(spec, window, wanted)
    for fields in parts.values():
        for field in fields.values():
            need = math.prod(field.shape) * np.dtype(field.dtype or spec.precision).itemsize
            each, shared = (each + need, shared) if field.each else (each, shared + need)
    if wanted.gradients:  # copies of them in float64
        each += 6 * 8 * sum(math.prod(parts["gradient"][name].shape) for name in "WUb")
    if wanted.on_device:  # what they say in float64
        each += 8 * sum(math.prod(parts[part]["exponent"].shape) for part in LONG)
    return each, shared


def operations(spec: NetworkSpec, window: Window, wanted: Wanted) -> float:
    """Floating-point operations that a network takes, to a factor of two or three.

    Matrix products, and 50 for every number drawn.
    """
    s = Sizes(spec, window)
    forward = 2.0 * s.B * s.G * s.n * (s.n + s.m) * s.T
    sweeps = {"adjoint": 1, "weights": 1, "trajectory": 0}
    total = forward * (1 + sum(sweeps.get(name, 0) for name in wanted.sweeps))
    for name in wanted.sweeps & {"jacobian", "lyapunov"}:
        columns = min(wanted.exponents or s.M, s.M) if name == "lyapunov" else s.M
        total += 2.0 * s.C * columns * s.M * (s.R * s.n + columns) * s.T
    if wanted.linearisations:
        total += 400.0 * s.M**3 * s.C * VISITS  # as many as are done while LAPACK finds them
    drawn = s.K * s.n * (s.R * s.n + s.G * s.m) + s.T * s.B * s.m
    return total + 50.0 * drawn
