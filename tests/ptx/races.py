"""Data races: what two lanes do to the same number between the same two barriers.

Nothing orders two lanes of a block but barriers; of a warp, ``bar.warp.sync``, too. A number that
one of them writes and another reads or writes has no certain value, unless all write the same and
read what they wrote themselves. Blocks are ordered by nothing at all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .memory import WORD

WARP = 32

NOBODY, SEVERAL = -1, -2
"""In the place of the number of a block."""

OF_BLOCKS = (-1, -1)
"""In the place of two lanes: they are of different blocks."""


class Access(NamedTuple):
    """What one lane did to one word."""

    word: int
    lane: int
    writes: bool
    value: int
    instruction: int
    warp_epoch: int


class Race(NamedTuple):
    """Two instructions that may come in either order."""

    first: int
    second: int
    word: int
    lanes: tuple[int, int]


class Watch:
    """Looks at all accesses of a grid, from barrier to barrier."""

    def __init__(self, words: int) -> None:
        self.found: dict[tuple[int, int], Race] = {}
        self._log: list[tuple[Any, ...]] = []
        self._written_by = np.full(words, NOBODY, np.int32)  # block
        self._read_by = np.full(words, NOBODY, np.int32)
        self.block = -1
        self.warp_epochs = np.zeros(0, np.int64)

    def record(self, instruction: int, places: Any, lanes: Any, numbers: Any, writes: bool) -> None:
        """Take down that lanes read, or write, numbers at places of the memory."""
        width = max(1, numbers.dtype.itemsize // WORD)
        words = (places[:, None] // WORD + np.arange(width)).reshape(-1)
        bits = (
            numbers.view("i4") if width * WORD == numbers.dtype.itemsize else numbers.astype("i4")
        )
        lanes = np.repeat(lanes, width)
        self._log.append((words, lanes, bits, self.warp_epochs[lanes // WARP], writes, instruction))

    def next_block(self, lanes: int, shared: int) -> None:
        """Blocks run one after the other here; the first `shared` words are each one's own."""
        self.block += 1
        self.warp_epochs = np.zeros(-(-lanes // WARP), np.int64)
        self._written_by[:shared] = self._read_by[:shared] = NOBODY

    def barrier(self) -> None:
        """Compare all that was done since the last one."""
        if not self._log:
            return
        log, self._log = self._log, []
        words, lanes, bits, epochs = (
            np.concatenate(column) for column in list(zip(*log, strict=True))[:4]
        )
        counts = [entry[0].size for entry in log]
        writes, instructions = (np.repeat([e[k] for e in log], counts) for k in (4, 5))
        for group in suspicious(words, lanes, writes):
            columns = (words, lanes, writes, bits, instructions, epochs)
            self._look_at([Access(*(c[i].item() for c in columns)) for i in group])
        self._between_blocks(words, writes, instructions)

    def _look_at(self, accesses: list[Access]) -> None:
        if harmless(accesses):
            return
        for later, b in enumerate(accesses):
            for a in accesses[:later]:
                same_warp = a.lane // WARP == b.lane // WARP
                ordered = same_warp and a.warp_epoch != b.warp_epoch
                if a.lane != b.lane and (a.writes or b.writes) and not ordered:
                    self._report(a.instruction, b.instruction, a.word, (a.lane, b.lane))
                    return

    def _between_blocks(self, words: Any, writes: Any, instructions: Any) -> None:
        written, read = self._written_by[words], self._read_by[words]
        others = (written != NOBODY) & (written != self.block)
        others |= writes & (read != NOBODY) & (read != self.block)
        for i in np.flatnonzero(others):
            self._report(instructions[i].item(), instructions[i].item(), words[i].item(), OF_BLOCKS)
        self._written_by[words[writes]] = self.block
        alone = (read == NOBODY) | (read == self.block)
        self._read_by[words[~writes]] = np.where(alone, self.block, SEVERAL)[~writes]

    def _report(self, first: int, second: int, word: int, lanes: tuple[int, int]) -> None:
        self.found.setdefault((first, second), Race(first, second, word, lanes))


def suspicious(words: Any, lanes: Any, writes: Any) -> list[Any]:
    """Accesses of each word that one lane writes and another one touches, in order."""
    order = np.argsort(words, kind="stable")
    starts = np.flatnonzero(np.diff(words[order], prepend=-1))
    first = np.minimum.reduceat(lanes[order], starts)
    last = np.maximum.reduceat(lanes[order], starts)
    written = np.logical_or.reduceat(writes[order], starts)
    ends = np.append(starts[1:], order.size)
    chosen = np.flatnonzero((first != last) & written)
    return [order[starts[i] : ends[i]] for i in chosen]


def harmless(accesses: list[Access]) -> bool:
    """Whether all write the same, and read only what they wrote themselves."""
    wrote: set[int] = set()
    values = set()
    for access in accesses:
        if access.writes:
            wrote.add(access.lane)
            values.add(access.value)
        elif access.lane not in wrote:
            return False
    return len(values) == 1
