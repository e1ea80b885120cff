"""What the machine could do at best: its rates, measured, and what a job asks for, counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

from gradhorizon.engine import measure, sample, single_threaded_blas
from gradhorizon.kernels.cells import CELLS

from .jobs import Job
from .ours import THREADS, interval

GEMM_SIZE, GEMM_REPEATS = 768, 4
COPY_BYTES = 2**26
"""Of each thread's two arrays, far beyond any cache."""


def operations(job: Job) -> int:
    """Additions and multiplications of a job's matrix products; pointwise work is left out.

    Per network, step and sequence: 2 n^2 for W h of every gate that reads h and 2 n m for U x of
    every gate; for the product ``gradient`` 2 n^2 more, for W^T delta; for ``weights`` as much as
    W h and U x again, for the sums dW and dU. Back-propagation with all of them takes 10 n^2 in
    the plain network. The product of Jacobians: 2 n^3 for one product of matrices a step; Lyapunov
    exponents: as much, and 2 n^3 for Gram-Schmidt's Q and R of every interval, as ours chooses it.
    """
    cell, n, m = CELLS[job.cell], job.n, job.spec.input_size
    recurrent, driven = 2 * cell.recurrent * n * n, 2 * len(cell.gates) * n * m
    each = recurrent + driven
    if "gradient" in job.products:
        each += recurrent
    if "weights" in job.products:
        each += recurrent + driven
    if "jacobian" in job.products:
        each += 2 * n**3
    if "lyapunov" in job.products:
        each += 2 * n**3 + 2 * n**3 / interval(job)
    return round(job.N * job.T * job.batch_size * each)


def moved_bytes(job: Job) -> int:
    """Bytes of the arrays of the ensemble and of the results; each has to be moved once."""
    one = sample(job.spec, 1, job.T, burn_in=0)
    found = measure(job.spec, networks=1, steps=job.T, burn_in=0, products=job.products)
    return job.N * sum(a.nbytes for data in (one, found) for a in data.data_vars.values())


def seconds(job: Job, gemm_rate: float, copy_rate: float) -> float:
    """The least time of a job whose ensemble lies in memory: the slower of counting and moving.

    max(operations / rate of large matrix products, bytes / rate of large copies), both cores at
    work. Pointwise work is free here, and small matrices are as fast as large ones.
    """
    return max(operations(job) / gemm_rate, moved_bytes(job) / copy_rate)


def gemm_rate(precision: str, size: int = GEMM_SIZE) -> float:
    """Operations per second of matrix products, some on each of two threads."""
    arrays = _arrays(precision, (size, size), 3)

    def multiply(k: int) -> None:
        left, right, out = arrays[k]
        for _ in range(GEMM_REPEATS):
            np.matmul(left, right, out=out)

    return THREADS * GEMM_REPEATS * 2 * size**3 / _together(multiply)


def copy_rate(size: int = COPY_BYTES) -> float:
    """Bytes per second, read and written, of copies on two threads."""
    arrays = _arrays("uint8", (size,), 2)

    def copy(k: int) -> None:
        source, target = arrays[k]
        np.copyto(target, source)

    return THREADS * 2 * size / _together(copy)


@cache
def _arrays(dtype: str, shape: tuple[int, ...], count: int) -> list[list[Any]]:
    """Arrays of each thread, touched here so that the system has mapped them."""
    return [[np.ones(shape, dtype) for _ in range(count)] for _ in range(THREADS)]


def _together(work: Callable[[int], Any]) -> float:
    """Seconds that two threads take, from when both are ready."""
    barrier = threading.Barrier(THREADS + 1)

    def run(k: int) -> None:
        barrier.wait()
        work(k)

    with single_threaded_blas(), ThreadPoolExecutor(THREADS) as executor:
        tasks = [executor.submit(run, k) for k in range(THREADS)]
        barrier.wait()
        start = time.perf_counter()
        for task in tasks:
            task.result()
        return time.perf_counter() - start
