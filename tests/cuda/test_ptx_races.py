"""The machine that runs compiled code for a GPU (`ptx`): what it finds wrong with memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import cuda, float32

WARP = 32

pytestmark = pytest.mark.compiled


def neighbours(out: Any, x: Any) -> None:
    """Out = the next lane's number, through shared memory."""
    room = cuda.shared.array(0, float32)
    i = cuda.threadIdx.x
    room[i] = x[i]
    cuda.syncthreads()
    out[i] = room[(i + 1) % cuda.blockDim.x]


def without_barriers(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if "bar.sync" not in line)


def test_a_missing_barrier_is_a_race(memory: Any) -> None:
    """Of one warp and of two: lanes of a warp wait for nobody by themselves."""
    for lanes in (WARP, 2 * WARP):
        x = np.arange(lanes, dtype=np.float32)
        memory.edit = lambda text: text
        out, report = memory.call(neighbours, lanes, 0 * x, x, shared=x.nbytes)
        np.testing.assert_array_equal(out, np.roll(x, -1))
        assert report.races == []
        memory.edit = without_barriers
        _, report = memory.call(neighbours, lanes, 0 * x, x, shared=x.nbytes)
        assert "st.shared" in report.races[0] and "ld.shared" in report.races[0]


def test_what_all_write_is_no_race(memory: Any) -> None:
    """If it is the same, and nobody reads it who has not written it."""

    def write(out: Any) -> None:
        out[0] = 3.0

    def write_own(out: Any) -> None:
        out[0] = cuda.threadIdx.x

    def read_after(out: Any) -> None:
        out[0] = 3.0
        cuda.threadfence_block()  # or the compiler knows what is read
        out[cuda.threadIdx.x + 1] = out[0]

    def read_before(out: Any) -> None:
        before = out[0]
        out[0] = 3.0
        out[cuda.threadIdx.x + 1] = before

    for kernel, races in ((write, 0), (write_own, 1), (read_after, 0), (read_before, 1)):
        _, report = memory.call(kernel, WARP, np.zeros(WARP + 1))
        assert len(report.races) == races, kernel.__name__


def test_lanes_of_a_warp_wait_for_each_other(memory: Any) -> None:
    """``syncwarp`` orders what they do to memory, and of another warp nothing."""

    def kernel(out: Any, x: Any, towards: int) -> None:
        room = cuda.shared.array(0, float32)
        i = cuda.threadIdx.x
        room[i] = x[i]
        cuda.syncwarp()
        out[i] = room[i ^ towards]

    x = np.arange(2 * WARP, dtype=np.float32)
    for towards, races in ((1, False), (WARP, True)):
        given = np.zeros_like(x), x, towards
        _out, report = memory.call(kernel, x.size, *given, shared=x.nbytes)
        assert bool(report.races) == races


def test_blocks_race(memory: Any) -> None:
    """Two blocks that write different numbers to the same place."""

    def kernel(out: Any, step: int) -> None:
        out[cuda.blockIdx.x * step + cuda.threadIdx.x] = cuda.blockIdx.x

    for step, races in ((WARP, False), (1, True)):
        _, report = memory.call(kernel, WARP, np.zeros(2 * WARP), step, blocks=2)
        assert bool(report.races) == races


def test_addresses(memory: Any) -> None:
    """Beyond an array, and beyond shared memory of too small a size."""
    from ptx.memory import AccessError

    x = np.arange(WARP, dtype=np.float32)
    with pytest.raises(AccessError, match=r"line \d+: ld.global.f32"):
        memory.call(neighbours, WARP, np.zeros_like(x), x[:-1], shared=x.nbytes)
    with pytest.raises(AccessError, match=r"line \d+: st.shared.f32"):
        memory.call(neighbours, WARP, np.zeros_like(x), x, shared=x.nbytes - x.itemsize)


def test_nobody_has_written(memory: Any) -> None:
    """Shared memory and new arrays are not zero: what is read too early shows."""

    def kernel(out: Any, new: Any) -> None:
        i = cuda.threadIdx.x
        out[i] = cuda.shared.array(0, float32)[i] if i % 2 else new[i]

    new = memory.take("", (WARP,), np.float32)
    out = memory.put("", np.zeros(WARP, np.float32))
    memory.launch(cuda.jit(kernel), (1,), WARP, out.nbytes, out, new)
    assert np.isnan(out).all()
