"""What is where in the shared memory of a block: sums, factors of a product, what `hold` keeps.

It is asked for at the launch: arrays of a fixed size would be one for every place that takes in
their function. Regions have as many bytes in either format, as sweeps of both may be in a kernel,
and begin where vectors of 16 bytes can be loaded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda

from .cuda_views import SIMULATED
from .cuda_warp import WARP

MOST_LANES = 256
"""Of a block: a power of two, as is any number of lanes."""

SUM_BYTES = MOST_LANES // WARP * np.dtype("float64").itemsize
"""A number of each warp."""

ROWS = 4 * MOST_LANES
"""Numbers of the left factor of a product with recurrent weights; then four sums of each lane."""

BLOCK = 4
"""Rows and columns of any other product that a lane keeps in registers."""

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

ROOM_BYTES = SUM_BYTES + max(
    DEPTH_BYTES * (LEFT_PITCH + RIGHT_PITCH), ROWS * np.dtype("float64").itemsize
)
"""Of all but what is kept."""


def places(format: np.dtype) -> dict[str, int]:
    """Where the left and the right factor are and what is kept, in numbers; how deep tiles are."""
    depth, left = DEPTH_BYTES // format.itemsize, SUM_BYTES // format.itemsize
    kept = ROOM_BYTES // format.itemsize
    return {"LEFT": left, "RIGHT": left + depth * LEFT_PITCH, "KEPT_FROM": kept, "DEPTH": depth}


def plain_room(format):
    """The shared memory of a block, as numbers."""
    return cuda.shared.array(0, format)


def aligned_room(format):
    """The shared memory of a block, as numbers; from an address at which vectors can be loaded."""
    return cuda.shared.array(0, format, 16)


room: Any = plain_room if SIMULATED else aligned_room
