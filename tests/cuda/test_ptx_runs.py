"""The code compiled for a GPU, run without one: what it computes, and whether its lanes race."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ptx.memory import AccessError
from ptx.races import WARP

from gradhorizon.engine import NetworkSpec
from gradhorizon.engine.arguments import random_source
from gradhorizon.engine.chunk import Run
from gradhorizon.engine.cuda import Gpu
from gradhorizon.engine.layout import Wanted
from gradhorizon.engine.place import Law, Memory
from gradhorizon.engine.processor import Processor
from gradhorizon.engine.products import PRODUCTS
from gradhorizon.kernels.bodies.lyapunov import LIMIT
from gradhorizon.kernels.random import TILE

pytestmark = pytest.mark.compiled

BPTT = ("gradient", "weights")


def races(memory: Any) -> list[str]:
    """All that the launches have shown."""
    return [race for _, report in memory.reports for race in report.races]


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_numbers_are_the_same(machine: Any, distribution: str, precision: str) -> None:
    """Uniform numbers to the last bit, normal ones to rounding; a part of a tile, and several."""
    here, memory = Memory(), machine.MachineMemory()
    for length in (1, 2 * TILE + 3, 5 * TILE):
        law = Law(seed=2**63 + 5, stream=3, first=7, scale=1.0, distribution=distribution)
        found = memory.random("x", (2, length), precision, law)
        wanted = here.random("x", (2, length), precision, law)
        bound = 0.0 if distribution == "uniform" else 8 * np.finfo(precision).eps
        np.testing.assert_allclose(found, wanted, rtol=bound, atol=bound)
    assert not races(memory)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_arrays_are_prepared(machine: Any, precision: str) -> None:
    """Transposes are exact, unit vectors so to rounding; more entries than lanes, and fewer."""
    memory, random = machine.MachineMemory(), np.random.default_rng(0)
    for shape in ((2, 3, 5), (1, 17, 19)):
        matrices = memory.put("x", random.standard_normal(shape).astype(precision))
        np.testing.assert_array_equal(memory.transposed("x", matrices), matrices.swapaxes(1, 2))
        lengths = np.linalg.norm(matrices.astype(np.float64), axis=-1, keepdims=True)
        wanted = matrices / lengths
        memory.to_unit_length(matrices)
        bound = shape[-1] * np.finfo(precision).eps
        np.testing.assert_allclose(matrices, wanted, rtol=bound)
    assert not races(memory)


NETWORKS: dict[str, dict[str, Any]] = {
    "small": {"hidden_size": 5},
    "batch norm": {"hidden_size": 3, "normalization": "batch", "batch_size": 4},
    "layer norm": {"hidden_size": 4, "input_size": 2, "normalization": "layer", "batch_size": 2},
    "large": {"hidden_size": 33, "input_size": 7, "skip": 0.5, "branch": 0.5},
}
"""Networks of one kernel: what they differ in is known at the launch. The last has more units than
a warp has lanes."""

KERNELS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "gradient": (("gradient",), {"precision": "float32"}),
    "float32": (BPTT, {"precision": "float32"}),
    "float64": (BPTT, {}),
    "untied": (BPTT, {"tied": False}),
    "lstm": (BPTT, {"cell": "lstm", "bias_scale": 0.5}),
    "gru": (BPTT, {"cell": "gru", "precision": "float32"}),
    "minimal": (BPTT, {"cell": "minimal_rnn", "precision": "float32"}),
    "jacobian": (("trajectory", "jacobian"), {}),
    "lyapunov": (("lyapunov",), {}),
    "lyapunov-float32": (("lyapunov",), {"precision": "float32"}),
}

SHORT = ("gradient",)
"""Kernels that are compiled where there is little time; the others are marked slow."""

WELL_DEFINED: dict[str, Callable[[Any], Any]] = {
    "horizon": lambda steps: 1 / steps,  # as the rate is
    "log_singular_value": lambda logs: np.exp(logs - logs.max(axis=1, keepdims=True)),
}
"""What rounding errors do not amplify: singular values that a norm takes out are nothing else."""

LEFT_OUT = {
    ("jacobian", "large"),
    ("lyapunov-float32", "batch norm"),
    ("lyapunov-float32", "layer norm"),
}
"""The spectral norm of every step takes too long; exponents of directions that a norm takes out are
made of rounding errors, which in float32 are not small."""


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    "kernel",
    [pytest.param(name, marks=() if name in SHORT else pytest.mark.slow) for name in KERNELS],
)
def test_networks_are_those_of_the_cpu(kernel: str) -> None:
    """Three networks in two blocks: every variable, no races, and who keeps weights on the chip."""
    products, fields = KERNELS[kernel]
    for name, others in NETWORKS.items():
        if (kernel, name) in LEFT_OUT:
            continue
        spec, gpu = NetworkSpec(**fields, **others), Gpu()
        gpu.places = lambda shared: 2  # type: ignore[method-assign]
        gpu.memory.lanes = WARP if name == "small" else 2 * WARP
        compare(gpu, spec, products, steps=3)
        assert races(gpu.memory) == [], name
        assert gpu.memory.reports[-1][0].endswith("resident") == spec.tied


def compare(gpu: Gpu, spec: NetworkSpec, products: tuple[str, ...], steps: int) -> None:
    """All variables agree to rounding: sums of n + m terms have an error of as many eps.

    Those of all steps add up. Lyapunov exponents have that of their condition, up to `LIMIT`.
    """
    here, there = (run(device, spec, products, steps) for device in (Processor(), gpu))
    rounding = steps * (spec.hidden_size + spec.input_size) * np.finfo(spec.precision).eps
    for product in products:
        wanted, found = (PRODUCTS[product].measure(run) for run in (here, there))
        bound = rounding + 1 / LIMIT if product == "lyapunov" else rounding
        for name in set(wanted) - {"worst_condition"}:  # which rounding errors make
            well_defined = WELL_DEFINED.get(name, np.array)
            pair = map(well_defined, (found[name], wanted[name]))
            np.testing.assert_allclose(*pair, bound, bound, err_msg=name)


def run(device: Any, spec: NetworkSpec, products: tuple[str, ...], steps: int) -> Run:
    """Three networks after their sweeps."""
    source = random_source(spec, steps, 0, "gaussian", 0, "last")
    return Run.of(source, 0, 3, Wanted.of(products), device)


@pytest.mark.usefixtures("machine")
def test_sweeps_without_barriers_race() -> None:
    """Those of two warps, in shared memory and in arrays."""
    gpu = Gpu()
    gpu.memory.edit = without_barriers
    run(gpu, NetworkSpec(**NETWORKS["large"], **KERNELS["gradient"][1]), ("gradient",), steps=2)
    found = gpu.memory.reports[-1][1].races
    for space in ("shared", "global"):
        assert any(f"{space} byte" in race for race in found)


def test_a_barrier_left_out_shows_or_is_not_needed(memory: Any) -> None:
    """Of a sum over the lanes of two warps: one barrier of its code at a time."""
    rows = np.random.default_rng(0).standard_normal((1, 50))
    memory.to_unit_length(right := memory.put("x", rows))
    barriers, found = memory.reports[-1][1].counts["barrier"].warps // 2, 0
    for left_out in range(barriers):
        memory.edit = lambda text, k=left_out: without_barriers(text, only=k)
        memory.to_unit_length(got := memory.put("x", rows))
        if memory.reports[-1][1].races:
            found += 1
        else:
            np.testing.assert_array_equal(got, right)
    assert 0 < found < barriers


@pytest.mark.usefixtures("machine")
def test_too_little_shared_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """By one number: the weights that stay on the chip are the last there."""
    from gradhorizon.engine import cuda as engine

    spec = NetworkSpec(**NETWORKS["small"], **KERNELS["gradient"][1])
    ask = engine.shared_bytes
    item = np.dtype(spec.precision).itemsize
    monkeypatch.setattr(engine, "shared_bytes", lambda *given: (ask(*given)[0] - item, True))
    with pytest.raises(AccessError, match=r"st.shared.f32 .*outside of all arrays"):
        run(Gpu(), spec, ("gradient",), steps=2)


def without_barriers(text: str, only: int | None = None) -> str:
    """The code without its barriers, or without one of them."""
    lines = text.splitlines()
    barriers = [i for i, line in enumerate(lines) if "bar.sync" in line]
    for i in barriers if only is None else barriers[only : only + 1]:
        lines[i] = ""
    return "\n".join(lines)
