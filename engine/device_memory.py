"""Arrays on a GPU, and kernels that fill them."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba import cuda

from ..kernels import cuda_library as library
from ..kernels.contract import Array
from ..kernels.random import TILE
from ..kernels.targets.cuda_room import MOST_LANES, SUM_BYTES
from ..kernels.targets.cuda_views import SIMULATED
from .place import Law, Memory
from .shared_memory import allow

FEWEST, MOST = (4, 4) if SIMULATED else (32, MOST_LANES)
"""Lanes of a block: from a warp on. The simulator runs a thread of Python for each."""

OUT_OF_MEMORY, NAME = 2, "CUDA_ERROR_OUT_OF_MEMORY"
"""Of the driver's ``CUresult``: numba's errors have the code, those of cuda.core the name."""

if not SIMULATED:
    from numba.cuda.core import config

    config.CUDA_LOW_OCCUPANCY_WARNINGS = 0  # few networks, or few lags, are no mistake

_launching = threading.Lock()
"""A kernel is compiled by its first launch: threads that start together must not all do that. Other
launches return at once."""


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn the driver's error for a device that is full into Python's."""
    try:
        yield
    except Exception as error:  # of a launch, it has a class of a package below numba
        if getattr(error, "code", None) != OUT_OF_MEMORY and NAME not in str(error):
            raise
        raise MemoryError("the memory of the GPU is full") from error


class DeviceMemory(threading.local):
    """Arrays on the GPU, used again from chunk to chunk; see `place.Place`."""

    def __init__(self) -> None:
        self.host = Memory()
        self.stream = cuda.stream()
        self._taken: dict[str, Any] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        """An uninitialised array."""
        array = self._taken.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            array = self._taken[name] = None  # its memory is free before more is asked for
            with memory_errors():
                array = cuda.device_array(shape, dtype, stream=self.stream)
            self._taken[name] = array
        return array

    def random(self, name: str, shape: tuple[int, ...], precision: str, law: Law) -> Any:
        """See `Place`."""
        out = self.take(name, shape, precision)
        elements, size = math.prod(shape[1:]), library.tile_size(precision)
        if elements > 0:
            pieces = min(-(-elements // size), 64)
            fill = library.fill_kernel(law.distribution, precision)
            self.launch(
                fill,
                (shape[0], pieces),
                lanes_for(TILE),
                size * out.dtype.itemsize,
                np.uint64(law.seed),
                law.stream,
                law.first,
                out.dtype.type(law.scale),
                out.reshape(shape[0], elements),
            )
        return out

    def put(self, name: str, array: Array) -> Any:
        """See `Place`."""
        out = self.take(name, array.shape, array.dtype)
        if array.size > 0:
            out.copy_to_device(array, stream=self.stream)
        return out

    def transposed(self, name: str, matrices: Any) -> Any:
        """See `Place`."""
        *lead, rows, columns = matrices.shape
        out = self.take(f"{name}_transposed", (*lead, columns, rows), matrices.dtype)
        if out.size > 0:
            source = matrices.reshape(math.prod(lead), rows, columns)
            target = out.reshape(math.prod(lead), columns, rows)
            kernel = library.prepare_kernel("transpose", matrices.dtype.name)
            self.launch(kernel, (math.prod(lead),), lanes_for(rows * columns), 0, source, target)
        return out

    def to_unit_length(self, rows: Any) -> None:
        """See `Place`."""
        *lead, length = rows.shape
        flat = rows.reshape(math.prod(lead), length)
        lanes = lanes_for(length)
        kernel = library.prepare_kernel("to_unit_length", rows.dtype.name)
        self.launch(kernel, (math.prod(lead),), lanes, SUM_BYTES, flat)

    def launch(
        self, kernel: Any, blocks: tuple[int, ...], lanes: int, shared: int, *arguments: Any
    ) -> None:
        """Run a kernel after all that was asked of this thread's stream before."""
        given = tuple(map(visible, arguments))
        with _launching, memory_errors():
            allow(kernel, given, shared)
            kernel[blocks, lanes, self.stream, shared](*given)

    def fetch(self, array: Any) -> Array:
        """A copy in memory."""
        if array.size == 0:
            return np.empty(array.shape, array.dtype)
        found: Array = array.copy_to_host(stream=self.stream)
        return found


def visible(argument: Any) -> Any:
    """An argument as kernels take it: the simulator does not look into tuples for its arrays."""
    if SIMULATED:
        if isinstance(argument, tuple):
            parts = [visible(part) for part in argument]
            return type(argument)(*parts) if hasattr(argument, "_fields") else tuple(parts)
        return getattr(argument, "_ary", argument)
    return argument


def lanes_for(units: int) -> int:
    """Threads of a block that has so many units to work on: a power of two."""
    return int(min(max(FEWEST, 2 ** math.ceil(math.log2(max(units, 1)))), MOST))
