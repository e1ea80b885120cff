"""A float32 kernel must not compute in float64: one bare literal would make it do so."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numba
import pytest
from numba import types
from unit_loops import compiled_loop

from gradhorizon.kernels import collective, math, prepare, random, rows
from gradhorizon.kernels.activations import ACTIVATIONS
from gradhorizon.kernels.bodies import adjoint, factors, forward, mixed, trajectory, weights
from gradhorizon.kernels.graded import frobenius_square, rotate
from gradhorizon.kernels.library import BINDINGS, TILES
from gradhorizon.kernels.precision import FORMATS
from gradhorizon.kernels.specialise import specialise

ARITHMETIC = re.compile(
    r"\b(fadd|fsub|fmul|fdiv|fneg|frem|fpext|fptrunc|fptosi)\b[^\n]*\bdouble\b"
    r"|x double>|call[^\n]*\bdouble @llvm"
)
"""Operations on float64 in LLVM's text. A comparison of array sizes alone may pass."""

f1, f2, f3 = (types.Array(types.float32, d, "C") for d in (1, 2, 3))
word, integer, index = types.uint64, types.int32, types.int64
i1 = types.Array(integer, 1, "C")

PRIMITIVES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "add_recurrent_terms": (forward.add_recurrent_terms, (index, f3, f1, f2)),
    "scale": (collective.scale, (f2, types.float32)),
    "square_norm": (collective.square_norm, (f2,)),
    "normalise": (collective.normalise, (f2,)),
    "normalise_part": (collective.normalise_part, (f2, index, index)),
    "any_between": (mixed.any_between, (f2, index, index, types.float32, types.float32)),
    "joined": (adjoint.joined, (types.float32, index, types.float32, index)),
    "rescale": (rows.rescale, (f1,)),
    "variance": (trajectory.variance, (f1,)),
    "outer_square": (weights.outer_square, (f2, f2, i1, integer)),
    "copy_scaled": (factors.copy_scaled, (f1, types.float32, f1)),
    "pull_to_net": (adjoint.pull_to_net, (f3, f2, f2)),
    "pull_to_state": (adjoint.pull_to_state, (f3, f2, f2)),
    "add_loss": (adjoint.add_loss, (f1, index, f2, i1)),
    "add_skip": (forward.add_skip, (f2, types.float32, types.float32, f2, f3, f3)),
    "rotate": (rotate, (f2, i1, index, index, types.float32)),
    "frobenius_square": (frobenius_square, (f2, i1)),
    "uniform_single": (random.uniform_single, (index, word, word, word, index, f1)),
    "transform": (random.transform, (types.float32, index, f1)),
    "transpose": (prepare.transpose, (f3, f3)),
    "to_unit_length": (prepare.to_unit_length, (f2,)),
}


def llvm(dispatcher: Any, signature: tuple[Any, ...]) -> str:
    dispatcher.compile(signature)
    return str(dispatcher.inspect_llvm(dispatcher.signatures[-1]))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_unit_loops_know_no_double(name: str) -> None:
    """The optimised loop over an activation does not mention the type at all."""
    loop = compiled_loop(ACTIVATIONS[name], "float32", 2, called_from="kernels")
    code = llvm(loop, (f1, f1, f1))
    assert "float" in code
    assert not re.search(r"^(?!declare).*\bdouble\b", code, re.MULTILINE)


@pytest.mark.parametrize("name", ["exp_and_expm1", "sine_cosine_turns", "erfc_and_gauss"])
def test_scalar_functions_know_no_double(name: str) -> None:
    """Nor does the loop over a function of `math`."""
    loop = compiled_loop(getattr(math, name), "float32", 2, called_from="kernels")
    code = llvm(loop, (f1, f1, f1))
    assert not re.search(r"^(?!declare).*\bdouble\b", code, re.MULTILINE)


@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitives_do_no_double_arithmetic(name: str) -> None:
    """The pieces of the sweeps add, multiply and convert nothing in float64."""
    function, signature = PRIMITIVES[name]
    bound = specialise(
        function,
        "inspected_float32",
        called_from="kernels",
        pair=random.normal_pair,
        **BINDINGS["float32"],
    )
    code = llvm(bound, signature)
    assert "float" in code
    assert not ARITHMETIC.search(code)


def test_the_inspection_sees_a_bare_literal() -> None:
    """The same inspection finds float64 in a function that is written wrongly."""

    def wrong(x: Any, out: Any) -> None:
        for i in range(x.size):
            out[i] = 2.1 * x[i]

    assert ARITHMETIC.search(llvm(numba.njit(wrong), (f1, f1)))


PACKED = {"float64": "double", "float32": "float"}


@pytest.mark.parametrize("precision", PACKED)
def test_normal_numbers_are_drawn_several_at_a_time(precision: str) -> None:
    """The loops over a tile are packed: one that is not takes ten times as long."""
    chosen, per_block = TILES[precision]
    bindings = {"pair": random.normal_pair, "fill_uniform": chosen, "NUMBERS_PER_BLOCK": per_block}
    fill = specialise(
        random.fill, f"packed_{precision}", called_from="kernels", **bindings, **FORMATS[precision]
    )
    real = getattr(types, precision)
    code = llvm(fill, (word, index, index, index, real, types.Array(real, 1, "C")))
    name = PACKED[precision]
    for operation in (
        r"mul( nuw)? <\d+ x i64>",
        rf"fdiv contract <\d+ x {name}>",
        rf"sqrt.*<\d+ x {name}>",
    ):
        assert re.search(operation, code), operation
