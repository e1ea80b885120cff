"""The memory of a GPU: arrays of numpy, each at its own address, and what a block shares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

WORD = 4
GAP = 256
"""Bytes between two arrays, which nobody may touch; as arrays of a GPU begin at multiples of it."""

SHARED_MOST = 227 * 2**10
"""Bytes of shared memory that a block can have (compute capability 9.0)."""

NEVER_WRITTEN = 0xFF
"""Fills what nobody has written: NaN in either format of floats."""


class AccessError(IndexError):
    """An address that no array has, or that the number's size does not divide."""


class GlobalMemory:
    """One buffer, of which arrays and the block's shared memory are cut.

    Every address is one of the host, so that an array of numpy is its own copy on the device; an
    address of shared memory counts from the first byte of the block's.
    """

    def __init__(self, size: int = 2**24) -> None:
        buffer = np.empty(size + GAP, np.uint8)
        self.bytes = buffer[-buffer.ctypes.data % GAP :][:size]
        self.origin = self.bytes.ctypes.data
        self.granted = np.zeros(size // WORD, bool)
        self.end = -(-SHARED_MOST // GAP) * GAP + GAP
        self._views = {size: self.bytes.view(f"u{size}") for size in (1, 2, 4, 8)}

    def take(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """An array that nobody has written."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if self.end + size + GAP > self.bytes.size:
            raise MemoryError("the memory of the machine is full")
        raw = self.bytes[self.end : self.end + size]
        raw[:] = NEVER_WRITTEN
        self.granted[self.end // WORD : -(-(self.end + size) // WORD)] = True
        self.end += -(-size // GAP) * GAP + GAP
        return raw.view(dtype).reshape(shape)

    def share(self, size: int) -> None:
        """Give a block so many bytes of shared memory, which nobody has written."""
        if size > SHARED_MOST:
            raise MemoryError(f"{size} bytes of shared memory: at most {SHARED_MOST}")
        self.bytes[:SHARED_MOST] = NEVER_WRITTEN
        self.granted[: SHARED_MOST // WORD] = False
        self.granted[: size // WORD] = True

    def places(self, addresses: Any, shared: bool, size: int) -> Any:
        """Where in the buffer numbers of `size` bytes are."""
        found = addresses if shared else addresses - self.origin
        if ((found < 0) | (found + size > self.bytes.size)).any():
            raise AccessError("outside of all memory")
        if (found % size).any():
            raise AccessError(f"not a multiple of {size} bytes")
        for byte in (0, size - 1):
            if not self.granted[(found + byte) // WORD].all():
                raise AccessError("outside of all arrays")
        return found

    def load(self, places: Any, dtype: Any) -> Any:
        """Numbers at places of the buffer."""
        return self._views[dtype.itemsize][places // dtype.itemsize].view(dtype)

    def store(self, places: Any, values: Any) -> None:
        """Write numbers; where several lanes write to one place, the last has it."""
        size = values.dtype.itemsize
        self._views[size][places // size] = values.view(f"u{size}")
