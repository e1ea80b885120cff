"""How often instructions were executed, by what they do."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from .operations import split
from .program import Program

ARITHMETIC = ("add", "sub", "mul", "abs", "neg", "min", "max", "copysign", "setp", "selp")
LONG = ("div", "rcp", "sqrt")


class Count(NamedTuple):
    """Executions by threads, and by warps with at least one of them."""

    threads: int
    warps: int


class Tally:
    """Counts executions of every instruction of a program."""

    def __init__(self, program: Program) -> None:
        self._classes = [classify(i.opcode) for i in program.instructions]
        self._changes = np.zeros((len(self._classes) + 1, 2), np.int64)

    def add(self, first: int, after: int, threads: int, warps: int) -> None:
        """Instructions first, ..., after - 1 were executed."""
        self._changes[first] += threads, warps
        self._changes[after] -= threads, warps

    def by_class(self) -> dict[str, Count]:
        """The sums so far."""
        each = np.cumsum(self._changes, axis=0)[:-1]
        sums: dict[str, Any] = {
            name: np.zeros(2, np.int64) for name in dict.fromkeys(self._classes)
        }
        for name, count in zip(self._classes, each, strict=True):
            sums[name] += count
        return {name: Count(*count.tolist()) for name, count in sums.items()}


@cache
def classify(opcode: str) -> str:
    """What an instruction does; generic addresses count as global ones."""
    name, kinds = split(opcode)
    base = name.split(".")[0]
    if base in ("ld", "st"):
        if ".param" in name:
            return "integer and others"
        space = "shared" if ".shared" in name else "global"
        return f"{space} {'load' if base == 'ld' else 'store'}"
    if base in ("bar", "shfl"):
        return "shuffle" if base == "shfl" else "barrier" if name == "bar.sync" else "warp barrier"
    if kinds and kinds[0].startswith("f"):
        if base == "fma":
            return "fma"
        if base in LONG:
            return "division and root"
        if base in ARITHMETIC:
            return "other float"
    return "branch" if base in ("bra", "ret") else "integer and others"
