"""A GPU as a device: networks are drawn, run and measured there; results of networks come back.

Every thread that asks has a stream and arrays of its own, so that the copies of one chunk overlap
the sweeps of another.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
from numba import cuda

from ..kernels import cuda_library as library
from ..kernels.contract import Array, Chunk, Setting
from ..kernels.targets.cuda_room import ROOM_BYTES
from ..kernels.targets.cuda_views import SIMULATED
from .device import PARTS, results_of
from .device_memory import DeviceMemory, lanes_for
from .device_results import DeviceResult
from .ensemble import Source, Window
from .errors import InputError, Shown
from .layout import LONG, Fields, Sizes, Wanted, layout
from .plan import GROUP, Plan, chunk_bytes
from .shared_memory import most_bytes
from .spec import NetworkSpec

WORKERS = 1 if SIMULATED else 2
"""Threads that share the GPU at most: one's copies overlap the other's sweeps."""

LARGEST_CHUNK = 16384
"""Networks."""

BLOCKS_PER_PROCESSOR = 8
"""Blocks that are at work together on a multiprocessor: more wait, fewer leave it idle."""


class Gpu:
    """The GPU that numba has chosen."""

    def __init__(self) -> None:
        self.memory = DeviceMemory()
        self.budget = int(0.8 * free_bytes()) // WORKERS  # of each

    @property
    def model(self) -> str:
        """See `device.Device`: what the kernels are compiled for, and by whom."""
        return f"cuda {capability()}, numba-cuda {version('numba-cuda')}"

    def run(
        self, source: Source, first: int, count: int, wanted: Wanted, setting: Setting
    ) -> Chunk:
        """See `device.Device`. Half by half where others have taken the memory of the plan.

        Raises
        ------
        MemoryError
            If a single network does not fit; or all of them, where results stay on the device.
        """
        try:
            return self._run(source, first, count, wanted, setting)
        except MemoryError:
            if count == 1 or wanted.on_device:
                raise
        half = count // 2
        halves = (first, half), (first + half, count - half)
        return joined([self.run(source, *part, wanted, setting) for part in halves])

    def _run(
        self, source: Source, first: int, count: int, wanted: Wanted, setting: Setting
    ) -> Chunk:
        memory, spec, window = self.memory, source.spec, source.window
        ensemble = source.draw(first, count, memory)
        parts = layout(spec, window, wanted)
        _, shared = chunk_bytes(spec, window, wanted)
        places = min(count, self.places(shared))
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
        """See `device.Device`."""
        each, shared = chunk_bytes(spec, window, wanted)
        if each + shared > self.budget:
            size = f"{(each + shared) / 2**30:.1f} GiB for one network"
            allowed = f"at most {self.budget / 2**30:.1f} GiB on the device"
            raise InputError("hidden_size and steps", Shown(size), allowed)
        left = self.budget - shared * self.places(shared)
        chunk = int(max(1, min(left // each, LARGEST_CHUNK)))
        return Plan(min(workers or WORKERS, WORKERS), chunk, GROUP if wanted.on_device else 1)

    def places(self, shared: int) -> int:
        """Networks that run at a time: what they use one after the other is half the budget."""
        most = self.budget // 2 // max(shared, 1)
        return int(max(1, min(BLOCKS_PER_PROCESSOR * processors(), most)))

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

        def found_of(part: str, name: str, array: Any) -> Any:
            if wanted.on_device and name in LONG.get(part, ()) and array.size > 0:
                return DeviceResult.of(memory, f"{part}.{name}", array)
            return memory.fetch(array) if parts[part][name].each else _absent(array)

        found = {
            part: PARTS[part](
                **{
                    name: found_of(part, name, array)
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


def joined(chunks: list[Chunk]) -> Chunk:
    """The networks of several chunks as one."""
    return Chunk(
        *(
            type(parts[0])(*map(np.concatenate, zip(*parts, strict=True)))
            for parts in zip(*chunks, strict=True)
        )
    )


def _absent(array: Any) -> Array:
    """In the place of an array that stays on the device."""
    return np.empty((0,) * array.ndim, array.dtype)


def shared_bytes(spec: NetworkSpec, size: Sizes) -> tuple[int, bool]:
    """Shared memory of a block, and whether the recurrent weights of a network are in it.

    They are where they fit, though weights of more than some 56 KiB leave room for three blocks on
    a multiprocessor, or one. Elsewhere every step reads them from the second-level cache, which
    gives a multiprocessor about 30 bytes a cycle, however many blocks share it: 2000 cycles for
    64 KiB, 4000 for 128. From the chip, 128 bytes a cycle, it is a quarter of that beside what a
    step waits for barriers and memory, some 3000 cycles, which three blocks share. Nor are there
    many blocks to lose: of 160 registers or more a thread, 400 threads are all that fit.
    """
    item = np.dtype(spec.precision).itemsize
    weights = size.R * size.n**2 * item
    resident = spec.tied and ROOM_BYTES + weights <= most_bytes()
    return ROOM_BYTES + (weights if resident else 0), resident


def capability() -> str:
    """Compute capability of the GPU."""
    if SIMULATED:
        return "simulated"
    return ".".join(map(str, cuda.get_current_device().compute_capability))


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
