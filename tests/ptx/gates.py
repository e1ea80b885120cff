"""Steps at which lanes wait for others: barriers and shuffles."""

from __future__ import annotations

from typing import Any

import numpy as np

from .block import Active, Block
from .races import WARP


class Gate:
    """A step at which lanes wait for others."""

    control = True

    def leave(self, block: Block, at: int, active: Active) -> None:
        waiting = block.parked.pop(at, False) | active.mask
        through = self.complete(block, waiting)
        if through.any():
            self.act(block, through)
            block.go(at + 1, through)
        if (waiting & ~through).any():
            block.parked[at] = waiting & ~through

    def complete(self, block: Block, waiting: Any) -> Any:
        raise NotImplementedError

    def act(self, block: Block, through: Any) -> None:
        raise NotImplementedError


class Barrier(Gate):
    """``bar.sync``: of all lanes of the block, at one and the same place."""

    def complete(self, block: Block, waiting: Any) -> Any:
        return waiting & waiting.all()

    def act(self, block: Block, through: Any) -> None:
        if block.watch:
            block.watch.barrier()


class WarpBarrier(Gate):
    """``bar.warp.sync``: of the lanes of a warp that are named by the bits of a register."""

    def __init__(self, members: int) -> None:
        self.members = members

    def complete(self, block: Block, waiting: Any) -> Any:
        waits, members = in_warps(waiting), in_warps(block.values[self.members])
        named = members[:, :, None] >> np.arange(WARP) & 1 != 0
        needed = (named & waits[:, :, None]).any(axis=1) & in_warps(np.ones_like(waiting))
        complete = ~(needed & ~waits).any(axis=1)
        return waiting & np.repeat(complete, WARP)[: waiting.size]

    def act(self, block: Block, through: Any) -> None:
        if block.watch:
            block.watch.warp_epochs += in_warps(through).any(axis=1)


class Shuffle(WarpBarrier):
    """``shfl.sync``: every lane of a warp takes a number of another one. No barrier for memory."""

    def __init__(
        self, mode: str, targets: list[int], sources: tuple[int, int, int], members: int
    ) -> None:
        super().__init__(members)
        self.mode, self.targets, self.sources = mode, targets, sources

    def act(self, block: Block, through: Any) -> None:
        given, b, c = (block.values[s] for s in self.sources)
        first = np.arange(through.size) // WARP * WARP
        lane, inside = source_lane(self.mode, np.arange(through.size) % WARP, b, c)
        source = np.minimum(first + lane, through.size - 1)
        if not through[source][through].all():
            raise LookupError("a shuffle asks a lane that takes no part in it")
        active = block.active(through)
        for target, found in zip(self.targets, (given[source], inside), strict=False):
            block.write(target, found, active)


def source_lane(mode: str, lane: Any, b: Any, c: Any) -> tuple[Any, Any]:
    """Of which lane of the warp the number is, and whether that one is within its segment."""
    segment, clamp, b = c >> 8 & 31, c & 31, b & 31
    least = lane & segment
    most = least | clamp & ~segment
    asked = {"up": lane - b, "down": lane + b, "bfly": lane ^ b, "idx": least | b & ~segment}[mode]
    inside = asked >= most if mode == "up" else asked <= most
    return np.where(inside, asked, lane), inside


def in_warps(values: Any) -> Any:
    """A number of each lane as (warp, lane); zero for lanes that the last warp lacks."""
    missing = -values.size % WARP
    return np.pad(values, (0, missing)).reshape(-1, WARP)
