"""Arrays that are used again from chunk to chunk."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from ..kernels.contract import Array

T = TypeVar("T")

CACHE_LINE = 64
"""Bytes; where an array starts with one, no load of a vector crosses two (7 % of a sweep)."""


class Workspace(threading.local):
    """Named buffers, each thread its own; an array taken under a name ends the life of the last.

    Fresh arrays of megabytes would be mapped, zeroed and unmapped by the system for every chunk.
    Most chunks are of one size, so that an array is mostly the very one that was taken last.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Array] = {}
        self._taken: dict[str, tuple[tuple[object, ...], Array]] = {}
        self._last: tuple[tuple[object, int], Any] | None = None

    def take(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """An uninitialised C-contiguous array of the given shape."""
        wanted = (shape, dtype)
        last = self._taken.get(name)
        if last is None or last[0] != wanted:
            last = self._taken[name] = (wanted, self._cut(name, shape, np.dtype(dtype)))
        return last[1]

    def again(self, key: tuple[object, int], build: Callable[[], T]) -> T:
        """What `build` returned when it was called last, if that was for the same key.

        The first half of the key is an object that is compared by identity, which is quick.
        """
        if self._last is None or self._last[0][0] is not key[0] or self._last[0][1] != key[1]:
            self._last = (key, build())
        last: T = self._last[1]
        return last

    def _cut(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        wanted = math.prod(shape) * dtype.itemsize
        buffer = self._buffers.get(name)
        if buffer is None or buffer.nbytes < wanted:
            raw = np.empty(wanted + CACHE_LINE, np.uint8)
            start = -raw.ctypes.data % CACHE_LINE
            buffer = self._buffers[name] = raw[start : start + wanted]
        array: Array = buffer[:wanted].view(dtype).reshape(shape)
        return array
