"""Kernels compiled for GPUs that are not here: what their code must not contain."""

from __future__ import annotations

import itertools
import os
import re
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
import pytest
from numba import cuda, types

from gradhorizon.engine import NetworkSpec, processor
from gradhorizon.engine.arguments import random_source
from gradhorizon.engine.chunk import Run
from gradhorizon.engine.layout import Wanted
from gradhorizon.kernels.cells import CELLS

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(
        os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0", reason="the simulator compiles nothing"
    ),
]

JOBS = {
    "gradient": ("gradient",),
    "weights": ("trajectory", "gradient", "weights"),
    "jacobian": ("jacobian",),
    "lyapunov": ("lyapunov",),
}

SHORT = {("rnn", "gradient", "float32", (9, 0))}
"""What is compiled where there is little time; the others are marked slow."""

LACKING = {
    ("rnn", "gradient", "float64", (8, 0)),
    ("rnn", "weights", "float32", (8, 0)),
    ("rnn", "weights", "float64", (8, 0)),
    ("rnn", "weights", "float32", (9, 0)),
    ("rnn", "weights", "float64", (9, 0)),
}
"""A known fault: the assembler wants more registers than there are. At 9.0 the weights lack 8 to
11, since the terms of each sequence have a power of two."""


def marks_of(case: tuple[Any, ...]) -> list[Any]:
    """Marks of a kernel: whether its test is of the long form, and whether it is known to fail."""
    marks = [] if case in SHORT else [pytest.mark.slow]
    if case in LACKING:
        marks.append(pytest.mark.xfail(strict=True, reason="spills registers"))
    return marks


def cases() -> list[Any]:
    """(cell, job, precision, capability): every cell, and every product."""
    found = [
        *itertools.product(CELLS, ["gradient"], ["float32"], [(8, 0), (9, 0)]),
        *itertools.product(["rnn"], JOBS, ["float32", "float64"], [(8, 0), (9, 0)]),
    ]
    return [pytest.param(*case, marks=marks_of(case)) for case in dict.fromkeys(found)]


@pytest.fixture
def _compiles_for(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    """What device functions are compiled for: numba asks a GPU, and there is none."""
    from numba.cuda import dispatcher

    from gradhorizon.kernels import specialise

    monkeypatch.setattr(specialise, "_compiled", {})
    found = SimpleNamespace(compute_capability=capability)
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: found)


def ptx(
    spec: NetworkSpec, products: tuple[str, ...], cc: tuple[int, int], resident: bool = True
) -> str:
    """The code of the kernel that measures some products."""
    from gradhorizon.kernels.cuda_library import sweeps_kernel

    wanted = Wanted.of(products)
    make = sweeps_kernel.__wrapped__
    kernel = make(spec.cell, spec.activation, spec.precision, wanted.sweeps, resident)
    code, _ = cuda.compile_ptx(kernel.py_func, arguments(spec, wanted), cc=cc)
    return str(code)


def arguments(spec: NetworkSpec, wanted: Wanted) -> tuple[Any, ...]:
    """Types of the kernel's arguments: those of a chunk of the CPU."""
    found = []
    original = processor.run_sweeps
    processor.run_sweeps = lambda *given: found.extend(given[-2:])  # type: ignore[assignment]
    try:
        source = random_source(spec, 3, 0, "gaussian", 0, "last")
        Run.of(source, 0, 2, wanted, processor.Processor())
    finally:
        processor.run_sweeps = original
    return types.intp, *map(numba.typeof, found)


@pytest.mark.usefixtures("_compiles_for")
@pytest.mark.parametrize("capability", [(8, 0), (9, 0)])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_kernels_that_draw_compile(precision: str, capability: tuple[int, int]) -> None:
    """Random numbers, transposes and unit vectors: float32 stays float32, all in registers."""
    from gradhorizon.kernels import cuda_library

    real = getattr(types, precision)
    law = types.uint64, types.intp, types.intp, real, real[:, ::1]
    fill, prepare = cuda_library.fill_kernel.__wrapped__, cuda_library.prepare_kernel.__wrapped__
    kernels = [
        (fill("normal", precision), law),
        (fill("uniform", precision), law),
        (prepare("transpose", precision), (real[:, :, ::1], real[:, :, ::1])),
        (prepare("to_unit_length", precision), (real[:, ::1],)),
    ]
    for kernel, kinds in kernels:
        code, _ = cuda.compile_ptx(kernel.py_func, kinds, cc=capability)
        assert ".local" not in code
        assert (".f64" in code) == (precision == "float64")


@pytest.mark.usefixtures("_compiles_for")
@pytest.mark.parametrize("capability", [(8, 0), (9, 0)])
def test_statistics_compile(capability: tuple[int, int]) -> None:
    """Statistics over networks, of results in either precision: all in registers."""
    from gradhorizon.kernels import cuda_library

    single, double = types.float32, types.float64
    size, integer, mask = types.intp, types.int32, types.uint8[::1]
    chosen = double[:, ::1], size, mask, double, size, double[:, ::1]
    kernels = [
        ("gather", (double[:, ::1], size, double[:, ::1])),
        ("gather", (integer[:, ::1], size, integer[:, ::1])),
        ("moments", chosen),
        ("log_sum", chosen),
    ]
    for real in (single, double):
        squares = real[:, ::1], integer[:, ::1], types.boolean, double[:, ::1]
        variances = real[:, :, ::1], integer[:, :, ::1], double[:, ::1]
        kernels += [("log_norms", squares), ("mean_variances", variances)]
    for name, kinds in kernels:
        kernel = cuda_library.statistics_kernel.__wrapped__(name)
        code, _ = cuda.compile_ptx(kernel.py_func, kinds, cc=capability)
        assert ".local" not in code
        used = resources(code, capability)
        assert used["stack"] == used["spilled"] == 0


reduction: Any = None


def reduce_once(numbers: Any, found: Any) -> None:
    """A reduction by itself."""
    found[cuda.threadIdx.x] = reduction(numbers[cuda.threadIdx.x])


@pytest.mark.usefixtures("_compiles_for")
@pytest.mark.parametrize("capability", [(8, 0), (9, 0)])
@pytest.mark.parametrize("name", ["total", "largest", "largest_integer"])
def test_reductions_are_shuffles(name: str, capability: tuple[int, int]) -> None:
    """Five exchanges in a warp, of both halves of a long number, and at most two barriers.

    No sum takes part in a fused multiply-add, which would differ from lane to lane.
    """
    from gradhorizon.kernels.cuda_library import BINDINGS, for_cuda
    from gradhorizon.kernels.specialise import specialise
    from gradhorizon.kernels.targets import cuda_reductions

    kind = types.int64 if name == "largest_integer" else types.float32
    bound = {"reduction": getattr(cuda_reductions, name), **BINDINGS["float32"]}
    kernel: Any = specialise(reduce_once, f"{name}_once", compiler=for_cuda, **bound)
    code, _ = cuda.compile_ptx(kernel.py_func, (kind[::1], kind[::1]), cc=capability)
    assert code.count("shfl.sync") == 5 * kind.bitwidth // 32
    assert 1 <= len(re.findall(r"\b(?:bar|barrier)\.sync", code)) <= 2
    assert "bar.warp.sync" in code
    assert not re.search(r"\bfma|\badd(\.ftz)?\.f", code)
    assert ("add.rn" in code) == (name == "total")


def resources(code: str, cc: tuple[int, int]) -> dict[str, int]:
    """What the assembler says of a kernel: registers, and bytes that did not fit into them."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    options = LinkerOptions(arch=f"sm_{cc[0]}{cc[1]}", ptxas_options=["-v"], verbose=True)
    linker = Linker(ObjectCode.from_ptx(code.encode()), options=options)
    linker.link("cubin")
    log = linker.get_info_log()
    registers = re.search(r"Used (\d+) registers", log)
    frames = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores", log)
    assert registers and frames, log
    return {
        "registers": int(registers[1]),
        "stack": max(int(stack) for stack, _ in frames),  # of the kernel and what it calls
        "spilled": max(int(spilled) for _, spilled in frames),
    }


@pytest.mark.usefixtures("_compiles_for")
@pytest.mark.parametrize("cell, job, precision, capability", cases())
def test_kernels_compile(cell: str, job: str, precision: str, capability: tuple[int, int]) -> None:
    """float32 stays float32, shared memory is read in vectors, and all fits into registers.

    Lyapunov exponents are computed in float64; they, and the explicit product, take more than the
    255 registers that a thread can have: what is left over is bounded.
    """
    code = ptx(NetworkSpec(cell=cell, precision=precision), JOBS[job], capability)
    if precision == "float32" and job != "lyapunov":
        assert ".f64" not in code
    assert f"ld.shared.f{precision[-2:]}" in code
    assert {"float32": "ld.shared.v4.f32", "float64": "ld.shared.v2.f64"}[precision] in code
    used = resources(code, capability)
    if job in ("gradient", "weights"):
        assert ".local" not in code
        assert used["stack"] == used["spilled"] == 0
    else:
        assert used["spilled"] <= 1024


@pytest.mark.usefixtures("_compiles_for")
@pytest.mark.parametrize("capability", [(9, 0)])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_products_of_matrices_are_not_bound_by_loads(
    precision: str, capability: tuple[int, int]
) -> None:
    """Two multiply-adds for every number loaded, 16 bytes at a time; all sums in registers."""
    from numba import cuda

    from gradhorizon.kernels.cuda_library import BINDINGS, for_cuda
    from gradhorizon.kernels.specialise import specialise
    from gradhorizon.kernels.targets.cuda_tiles import multiply

    kernel = specialise(multiply, f"cuda_{precision}", compiler=for_cuda, **BINDINGS[precision])
    matrix = getattr(types, precision)[:, ::1]
    code, _ = cuda.compile_ptx(kernel.py_func, (matrix, matrix, matrix), cc=capability)
    inner = max(loops(code), key=lambda body: body.count("fma.rn"))
    loads = re.findall(rf"ld\.shared\.v(\d)\.f{precision[-2:]}", inner)
    numbers = sum(map(int, loads))
    assert inner.count("fma.rn") >= 2 * numbers > 0
    assert len(re.findall(r"\bld\b", inner)) * 16 == numbers * np.dtype(precision).itemsize
    assert ".local" not in code


def loops(code: str) -> list[str]:
    """Bodies of the innermost loops: from a label to a jump back, and no label between."""
    label = r"\$L__BB\w+"
    found = re.findall(rf"^({label}):\n((?:(?!{label}:).*\n)*?).*\bbra\s+\1;", code, re.MULTILINE)
    return [body for _, body in found]
