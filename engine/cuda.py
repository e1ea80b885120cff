"""A GPU as a device: networks are drawn, run and measured there; results of networks come back.

Every thread that asks has a stream and arrays of its own, so that the copies of one chunk overlap
the sweeps of another.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
from numba import cuda

from ..kernels import cuda_library as library
from ..kernels.contract import Array, Chunk, Setting
from ..kernels.random import TILE
from ..kernels.targets.cuda import KEPT_FROM, MOST_LANES
from ..kernels.targets.cuda_views import SIMULATED
from .device import PARTS, results_of
from .ensemble import Source, Window
from .errors import InputError, Shown
from .layout import Fields, Sizes, Wanted, layout
from .place import Law, Memory
from .plan import Plan, chunk_bytes
from .spec import NetworkSpec

FEWEST, MOST = (4, 4) if SIMULATED else (32, MOST_LANES)
"""Lanes of a block: from a warp on. The simulator runs a thread of Python for each."""

SHARED_BYTES = 48 * 2**10
"""Of a block: what every GPU grants without being asked for more."""

LARGEST_CHUNK = 16384
"""Networks."""

BLOCKS_PER_PROCESSOR = 8
"""Blocks that are at work together on a multiprocessor: more wait, fewer leave it idle."""


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
            self._taken.pop(name, None)
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
        room = MOST_LANES * rows.dtype.itemsize
        kernel = library.prepare_kernel("to_unit_length", rows.dtype.name)
        self.launch(kernel, (math.prod(lead),), lanes, room, flat)

    def launch(
        self, kernel: Any, blocks: tuple[int, ...], lanes: int, shared: int, *arguments: Any
    ) -> None:
        """Run a kernel after all that was asked of this thread's stream before."""
        kernel[blocks, lanes, self.stream, shared](*map(visible, arguments))

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


class Gpu:
    """The GPU that numba has chosen."""

    def __init__(self) -> None:
        self.memory = DeviceMemory()
        self.budget = int(0.8 * free_bytes())

    def run(
        self, source: Source, first: int, count: int, wanted: Wanted, setting: Setting
    ) -> Chunk:
        """See `device.Device`."""
        memory, spec, window = self.memory, source.spec, source.window
        ensemble = source.draw(first, count, memory)
        parts = layout(spec, window, wanted)
        _, shared = chunk_bytes(spec, window, wanted)
        places = min(count, self.places(shared, self.budget // 2))
        results = results_of(parts, count, places, self._taker(spec.precision))
        chunk = Chunk(ensemble, *results)
        size = Sizes(spec, window)
        room, resident = shared_bytes(spec, size)
        kernel = library.sweeps_kernel(
            spec.cell, spec.activation, spec.precision, wanted.sweeps, resident
        )
        lanes = lanes_for(size.B * size.n)
        memory.launch(kernel, (places,), lanes, room, count, self._setting(setting), chunk)
        return self._fetched(source, first, count, wanted, parts, chunk)

    def plan(
        self, spec: NetworkSpec, window: Window, wanted: Wanted, workers: int | None = None
    ) -> Plan:
        """See `device.Device`. Two workers: one's copies overlap the other's sweeps."""
        each, shared = chunk_bytes(spec, window, wanted)
        most = 1 if SIMULATED else workers or 2
        budget = self.budget // most
        if each + shared > budget:
            size = f"{(each + shared) / 2**30:.1f} GiB for one network"
            allowed = f"at most {budget / 2**30:.1f} GiB on the device"
            raise InputError("hidden_size and steps", Shown(size), allowed)
        left = budget - shared * self.places(shared, budget)
        return Plan(most, int(max(1, min(left // each, LARGEST_CHUNK))))

    def places(self, shared: int, budget: int) -> int:
        """Networks that run at a time: what they use one after the other is half the budget."""
        return int(max(1, min(BLOCKS_PER_PROCESSOR * processors(), budget // 2 // max(shared, 1))))

    def _taker(self, precision: str) -> Any:
        return lambda name, shape, field: self.memory.take(name, shape, field.dtype or precision)

    def _setting(self, setting: Setting) -> Setting:
        put, wiring = self.memory.put, setting.wiring
        rows = {
            name: put(f"wiring.{name}", getattr(wiring, name))
            for name in ("input_row", "term_row", "every_row")
        }
        frame = put("frame", setting.frame)
        return setting._replace(wiring=wiring._replace(**rows), frame=frame)

    def _fetched(
        self,
        source: Source,
        first: int,
        count: int,
        wanted: Wanted,
        parts: dict[str, Fields],
        chunk: Chunk,
    ) -> Chunk:
        """What every network keeps, in memory; and the ensemble where it is looked at again."""
        memory = self.memory
        found = {
            part: PARTS[part](
                **{
                    name: memory.fetch(array) if parts[part][name].each else _absent(array)
                    for name, array in getattr(chunk, field)._asdict().items()
                }
            )
            for part, field in zip(PARTS, Chunk._fields[1:], strict=True)
        }
        looked_at = source.given or wanted.linearisations
        fetch = memory.fetch if looked_at else _absent
        ensemble = chunk.ensemble._replace(
            **{name: fetch(array) for name, array in chunk.ensemble._asdict().items()}
        )
        memory.stream.synchronize()
        return Chunk(ensemble, *found.values())


def _absent(array: Any) -> Array:
    """In the place of an array that stays on the device."""
    return np.empty((0,) * array.ndim, array.dtype)


def shared_bytes(spec: NetworkSpec, size: Sizes) -> tuple[int, bool]:
    """Shared memory of a block, and whether the recurrent weights of a network are in it."""
    item = np.dtype(spec.precision).itemsize
    sums, weights = KEPT_FROM * item, size.R * size.n**2 * item
    resident = spec.tied and sums + weights <= SHARED_BYTES
    return sums + (weights if resident else 0), resident


def processors() -> int:
    """Multiprocessors of the GPU."""
    if SIMULATED:
        return 1
    return int(cuda.get_current_device().MULTIPROCESSOR_COUNT)


def free_bytes() -> int:
    """Memory of the device that nobody uses."""
    if SIMULATED:
        return 2**30
    return int(cuda.current_context().get_memory_info().free)
