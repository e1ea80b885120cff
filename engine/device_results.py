"""Results that stay on a GPU, so that of a study's networks only statistics come back."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from ..kernels import cuda_library as library
from ..kernels.contract import Array
from ..kernels.targets.cuda_room import MOST_LANES
from .device_memory import MOST, DeviceMemory, lanes_for

WIDTH = min(8, MOST // 2)
"""Columns of a block: 64 bytes, of which a GPU loads 32 at a time."""


@dataclass(frozen=True, eq=False)
class DeviceResult:
    """What the networks of a chunk have of a variable; see `variable.OnDevice`.

    Attributes
    ----------
    memory : DeviceMemory
    name : str
        Under which its memory was taken.
    table : array on the device, (network, column)
    first : int
        The first of its columns there.
    axes : tuple of int
        Its shape but for the networks.
    good : array of bool, optional
        Which networks count; None: all.
    """

    memory: DeviceMemory
    name: str
    table: Any
    first: int
    axes: tuple[int, ...]
    good: Array | None = None

    @classmethod
    def of(cls, memory: DeviceMemory, name: str, array: Any) -> Self:
        """All of an array whose first axis are networks."""
        axes = array.shape[1:]
        return cls(memory, name, array.reshape(len(array), math.prod(axes)), 0, axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """See `variable.OnDevice`."""
        count = len(self.table) if self.good is None else int(np.count_nonzero(self.good))
        return (count, *self.axes)

    @property
    def ndim(self) -> int:
        """See `variable.OnDevice`."""
        return len(self.shape)

    @property
    def columns(self) -> int:
        """How many columns it has."""
        return math.prod(self.axes)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """See `variable.OnDevice`."""
        if copy is False:
            raise ValueError("what is on a device cannot be read without a copy")
        if len(self) == 0:
            return np.empty(self.shape, dtype or self.table.dtype)
        found = self._columns(self.first, self.columns).reshape(len(self.table), *self.axes)
        return (found if self.good is None else found[self.good]).astype(dtype or found.dtype)

    def __getitem__(self, key: Any) -> Any:
        """See `variable.OnDevice`; ``[:, k]`` of more axes than two is on the device, too."""
        match key:
            case slice() if self.good is None:
                return replace(self, table=self.table[key])
            case np.ndarray(ndim=1, dtype=np.bool) if self.good is None:
                return replace(self, good=key)
            case (slice(start=None, stop=None, step=None), int(k)):
                length, *rest = self.axes
                first = self.first + range(length)[k] * math.prod(rest)
                part = replace(self, first=first, axes=tuple(rest))
                return part if rest else np.asarray(part)
        return np.asarray(self)[key]

    def log_norms(self, exponent: DeviceResult, relative: bool) -> DeviceResult:
        """See `products.log_norm`."""
        rows = (len(self.table) * self.columns // self.axes[-1], self.axes[-1])
        arrays = (part.table.reshape(rows) for part in (self, exponent))
        out = self.memory.take(f"{self.name}.log", self.table.shape, "float64")
        self._launch("log_norms", rows, *arrays, relative, out.reshape(rows))
        return DeviceResult(self.memory, f"{self.name}.log", out, 0, self.axes)

    def mean_variances(self, exponent: DeviceResult) -> DeviceResult:
        """See `products.state_variance`."""
        steps = self.axes[0]
        out = self.memory.take(f"{self.name}.mean", (len(self.table), steps), "float64")
        arrays = (part.table.reshape(len(self.table), *part.axes) for part in (self, exponent))
        self._launch("mean_variances", out.shape, *arrays, out)
        return DeviceResult(self.memory, f"{self.name}.mean", out, 0, (steps,))

    def moments(self) -> Array:
        """See `variable.OnDevice`."""
        return self._statistic("moments", 1 / len(self), 5)

    def log_sum(self, power: float) -> Array:
        """See `variable.OnDevice`."""
        return self._statistic("log_sum", float(power), 3)

    def _statistic(self, kernel: str, factor: float, rows: int) -> Array:
        good = np.ones(len(self.table), bool) if self.good is None else self.good
        put = self.memory.put("good", good.view(np.uint8))
        out = self.memory.take(f"{kernel} {self.columns}", (rows, self.columns), "float64")
        size = -(-self.columns // WIDTH), MOST
        self._launch(kernel, size, self.table, self.first, put, factor, WIDTH, out)
        return self._fetched(out).reshape(rows, *self.axes)

    def _columns(self, first: int, count: int) -> Array:
        """Some of the columns, (network, count), in memory."""
        if count == self.table.shape[1]:
            return self._fetched(self.table)
        shape = len(self.table), count
        out = self.memory.take(f"columns {count}", shape, self.table.dtype)
        self._launch("gather", shape, self.table, first, out)
        return self._fetched(out)

    def _launch(self, kernel: str, size: tuple[int, int], *arguments: Any) -> None:
        """Run a kernel of `cuda_statistics` on so many rows of so many units."""
        blocks, units = size
        room = MOST_LANES * np.dtype("float64").itemsize
        found = library.statistics_kernel(kernel)
        self.memory.launch(found, (blocks,), lanes_for(units), room, *arguments)

    def _fetched(self, array: Any) -> Array:
        found = self.memory.fetch(array)
        self.memory.stream.synchronize()
        return found
