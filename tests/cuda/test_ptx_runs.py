"""The code compiled for a GPU, run without one: what it computes, and whether its lanes race."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gradhorizon.engine import NetworkSpec
from gradhorizon.engine.arguments import random_source
from gradhorizon.engine.chunk import Run
from gradhorizon.engine.layout import Wanted
from gradhorizon.engine.place import Law, Memory
from gradhorizon.engine.processor import Processor
from gradhorizon.engine.products import PRODUCTS
from gradhorizon.kernels.random import TILE

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(
        os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0", reason="the simulator compiles nothing"
    ),
]

BPTT = ("gradient", "weights")


@pytest.fixture(scope="module")
def device() -> Iterator[Any]:
    """The engine's GPU made of the machine: the module that makes it."""
    from ptx import device

    with device.installed():
        yield device


def races(memory: Any) -> list[str]:
    """All that the launches have shown."""
    return [race for _, report in memory.reports for race in report.races]


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_numbers_are_the_same(device: Any, distribution: str, precision: str) -> None:
    """Uniform numbers to the last bit, normal ones to rounding; a part of a tile, and several."""
    here, memory = Memory(), device.MachineMemory()
    for length in (1, 2 * TILE + 3, 9 * TILE):
        law = Law(seed=2**63 + 5, stream=3, first=7, scale=1.0, distribution=distribution)
        found = memory.random("x", (2, length), precision, law)
        wanted = here.random("x", (2, length), precision, law)
        bound = 0.0 if distribution == "uniform" else 8 * np.finfo(precision).eps
        np.testing.assert_allclose(found, wanted, rtol=bound, atol=bound)
    assert not races(memory)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_arrays_are_prepared(device: Any, precision: str) -> None:
    """Transposes are exact, unit vectors so to rounding; more entries than lanes, and fewer."""
    memory, random = device.MachineMemory(), np.random.default_rng(0)
    for shape in ((2, 3, 5), (1, 17, 19)):
        matrices = memory.put("x", random.standard_normal(shape).astype(precision))
        np.testing.assert_array_equal(memory.transposed("x", matrices), matrices.swapaxes(1, 2))
        lengths = np.linalg.norm(matrices.astype(np.float64), axis=-1, keepdims=True)
        wanted = matrices / lengths
        memory.to_unit_length(matrices)
        bound = shape[-1] * np.finfo(precision).eps
        np.testing.assert_allclose(matrices, wanted, rtol=bound)
    assert not races(memory)


def compare(gpu: Any, spec: NetworkSpec, products: tuple[str, ...], steps: int) -> None:
    """Three networks in two blocks, every variable; no races.

    Rounding errors grow by that of a product of n terms in each step: 2 (n + 10) eps, where 10 is
    for the nonlinearity and what is added.
    """
    source = random_source(spec, steps, 0, "gaussian", 0, "last")
    gpu.places = lambda shared: 2
    here, there = (Run.of(source, 0, 3, Wanted.of(products), d) for d in (Processor(), gpu))
    bound = 2 * (spec.hidden_size + 10) * steps * np.finfo(spec.precision).eps
    for product in products:
        wanted, found = (PRODUCTS[product].measure(run) for run in (here, there))
        for name in wanted:
            np.testing.assert_allclose(found[name], wanted[name], bound, bound, err_msg=name)
    assert not races(gpu.memory)
