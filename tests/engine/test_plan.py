"""How networks are shared out to workers, and what a chunk needs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradhorizon.engine import NetworkSpec, Wanted
from gradhorizon.engine.chunk import Run
from gradhorizon.engine.layout import layout
from gradhorizon.engine.measure import random_source
from gradhorizon.engine.plan import Plan, chunk_bytes
from gradhorizon.engine.processor import Processor


@given(st.integers(1, 9), st.integers(1, 50), st.integers(0, 99), st.integers(1, 2000))
def test_ranges(workers: int, chunk: int, first: int, networks: int) -> None:
    """Every network once and in order, chunks of equal sizes, as many for every worker.

    A larger chunk comes before the smaller ones, so that work arrays are cut anew once at most.
    """
    ranges = Plan(workers, chunk).ranges(first, first + networks)
    assert [k for start, count in ranges for k in range(start, start + count)] == list(
        range(first, first + networks)
    )
    counts = [count for _, count in ranges]
    assert counts == sorted(counts, reverse=True)
    assert min(counts) >= 1 and max(counts) <= min(chunk, min(counts) + 1)
    assert len(ranges) % workers == 0 or max(counts) == 1


@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("tapes", [False, True])
@pytest.mark.parametrize("tied", [False, True])
def test_bytes_of_a_chunk(tied: bool, tapes: bool, gradients: bool) -> None:
    """The plan counts the arrays that a chunk really has."""
    spec = NetworkSpec(cell="lstm", hidden_size=5, input_size=3, batch_size=2, tied=tied)
    source = random_source(spec, 6, 0, "gaussian", 2, "every")
    wanted = Wanted(("weights", "jacobian", "lyapunov", "trajectory"), tapes, gradients)
    run = Run.of(source, 0, 7, wanted, Processor())
    each, shared = chunk_bytes(spec, source.window, wanted)
    copies = 6 * 8 * sum(a[0].size for a in run.arrays.gradient[:3]) if gradients else 0
    sizes = (
        sum(a.nbytes for part in run.arrays for a in part) + run.arrays.ensemble.U_transposed.nbytes
    )
    assert 7 * (each - copies) + shared == sizes  # U itself is not among the arrays


@pytest.mark.parametrize(
    "products, parts",
    [
        ((), set()),
        (("gradient",), {"adjoint"}),
        (("weights",), {"adjoint", "gradient"}),
        (("trajectory", "jacobian"), {"visited", "jacobian"}),
        (("lyapunov",), {"spectrum"}),
    ],
)
def test_what_is_not_asked_for_is_empty(products: tuple[str, ...], parts: set[str]) -> None:
    """Sweeps that do not run have no arrays; there is a tape always."""
    spec = NetworkSpec(hidden_size=5)
    window = random_source(spec, 6, 0, "zero", 0, "last").window
    found = layout(spec, window, Wanted(products))
    empty = {name for name, fields in found.items() if all(0 in f.shape for f in fields.values())}
    assert empty == {"adjoint", "gradient", "visited", "jacobian", "spectrum"} - parts
