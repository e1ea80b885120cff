"""The arithmetic of the instructions, on vectors over the lanes of a block.

Every operation rounds as the instruction does; those that a GPU only approximates (``approx``)
are exact to rounding here. Integers wrap around.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core import types
from numba.extending import intrinsic

from .program import UnknownError

KINDS = {"pred": np.dtype(bool)} | {
    f"{letter}{bits}": np.dtype(f"{numpys}{bits // 8}")
    for letter, numpys in {"b": "i", "u": "u", "s": "i", "f": "f"}.items()
    for bits in (8, 16, 32, 64)
    if letter != "f" or bits >= 32
}
"""Formats of numbers; bits without a meaning (b32) are held as signed integers."""


class Operation(NamedTuple):
    """A function of operands of given kinds; "" is the kind that the opcode names first."""

    function: Callable[..., Any]
    operands: tuple[str, ...]
    result: str = ""


@intrinsic
def fused(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """A b + c, rounded once: the processor's own, or that of its library."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return a(a, a, a), generate


@numba.vectorize([types.float32(*3 * [types.float32]), types.float64(*3 * [types.float64])])
def fma(a, b, c):
    return fused(a, b, c)


def divide(a: Any, b: Any) -> Any:
    """Of floats rounded to nearest, of integers towards zero."""
    return a / b if a.dtype.kind == "f" else (a - np.fmod(a, b)) // b


def multiply_wide(a: Any, b: Any) -> Any:
    """The whole product of integers of 32 bits, in 64."""
    wide = np.dtype(f"{a.dtype.kind}8")
    return a.astype(wide) * b.astype(wide)


def multiply_high(a: Any, b: Any) -> Any:
    """The upper half of a product of integers."""
    bits = 8 * a.dtype.itemsize
    product = [int(x) * int(y) >> bits for x, y in zip(a, b, strict=True)]
    return np.array(product, a.dtype)


def shift_left(a: Any, count: Any) -> Any:
    """Zero from the width on."""
    return np.where(count < 8 * a.dtype.itemsize, a << count.astype(a.dtype), 0).astype(a.dtype)


def shift_right(a: Any, count: Any) -> Any:
    """Nothing but signs, or zeros, from the width on."""
    bits = 8 * a.dtype.itemsize
    shifted = a >> np.minimum(count, bits - 1).astype(a.dtype)
    if a.dtype.kind == "i":
        return shifted
    return np.where(count < bits, shifted, 0).astype(a.dtype)


def insert_bits(field: Any, word: Any, start: Any, length: Any) -> Any:
    """The word with `length` bits of it, from bit `start` on, replaced by those of the field."""
    mask = shift_left(~shift_left(np.full_like(word, -1), length), start)
    return word & ~mask | shift_left(field, start) & mask


def magnitude_and_sign(sign: Any, size: Any) -> Any:
    """PTX names the sign first."""
    return np.copysign(size, sign)


def unordered(opposite: Callable[..., Any]) -> Callable[..., Any]:
    """A comparison that is true of NaN, from the one that is true where it is false."""
    return lambda a, b: ~opposite(a, b)


def differ(a: Any, b: Any) -> Any:
    """False of NaN."""
    return (a < b) | (a > b)


def convert(rounding: Callable[..., Any] | None, kind: str) -> Callable[..., Any]:
    """To another format; floats beyond the range of integers become its ends, NaN zero."""
    to = KINDS[kind]

    def function(a: Any) -> Any:
        if a.dtype.kind != "f" or to.kind == "f":
            return a.astype(to)
        low, high = (float(end) for end in (np.iinfo(to).min, np.iinfo(to).max))
        rounded = np.nan_to_num(rounding(a.astype(np.float64)), nan=0.0)  # type: ignore[misc]
        inside = np.clip(rounded, low, np.nextafter(high, 0.0)).astype(to)
        return np.where(rounded >= high, np.iinfo(to).max, inside).astype(to)

    return function


ONE, TWO, THREE = ("",), ("",) * 2, ("",) * 3

OPERATIONS = {
    "add": Operation(np.add, TWO),
    "add.rn": Operation(np.add, TWO),
    "sub": Operation(np.subtract, TWO),
    "mul": Operation(np.multiply, TWO),
    "mul.lo": Operation(np.multiply, TWO),
    "mul.hi": Operation(multiply_high, TWO),
    "mul.wide": Operation(multiply_wide, TWO, "wide"),
    "mad.lo": Operation(lambda a, b, c: a * b + c, THREE),
    "fma.rn": Operation(fma, THREE),
    "div": Operation(divide, TWO),
    "div.rn": Operation(divide, TWO),
    "rem": Operation(np.fmod, TWO),
    "rcp.rn": Operation(np.reciprocal, ONE),
    "rcp.approx.ftz": Operation(np.reciprocal, ONE),
    "sqrt.rn": Operation(np.sqrt, ONE),
    "abs": Operation(np.abs, ONE),
    "neg": Operation(np.negative, ONE),
    "copysign": Operation(magnitude_and_sign, TWO),
    "min": Operation(np.fmin, TWO),
    "max": Operation(np.fmax, TWO),
    "and": Operation(np.bitwise_and, TWO),
    "or": Operation(np.bitwise_or, TWO),
    "xor": Operation(np.bitwise_xor, TWO),
    "not": Operation(np.invert, ONE),
    "shl": Operation(shift_left, ("", "u32")),
    "shr": Operation(shift_right, ("", "u32")),
    "bfi": Operation(insert_bits, ("", "", "u32", "u32")),
    "selp": Operation(lambda a, b, p: np.where(p, a, b), ("", "", "pred")),
    "mov": Operation(np.copy, ONE),
    "ld.param": Operation(np.copy, ONE),
    "cvta.to.global": Operation(np.copy, ONE),
}

COMPARISONS = {
    "eq": np.equal,
    "ne": differ,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "equ": unordered(differ),
    "neu": np.not_equal,
    "ltu": unordered(np.greater_equal),
    "leu": unordered(np.greater),
    "gtu": unordered(np.less_equal),
    "geu": unordered(np.less),
    "nan": lambda a, b: np.isnan(a) | np.isnan(b),
}

ROUNDINGS = {"cvt": None, "cvt.rn": None, "cvt.rzi": np.trunc, "cvt.rni": np.rint}
"""Of a conversion; numpy rounds to nearest where the result is a float."""


def split(opcode: str) -> tuple[str, list[str]]:
    """``"cvt.rn.f32.s64"`` as ``"cvt.rn"`` and its kinds ``["f32", "s64"]``."""
    parts = opcode.split(".")
    kinds = [part for part in parts if part in KINDS]
    return ".".join(part for part in parts if part not in KINDS), kinds


@cache
def find(opcode: str) -> Operation:
    """The operation of an opcode, with its kinds filled in."""
    name, kinds = split(opcode)
    base, _, comparison = name.partition(".")
    if name in ROUNDINGS and len(kinds) == 2:
        return Operation(convert(ROUNDINGS[name], kinds[0]), (kinds[1],), kinds[0])
    if base == "setp" and comparison in COMPARISONS and len(kinds) == 1:
        return Operation(COMPARISONS[comparison], (kinds[0],) * 2, "pred")
    if name not in OPERATIONS or len(kinds) != 1 or (name == "shr" and kinds[0].startswith("b")):
        raise UnknownError(opcode)
    own = kinds[0]
    function, operands, result = OPERATIONS[name]
    named = {"": own, "wide": f"{own[0]}64"}
    return Operation(function, tuple(o or own for o in operands), named.get(result, result))
