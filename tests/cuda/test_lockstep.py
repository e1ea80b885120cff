"""The order in which the simulator runs threads shows a barrier that is missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import cuda

THREADS = 4

pytestmark = pytest.mark.simulated


def neighbours(barriers: int, towards: int) -> Any:
    """What every thread finds of its neighbour's number, with or without a barrier between."""

    @cuda.jit
    def kernel(numbers: Any, found: Any) -> None:
        i = cuda.threadIdx.x
        numbers[i] = i + 1
        for _ in range(barriers):
            cuda.syncthreads()
        found[i] = numbers[(i + towards) % THREADS]

    numbers, found = np.zeros(THREADS), np.zeros(THREADS)
    kernel[1, THREADS](numbers, found)
    return found


@pytest.mark.parametrize("towards", [-1, 1])
@pytest.mark.usefixtures("order")
def test_a_missing_barrier_gives_wrong_numbers(towards: int) -> None:
    """In either order, whichever neighbour is looked at: one of them is late or the ends meet."""
    right = np.roll(1.0 + np.arange(THREADS), -towards)
    np.testing.assert_array_equal(neighbours(1, towards), right)
    assert (neighbours(0, towards) != right).any()


@pytest.mark.usefixtures("order")
def test_a_barrier_that_some_threads_leave_out_is_an_error() -> None:
    """Whether the others then end, or come to another one."""

    @cuda.jit
    def left_out() -> None:
        if cuda.threadIdx.x > 1:
            cuda.syncthreads()

    @cuda.jit
    def elsewhere() -> None:
        if cuda.threadIdx.x > 1:
            cuda.syncthreads()
        else:
            cuda.syncthreads()

    for kernel in (left_out, elsewhere):
        with pytest.raises(AssertionError, match="different barriers"):
            kernel[1, THREADS]()
