"""Instructions become steps: operands get places in a list of numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from . import operations
from .gates import Barrier, Shuffle, WarpBarrier
from .operations import KINDS
from .program import Instruction, Program, UnknownError
from .steps import Compute, Fence, Guarded, Jump, Transfer, Unpack

ADDRESS = re.compile(r"\[([%\w$.]+)(?:\+(-?\d+))?\]")
SPECIAL = re.compile(r"%(tid|ntid|ctaid|nctaid)\.[xyz]|%laneid|%dynamic_smem_size|%shared")
CONVERSIONS = {"cvta.shared.u64": np.add, "cvta.to.shared.u64": np.subtract}
FENCES = ("membar.cta", "membar.gl")
TRANSFER = re.compile(r"(ld|st)(?:\.(global|shared))?(?:\.v[24])?\.([bsuf]\d+)")


class Decoder:
    """The steps of a program, and where their numbers are.

    Attributes
    ----------
    registers : dict
        Format by place: of numbers that steps write.
    constants : dict
        What a place holds from the start, by name: an address, a parameter, ``%tid.x``, ...; or
        the number itself.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.registers: dict[int, Any] = {}
        self.constants: dict[int, Any] = {}
        self._places: dict[tuple[str, str], int] = {}
        self.steps = [self._step(instruction) for instruction in program.instructions]

    def _step(self, instruction: Instruction) -> Any:
        _, guard, opcode, operands = instruction
        try:
            if opcode in ("bra", "bra.uni", "ret"):
                to = self.program.labels[operands[0]] if operands else None
                return Jump(self._guard(guard) if guard else None, to)
            step = self._plain(opcode, operands)
        except (UnknownError, KeyError, ValueError) as error:
            raise UnknownError(f"{instruction}: {error}") from error
        if guard and step.control:
            raise UnknownError(f"{instruction}: a guard")
        return Guarded(self._guard(guard), step) if guard else step

    def _plain(self, opcode: str, operands: tuple[str, ...]) -> Any:
        if opcode == "bar.sync" and operands == ("0",):
            return Barrier()
        if opcode in FENCES:
            return Fence()
        if opcode == "bar.warp.sync":
            return WarpBarrier(self._source(operands[0], "b32"))
        if opcode in CONVERSIONS:  # an address of shared memory, and one of all memory
            texts = [operands[1], "%shared"]
            return self._compute(CONVERSIONS[opcode], ("s64",) * 2, "s64", operands[0], texts)
        if opcode.startswith("shfl.sync."):
            return self._shuffle(opcode.split(".")[2], operands)
        if found := TRANSFER.fullmatch(opcode):
            return self._transfer(*found.groups(), *operands)
        if opcode == "mov.b64" and operands[0].startswith("{"):
            return Unpack(
                self._source(operands[1], "s64"), list(map(self._target, listed(operands[0])))
            )
        if opcode == "mov.b64" and operands[1].startswith("{"):
            return self._compute(pack, ("s32", "s32"), "s64", operands[0], listed(operands[1]))
        if opcode.startswith("ld.param."):
            operands = operands[0], operands[1][1:-1]
        function, kinds, result = operations.find(opcode)
        return self._compute(function, kinds, result, operands[0], list(operands[1:]))

    def _compute(
        self, function: Callable[..., Any], kinds: Any, result: str, target: str, texts: list[str]
    ) -> Compute:
        """Steps read registers as what their opcodes say, and write them as what they are."""
        sources = [self._source(*pair) for pair in zip(texts, kinds, strict=True)]
        place = self._target(target)
        wanted = [KINDS[kind] for kind in kinds]
        held = [self.registers.get(s, want) for s, want in zip(sources, wanted, strict=True)]
        own = self.registers[place]
        if held == wanted and KINDS[result] == own:
            return Compute(function, sources, place)

        def adapted(*values: Any) -> Any:
            read = [as_kind(v, w) for v, w in zip(values, wanted, strict=True)]
            return as_kind(function(*read), own)

        return Compute(adapted, sources, place)

    def _transfer(
        self, direction: str, space: str | None, kind: str, first: str, second: str
    ) -> Transfer:
        at, numbers = (second, first) if direction == "ld" else (first, second)
        name, offset = ADDRESS.fullmatch(at).groups()  # type: ignore[union-attr]
        address = self._source(name, "s64"), int(offset or 0)
        place_of = self._source if direction == "st" else lambda text, _: self._target(text)
        places = [place_of(text, kind) for text in listed(numbers)]
        step = Transfer(address, KINDS[kind], places)
        step.shared, step.stores = space == "shared", direction == "st"
        return step

    def _shuffle(self, mode: str, operands: tuple[str, ...]) -> Shuffle:
        targets = [self._target(text) for text in operands[0].split("|")]
        given, lane, clamp, members = (self._source(text, "s32") for text in operands[1:])
        return Shuffle(mode, targets, (given, lane, clamp), members)

    def _guard(self, text: str) -> tuple[int, bool]:
        return self._source(text.lstrip("!"), "pred"), not text.startswith("!")

    def _target(self, text: str) -> int:
        prefix = text.rstrip("0123456789")
        kind = self.program.registers[prefix]
        place = self._place(text, "")
        self.registers[place] = KINDS[kind]
        return place

    def _source(self, text: str, kind: str) -> int:
        if text.rstrip("0123456789") in self.program.registers:
            return self._target(text)
        place = self._place(text, kind)
        if place not in self.constants:
            self.constants[place] = self._constant(text, KINDS[kind])
        return place

    def _constant(self, text: str, kind: Any) -> Any:
        if text in self.program.shared:
            return kind.type(0)
        if text in self.program.parameters or SPECIAL.fullmatch(text):
            return text, kind
        bits = {"0f": "u4", "0d": "u8"}.get(text[:2])
        if bits:
            return np.array(int(text[2:], 16), bits).view(bits.replace("u", "f"))[()]
        return np.array(int(text, 0) % 2 ** (8 * kind.itemsize), f"u{kind.itemsize}").view(kind)[()]

    def _place(self, text: str, kind: str) -> int:
        return self._places.setdefault((text, kind), len(self._places))


def listed(text: str) -> list[str]:
    """``{a, b}`` or ``a`` as a list."""
    return text.strip("{}").replace(" ", "").split(",")


def pack(low: Any, high: Any) -> Any:
    """Two registers of 32 bits as one of 64."""
    return np.stack((low, high), axis=1).reshape(-1).view("i8")


def as_kind(value: Any, kind: Any) -> Any:
    """The same bits in another format; the lower ones where it is narrower."""
    if value.dtype == kind:
        return value
    if value.dtype.itemsize == kind.itemsize:
        return value.view(kind)
    if kind.kind == "f" or value.dtype.kind == "f":
        raise TypeError(f"{value.dtype} as {kind}")
    narrow = value.astype(f"{value.dtype.kind}{kind.itemsize}")
    return narrow.view(kind)
