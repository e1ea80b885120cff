"""A stretch of a cell's networks, and what is known of it: what is stored, and what can be shared.

Floating-point sums depend on their order. A cell's statistics are those of its segments, merged
from left to right, and a segment's those of its blocks: whatever ran where, and in whatever
pieces, the bits are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ..engine import Array, InputError
from .summary import Summary
from .task import Measurement, Task, code_digest

BLOCKS = 16
"""Blocks of a whole segment: some seconds of a core, which is what a killed run loses."""

LARGEST_COUNT = 100_000
"""Segments of a cell, each of which is a file."""


@dataclass(frozen=True, eq=False)
class Segment:
    """Some networks of a measurement.

    Attributes
    ----------
    measurement : Measurement
    index : int
        Its place among the segments of the measurement.
    count : int
        Networks; the last segment may have fewer than the others.
    """

    measurement: Measurement
    index: int
    count: int

    @classmethod
    def all(cls, measurement: Measurement, networks: int) -> list[Segment]:
        """The segments of so many networks."""
        check_count(measurement, networks)
        size = BLOCKS * measurement.block
        firsts = range(0, networks, size)
        return [cls(measurement, k, min(size, networks - f)) for k, f in enumerate(firsts)]

    @property
    def size(self) -> int:
        """Networks of a whole one."""
        return BLOCKS * self.measurement.block

    def usable(self, found: Fold) -> Fold:
        """What of stored statistics the measurement goes on from: all, or the complete blocks."""
        return found if found.networks >= self.count else replace(found, tail=None)

    def tasks(self, after: int) -> Iterator[Task]:
        """Its blocks but the first few."""
        block = self.measurement.block
        start, code = self.index * self.size, code_digest(self.measurement.derive)
        for first in range(after * block, self.count, block):
            yield Task(self.measurement, start + first, min(block, self.count - first), code)


def check_count(measurement: Measurement, networks: int) -> None:
    """Refuse, with an `InputError`, more networks than a folder has room for files of them."""
    most = LARGEST_COUNT * BLOCKS * measurement.block
    if networks > most:
        raise InputError("networks", networks, f"at most {most} of such a cell")


@dataclass(frozen=True, eq=False)
class Fold:
    """Statistics of a segment's first networks.

    Attributes
    ----------
    blocks : int
        Complete blocks among them.
    whole : Summary, optional
        Of these.
    tail : Summary, optional
        Of an incomplete last block: kept apart, since it is measured again should there be more.
    """

    blocks: int = 0
    whole: Summary | None = None
    tail: Summary | None = None

    def add(self, part: Summary, complete: bool) -> Fold:
        """With the statistics of the following block."""
        if not complete:
            return replace(self, tail=part)
        whole = part if self.whole is None else self.whole.merge(part)
        return Fold(self.blocks + 1, whole)

    @property
    def total(self) -> Summary | None:
        """Of all its networks; None of none."""
        if self.whole is None or self.tail is None:
            return self.whole or self.tail
        return self.whole.merge(self.tail)

    @property
    def networks(self) -> int:
        """How many networks it has."""
        parts = (self.whole, self.tail)
        return sum(int(part.status_count.sum()) for part in parts if part is not None)

    def arrays(self) -> dict[str, Array]:
        """Everything as named arrays, for a cell file."""
        parts = {"whole": self.whole, "tail": self.tail}
        return {
            f"{place}/{name}": array
            for place, part in parts.items()
            if part is not None
            for name, array in part.arrays().items()
        }

    @classmethod
    def from_arrays(cls, blocks: int, flat: Mapping[str, Array]) -> Fold:
        """Inverse of `arrays`."""
        parts: dict[str, dict[str, Array]] = {"whole": {}, "tail": {}}
        for key, value in flat.items():
            place, _, name = key.partition("/")
            parts[place][name] = value
        whole, tail = (Summary.from_arrays(part) if part else None for part in parts.values())
        return cls(blocks, whole, tail)
