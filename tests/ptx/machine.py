"""Executes a kernel, block after block, on the memory of `memory`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .block import Block
from .counts import Count, Tally
from .decode import Decoder
from .memory import SHARED_MOST, WORD, GlobalMemory
from .operations import KINDS
from .races import OF_BLOCKS, WARP, Race, Watch


class Report(NamedTuple):
    """What a launch has shown.

    Attributes
    ----------
    races : list of str
    counts : dict
        Executed instructions by class (`counts.classify`), of all blocks.
    """

    races: list[str]
    counts: dict[str, Count]


class Machine:
    """A kernel, ready for a launch.

    Parameters
    ----------
    code : Decoder
    memory : GlobalMemory
    lanes : int
        Threads of a block.
    shared : int
        Bytes of dynamic shared memory.
    watched : bool
        Whether data races are looked for.
    """

    def __init__(
        self,
        code: Decoder,
        memory: GlobalMemory,
        lanes: int,
        shared: int = 0,
        watched: bool = True,
    ) -> None:
        self.code, self.program, self.steps = code, code.program, code.steps
        self.memory, self.lanes, self.shared = memory, lanes, shared
        self.watch = Watch(memory.end // WORD) if watched else None
        self.tally = Tally(code.program)

    def run(self, blocks: Sequence[int], arguments: Iterable[Any]) -> Report:
        """Run a grid of blocks, x fastest, with the numbers that a launch hands over."""
        given = {
            name: np.array(value, KINDS[kind])
            for (name, kind), value in zip(self.program.parameters.items(), arguments, strict=True)
        }
        width, height = (*blocks, 1)[:2]
        with np.errstate(all="ignore"):
            for y in range(height):
                for x in range(width):
                    self._run_block(given | self._special(x, y, width, height))
        return Report(self._races(), self.tally.by_class())

    def _run_block(self, known: dict[str, Any]) -> None:
        self.memory.share(self.shared)
        if self.watch:
            self.watch.next_block(self.lanes, SHARED_MOST // WORD)
        registers, constants = self.code.registers, self.code.constants
        values: list[Any] = [None] * (len(registers) + len(constants))
        for place, kind in registers.items():
            values[place] = np.zeros(self.lanes, kind)
        for place, constant in constants.items():
            if isinstance(constant, tuple):
                name, kind = constant
                values[place] = np.broadcast_to(known[name], self.lanes).astype(kind)
            else:
                values[place] = np.full(self.lanes, constant)
        Block(self, values).run()

    def _special(self, x: int, y: int, width: int, height: int) -> dict[str, Any]:
        """The registers that tell a lane where it is; there is one row of lanes."""
        lane = np.arange(self.lanes)
        found = {"%tid.x": lane, "%ntid.x": self.lanes, "%laneid": lane % WARP}
        found |= {"%dynamic_smem_size": self.shared, "%shared": self.memory.origin}
        found |= {"%ctaid.x": x, "%ctaid.y": y, "%nctaid.x": width, "%nctaid.y": height}
        return found

    def _races(self) -> list[str]:
        return [self._told(race) for race in self.watch.found.values()] if self.watch else []

    def _told(self, race: Race) -> str:
        first, second = (self.program.instructions[i] for i in (race.first, race.second))
        who = "two blocks" if race.lanes == OF_BLOCKS else f"lanes {race.lanes}"
        where = race.word * WORD
        space = "shared" if where < SHARED_MOST else "global"
        return f"{who}, {space} byte {where}: {first} | {second}"
