"""The machine that runs compiled code for a GPU (`ptx`): its arithmetic, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numba import cuda

WARP = 32

pytestmark = pytest.mark.compiled


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_multiply_add_rounds_once(memory: Any, precision: str) -> None:
    """The rounding error of a product, exact in rational numbers."""

    def kernel(error: Any, a: Any, b: Any) -> None:
        i = cuda.threadIdx.x
        error[i] = cuda.fma(a[i], b[i], -(a[i] * b[i]))

    a, b = np.random.default_rng(0).standard_normal((2, WARP)).astype(precision)
    error, _ = memory.call(kernel, WARP, np.zeros(WARP, precision), a, b)
    exact = [Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a, b, strict=True)]
    rounded = [Fraction(float(x)) for x in a * b]
    assert [Fraction(float(e)) for e in error] == [
        x - y for x, y in zip(exact, rounded, strict=True)
    ]
    assert (error != 0).all()


def test_integers(memory: Any) -> None:
    """Quotients, remainders, shifts and bits of numbers of either sign, as numpy's."""

    def kernel(out: Any, a: Any, b: Any) -> None:
        i = cuda.threadIdx.x
        out[0, i] = a[i] // b[i]
        out[1, i] = a[i] % b[i]
        out[2, i] = a[i] >> 5
        out[3, i] = a[i] << 7
        out[4, i] = (a[i] & b[i]) ^ 77
        out[5, i] = min(a[i], b[i]) * max(a[i], -b[i])
        out[6, i] = abs(a[i]) | b[i]

    random = np.random.default_rng(0)
    a, b = random.integers(-(2**40), 2**40, WARP), random.integers(1, 2**20, WARP)
    b[::2] *= -1
    out, _ = memory.call(kernel, WARP, np.zeros((7, WARP), np.int64), a, b)
    least, most = np.minimum(a, b), np.maximum(a, -b)
    wanted = [a // b, a % b, a >> 5, a << 7, (a & b) ^ 77, least * most, abs(a) | b]
    np.testing.assert_array_equal(out, wanted)


def test_branches_and_nan(memory: Any) -> None:
    """Lanes take ways of different lengths and meet again; NaN is neither less nor greater."""

    def kernel(out: Any, x: Any) -> None:
        i = cuda.threadIdx.x
        total = 0.0
        for k in range(i % 5):
            total += x[i] * k if x[i] < 0 else -1.0
        if not x[i] < 0 and not x[i] >= 0:
            total = float(i)
        out[i] = total

    x = np.random.default_rng(0).standard_normal(WARP)
    x[7] = np.nan
    out, report = memory.call(kernel, WARP, np.zeros(WARP), x)
    wanted = [
        i if np.isnan(v) else sum(v * k if v < 0 else -1.0 for k in range(i % 5))
        for i, v in enumerate(x)
    ]
    np.testing.assert_allclose(out, wanted, rtol=1e-15)
    assert report.counts["branch"].warps > 1


MOVES: dict[str, Callable[[Any], Any]] = {
    "xor": lambda lane: lane ^ 5,
    "up": lambda lane: np.where(lane >= 3, lane - 3, lane),
    "down": lambda lane: np.where(lane < WARP - 3, lane + 3, lane),
    "one": lambda lane: np.full_like(lane, 9),
}


@pytest.mark.parametrize("precision", ["float64", "float32", "int64"])
def test_shuffles(memory: Any, precision: str) -> None:
    """Every kind, in each of two warps; numbers of 64 bits go in two halves."""

    def kernel(out: Any, x: Any) -> None:
        i = cuda.threadIdx.x
        out[0, i] = cuda.shfl_xor_sync(-1, x[i], 5)
        out[1, i] = cuda.shfl_up_sync(-1, x[i], 3)
        out[2, i] = cuda.shfl_down_sync(-1, x[i], 3)
        out[3, i] = cuda.shfl_sync(-1, x[i], 9)

    x = (1000 * np.random.default_rng(0).standard_normal(2 * WARP)).astype(precision)
    out, report = memory.call(kernel, x.size, np.zeros((4, x.size), precision), x)
    lane, first = np.arange(x.size) % WARP, np.arange(x.size) // WARP * WARP
    np.testing.assert_array_equal(out, [x[first + move(lane)] for move in MOVES.values()])
    words = max(1, x.itemsize // 4)
    assert report.counts["shuffle"] == (len(MOVES) * words * x.size, len(MOVES) * words * 2)


def test_lanes_that_wait_for_ever(memory: Any) -> None:
    """At a barrier that some leave out, and for a lane that takes no part in a shuffle."""
    from ptx.block import DeadlockError

    def left_out(out: Any) -> None:
        if cuda.threadIdx.x > 1:
            cuda.syncthreads()
        out[cuda.threadIdx.x] = 1.0

    def alone(out: Any) -> None:
        i = cuda.threadIdx.x
        if i > 1:
            out[i] = cuda.shfl_xor_sync(-1, out[i], 1)

    for kernel, what in ((left_out, "bar.sync"), (alone, "shfl.sync")):
        with pytest.raises(DeadlockError, match=what):
            memory.call(kernel, WARP, np.zeros(WARP))


def test_executions_are_counted(memory: Any) -> None:
    """By every thread, and by every warp that has one at work."""

    def kernel(out: Any, times: int) -> None:
        i = cuda.threadIdx.x
        total = out[i]
        if i < WARP + 5:
            for _ in range(times):
                total = cuda.fma(total, total, 1.0)
        out[i] = total

    _, report = memory.call(kernel, 3 * WARP, np.zeros(3 * WARP), 7)
    assert report.counts["fma"] == (7 * (WARP + 5), 7 * 2)
    for name in ("global load", "global store"):
        assert report.counts[name] == (3 * WARP, 3)


def test_an_unknown_instruction_is_an_error(memory: Any) -> None:
    """And is named."""
    from ptx.program import UnknownError

    def kernel(out: Any) -> None:
        cuda.syncthreads()
        out[cuda.threadIdx.x] = 1.0

    memory.edit = lambda text: text.replace("bar.sync", "bar.arrive")
    with pytest.raises(UnknownError, match=r"bar\.arrive"):
        memory.call(kernel, WARP, np.zeros(WARP))
