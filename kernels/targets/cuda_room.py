"""What is where in the shared memory of a block: sums, tiles of a product, then what `hold` keeps.

It is asked for at the launch: arrays of a fixed size would be one for every place that takes in
their function. Regions have as many bytes in either format, as sweeps of both may be in a kernel.
"""

from __future__ import annotations

import numpy as np

MOST_LANES = 256
"""Of a block: a power of two, as is any number of lanes.

As many numbers serve sums over the lanes."""

BLOCK = 4
"""Rows and columns of a product that a lane keeps in registers."""

LANES_DOWN, LANES_ACROSS = 32, 8
"""Lanes along the rows and the columns of a tile of a product, at most.

Together `MOST_LANES`. The blocks of eight lanes are 32 neighbouring numbers, one for each bank of
the memory."""

PAD = 4
"""Numbers after every row of a tile, so that the entries of a column are in different banks."""

LEFT_PITCH, RIGHT_PITCH = BLOCK * LANES_DOWN + PAD, BLOCK * LANES_ACROSS + PAD
"""From one row of a factor's tile to the next; the left factor's is transposed."""

DEPTH_BYTES = 64
"""Of the tiles: the length of a row of the left factor that is read at a time."""

SUM_BYTES = MOST_LANES * np.dtype("float64").itemsize
ROOM_BYTES = SUM_BYTES + DEPTH_BYTES * (LEFT_PITCH + RIGHT_PITCH)
"""Of all but what is kept."""


def places(format: np.dtype) -> dict[str, int]:
    """Where the tiles of both factors are and what is kept, in numbers; and how deep tiles are."""
    depth, left = DEPTH_BYTES // format.itemsize, SUM_BYTES // format.itemsize
    right = left + depth * LEFT_PITCH
    return {"LEFT": left, "RIGHT": right, "KEPT_FROM": right + depth * RIGHT_PITCH, "DEPTH": depth}
