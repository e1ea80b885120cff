"""Arrays that are used again from chunk to chunk."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from ..kernels.contract import Array

CACHE_LINE = 64
"""Bytes; where an array starts with one, no load of a vector crosses two (7 % of a sweep)."""


class Workspace(threading.local):
    """Named buffers, each thread its own; an array taken under a name ends the life of the last.

    Fresh arrays of megabytes would be mapped, zeroed and unmapped by the system for every chunk.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Array] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """An uninitialised C-contiguous array of the given shape."""
        wanted = math.prod(shape) * np.dtype(dtype).itemsize
        buffer = self._buffers.get(name)
        if buffer is None or buffer.nbytes < wanted:
            raw = np.empty(wanted + CACHE_LINE, np.uint8)
            start = -raw.ctypes.data % CACHE_LINE
            buffer = self._buffers[name] = raw[start : start + wanted]
        array: Array = buffer[:wanted].view(dtype).reshape(shape)
        return array
