"""The CPU as a device."""

from __future__ import annotations

from ..kernels.contract import Chunk, Setting
from ..kernels.library import run_sweeps
from .device import Taker, results_of
from .ensemble import Source, Window
from .layout import Wanted, layout
from .place import Memory
from .plan import Plan, make_plan
from .spec import NetworkSpec


class Processor:
    """The CPU: every thread that asks works by itself, in memory of its own."""

    model = "cpu"

    def __init__(self) -> None:
        self.memory = Memory()

    def plan(
        self, spec: NetworkSpec, window: Window, wanted: Wanted, workers: int | None = None
    ) -> Plan:
        """See `device.Device`."""
        return make_plan(spec, window, wanted, workers)

    def run(
        self, source: Source, first: int, count: int, wanted: Wanted, setting: Setting
    ) -> Chunk:
        """See `device.Device`."""
        spec = source.spec
        ensemble = source.draw(first, count, self.memory)
        parts = layout(spec, source.window, wanted)
        results = self.memory.workspace.again(
            (parts, count), lambda: results_of(parts, count, 1, self._taker(spec.precision))
        )
        arrays = Chunk(ensemble, *results)
        run_sweeps(spec.cell, spec.precision, wanted.sweeps, count, setting, arrays)
        return arrays

    def _taker(self, precision: str) -> Taker:
        return lambda name, shape, field: self.memory.take(name, shape, field.dtype or precision)
