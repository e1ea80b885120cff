"""The CUDA primitives that the sweeps are made of, each by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numba import cuda

from gradhorizon.kernels.cuda_library import BINDINGS, for_cuda
from gradhorizon.kernels.specialise import specialise
from gradhorizon.kernels.targets import cuda_reductions
from gradhorizon.kernels.targets.cuda_recurrent import SPAN, add_product, hold
from gradhorizon.kernels.targets.cuda_room import MOST_LANES, ROOM_BYTES, ROWS
from gradhorizon.kernels.targets.cuda_views import SIMULATED, flat
from gradhorizon.kernels.targets.cuda_warp import WARP

LANES = (WARP, 4) if SIMULATED else (WARP, 2 * WARP, MOST_LANES)
"""One warp, and several."""

GUARD = 7.0


@pytest.fixture(params=["forward", "backward"] if SIMULATED else ["GPU"], autouse=True)
def _either_order(request: pytest.FixtureRequest) -> Iterator[None]:
    """In which order the simulator runs the threads of a block: here, both take little time."""
    if request.param != "backward":
        yield
        return
    import lockstep

    with lockstep.last_thread_first():
        yield


def launch(
    function: Any, name: str, precision: str, lanes: int, kept: int, *arrays: Any, **bindings: Any
) -> None:
    """Run a function in one block, with room for so many numbers that `hold` keeps."""
    kernel: Any = specialise(
        function, f"test_{name}_{precision}", compiler=for_cuda, **bindings, **BINDINGS[precision]
    )
    room = ROOM_BYTES + kept * np.dtype(precision).itemsize
    kernel[1, lanes, 0, room](*arrays)


reduction = cuda_reductions.total


def reduce_rows(numbers, written, found, seen):  # type: ignore[no-untyped-def]
    """One reduction after the other, and what a neighbour wrote before each."""
    lane = cuda.threadIdx.x
    after = (lane + 1) % cuda.blockDim.x
    for k in range(numbers.shape[0]):
        written[lane] = numbers[k, lane]
        found[k, lane] = reduction(numbers[k, lane])
        seen[k, lane] = written[after]
        reduction(numbers[k, lane])


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("name", ["total", "largest", "largest_integer"])
def test_reductions(name: str, precision: str, lanes: int) -> None:
    """The same bits in every lane, and a barrier for what is written before and after."""
    dtype = "int64" if name == "largest_integer" else precision
    numbers = (2.0**40 * np.random.default_rng(0).standard_normal((3, lanes))).astype(dtype)
    written, found, seen = np.zeros(lanes, dtype), np.zeros_like(numbers), np.zeros_like(numbers)
    reduced = {"reduction": getattr(cuda_reductions, name)}
    launch(reduce_rows, name, precision, lanes, 0, numbers, written, found, seen, **reduced)
    np.testing.assert_array_equal(seen, np.roll(numbers, -1, axis=1))
    np.testing.assert_array_equal(found, found[:, :1].repeat(lanes, 1))
    if name == "total":
        bound = np.finfo(precision).eps * np.log2(lanes) * np.abs(numbers).sum(1)
        assert (np.abs(found[:, 0] - numbers.sum(1, dtype="float64")) <= bound).all()
    else:
        np.testing.assert_array_equal(found[:, 0], numbers.max(1))


def product(rows, matrices, out, seen, seen_matrix):  # type: ignore[no-untyped-def]
    """Out += rows @ matrices[1]; what a lane sees of others' numbers, also of matrices[0]."""
    first = flat(hold(matrices[:1]))
    for i in range(cuda.threadIdx.x, first.size, cuda.blockDim.x):
        seen_matrix[i] = first[first.size - 1 - i]
    second = hold(matrices[1:])
    add_product(rows, second[0], out, False)
    for i in range(cuda.threadIdx.x, out.size, cuda.blockDim.x):
        seen[i] = out[out.size - 1 - i]


SHAPES = [(1, 1), (3, 1), (2, 3), (4, 4), (9, 6), (SPAN + 1, 2), (ROWS + 5, 1)]
"""(J, I): fewer columns than lanes and more, and more rows than are staged together."""


@pytest.mark.parametrize("resident", [True, False], ids=["resident", "in device memory"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_products_with_recurrent_weights(count: int, precision: str, resident: bool) -> None:
    """Within J eps sum |a x|; nothing beside `out` is written, nothing beside the matrix read."""
    generator, eps = np.random.default_rng(0), np.finfo(precision).eps
    for inner, width in SHAPES if count in (1, 5) else SHAPES[:-2]:
        rows = generator.standard_normal((count, inner)).astype(precision)
        fenced = np.full((4, inner, width), np.nan, precision)
        matrices = fenced[1:3]
        matrices[:] = generator.standard_normal(matrices.shape)
        guarded = np.full(count * width + 8, GUARD, precision)
        out = guarded[4:-4]
        out[:] = generator.standard_normal(out.size)
        wide, entries = rows.astype(float), matrices[1].astype(float)
        want = out.astype(float) + (wide @ entries).ravel()
        bound = inner * eps * (np.abs(out) + (abs(wide) @ abs(entries)).ravel())
        seen, seen_matrix = np.empty_like(out), np.empty(inner * width, precision)
        name, kept = f"product_{resident}", seen_matrix.size if resident else 0
        arrays = rows.ravel(), matrices, out, seen, seen_matrix
        launch(product, name, precision, LANES[-1], kept, *arrays, RESIDENT=resident)
        np.testing.assert_array_equal(seen, out[::-1])
        np.testing.assert_array_equal(seen_matrix, matrices[0].ravel()[::-1])
        assert (np.abs(out - want) <= bound).all(), (inner, width)
        assert (guarded[:4] == GUARD).all() and (guarded[-4:] == GUARD).all()
