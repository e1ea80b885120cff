"""What a GPU could do at best: its rates, measured, and what a job asks for, counted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import cuda, float32

from .jobs import Job
from .limit import moved_bytes, operations

MATRIX, COPIED = 8192, 2**30
THREADS, READS = 256, 2**14
ROOM = 2048
"""Numbers of shared memory that the threads of a block read round and round."""


class Limits(NamedTuple):
    """Rates of the device."""

    arithmetic: float  # operations per second of a large float32 matrix product
    device_memory: float  # bytes per second, read and written
    shared_memory: float  # bytes per second, read

    def seconds(self, job: Job) -> tuple[float, float, float]:
        """The least time of a job by each: operations, arrays moved once, weights read each step.

        Recurrent weights that stay in shared memory are read once a step, forward and backward.
        """
        item = np.dtype(job.precision).itemsize
        read = 2 * job.n**2 * job.T * job.N * item
        return (
            operations(job) / self.arithmetic,
            moved_bytes(job) / self.device_memory,
            read / self.shared_memory,
        )

    def __str__(self) -> str:
        moved = f"{self.device_memory / 1e9:.0f} GB/s, shared memory {self.shared_memory / 1e9:.0f}"
        return f"Limits: {self.arithmetic / 1e12:.1f} TFLOP/s, device memory {moved} GB/s."


def measured_limits() -> Limits:
    """Rates of the GPU that is here, by PyTorch's matrix product and copy and a kernel of ours."""
    import torch

    with torch.device("cuda"):
        a, b = torch.randn(MATRIX, MATRIX), torch.randn(MATRIX, MATRIX)
        out = torch.empty_like(a)
        source, target = (
            torch.zeros(COPIED, dtype=torch.uint8),
            torch.empty(COPIED, dtype=torch.uint8),
        )
        product = _seconds(lambda: torch.matmul(a, b, out=out), torch.cuda.synchronize)
        copy = _seconds(lambda: target.copy_(source), torch.cuda.synchronize)
    blocks = 8 * cuda.get_current_device().MULTIPROCESSOR_COUNT
    sums = cuda.device_array(blocks * THREADS, np.float32)
    reads = _seconds(lambda: read_shared[blocks, THREADS](sums), cuda.synchronize)
    return Limits(
        2 * MATRIX**3 / product, 2 * COPIED / copy, 4.0 * blocks * THREADS * READS / reads
    )


def _seconds(work: Callable[[], Any], wait: Callable[[], Any]) -> float:
    best = math.inf
    for _ in range(5):
        start = time.perf_counter()
        work()
        wait()
        best = min(best, time.perf_counter() - start)
    return best


@cuda.jit
def read_shared(sums):  # type: ignore[no-untyped-def]
    """Every thread reads numbers of shared memory; neighbours read neighbouring ones."""
    room = cuda.shared.array(ROOM, float32)
    lane = cuda.threadIdx.x
    for i in range(lane, ROOM, THREADS):
        room[i] = float32(i)
    cuda.syncthreads()
    a = b = c = d = float32(0.0)
    for k in range(0, READS, 4):
        a += room[(lane + 32 * k) & (ROOM - 1)]
        b += room[(lane + 32 * k + 256) & (ROOM - 1)]
        c += room[(lane + 32 * k + 512) & (ROOM - 1)]
        d += room[(lane + 32 * k + 768) & (ROOM - 1)]
    sums[cuda.grid(1)] = a + b + c + d
