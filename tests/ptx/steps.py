"""What an instruction does to a block: bound to the places of its operands in `Block.values`.

A step is done by the lanes that stand at it; `gates` has those at which lanes wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .block import Active, Block


class Compute:
    """Numbers of registers into a register."""

    control = False

    def __init__(self, function: Callable[..., Any], sources: list[int], target: int) -> None:
        self.function, self.sources, self.target = function, sources, target

    def run(self, block: Block, active: Active) -> None:
        values = block.values
        block.write(self.target, self.function(*[values[s] for s in self.sources]), active)


class Unpack:
    """A register of 64 bits into two of 32."""

    control = False

    def __init__(self, source: int, targets: list[int]) -> None:
        self.source, self.targets = source, targets

    def run(self, block: Block, active: Active) -> None:
        halves = np.ascontiguousarray(block.values[self.source]).view("i4").reshape(-1, 2)
        for target, half in zip(self.targets, halves.T, strict=True):
            block.write(target, half.view(block.values[target].dtype), active)


class Fence:
    """Orders a lane's own accesses to memory, as they are here anyway; nobody waits."""

    control = False

    def run(self, block: Block, active: Active) -> None:
        pass


class Transfer:
    """A load or a store of one number, or of several in a row."""

    control = False

    def __init__(self, address: tuple[int, int], kind: Any, registers: list[int]) -> None:
        self.address, self.kind, self.registers = address, kind, registers
        self.shared = self.stores = False

    def run(self, block: Block, active: Active) -> None:
        register, offset = self.address
        addresses = block.values[register][active.lanes] + offset
        size = self.kind.itemsize
        places = block.memory.places(addresses, self.shared, size * len(self.registers))
        for k, register in enumerate(self.registers):
            self._move(block, active, places + k * size, register)

    def _move(self, block: Block, active: Active, places: Any, register: int) -> None:
        held = block.values[register]
        if self.stores:
            numbers = held.view(f"u{held.dtype.itemsize}")[active.lanes]
            numbers = numbers.astype(f"u{self.kind.itemsize}")
            block.memory.store(places, numbers)
        else:
            numbers = block.memory.load(places, self.kind)
            found = numbers.view(held.dtype) if widths_equal(numbers, held) else numbers
            block.write_own(register, found.astype(held.dtype, copy=False), active)
        block.record(places, active, numbers, self.stores)


def widths_equal(a: Any, b: Any) -> bool:
    """Whether the bits of one are those of the other."""
    return bool(a.dtype.itemsize == b.dtype.itemsize)


class Guarded:
    """A step of those lanes alone that a predicate chooses."""

    control = False

    def __init__(self, guard: tuple[int, bool], step: Any) -> None:
        self.guard, self.step = guard, step

    def run(self, block: Block, active: Active) -> None:
        chosen = block.chosen(self.guard, active)
        if chosen.lanes.size > 0:
            self.step.run(block, chosen)


class Jump:
    """A branch, or the end (`to` is None), for the lanes that a predicate chooses."""

    control = True

    def __init__(self, guard: tuple[int, bool] | None, to: int | None) -> None:
        self.guard, self.to = guard, to

    def leave(self, block: Block, at: int, active: Active) -> None:
        chosen = block.chosen(self.guard, active) if self.guard else active
        if self.to is not None:
            block.go(self.to, chosen.mask)
        if self.guard:
            block.go(at + 1, active.mask & ~chosen.mask)
