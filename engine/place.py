"""Where the arrays of a chunk are: in memory, or on a device (`device`)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..kernels.contract import Array
from ..kernels.digest import settings
from ..kernels.library import fill_kernel, prepare_kernel
from ..kernels.random import SPARE
from .errors import InputError
from .workspace import Workspace


class Law(NamedTuple):
    """Random numbers: which, of which networks, and how they are distributed."""

    seed: int
    stream: int
    first: int  # network
    scale: float = 1.0
    distribution: str = "normal"  # N(0, scale^2), or "uniform": U(-scale, scale)


class Place(Protocol):
    """Makes arrays that the sweeps read."""

    @property
    def host(self) -> Memory:
        """Where numpy can be used."""
        ...

    def random(self, name: str, shape: tuple[int, ...], precision: str, law: Law) -> Array:
        """An array of random numbers, the networks' axis first."""
        ...

    def put(self, name: str, array: Array) -> Array:
        """An array of `host`, where the sweeps read it."""
        ...

    def transposed(self, name: str, matrices: Array) -> Array:
        """A copy with the last two axes exchanged."""
        ...

    def to_unit_length(self, rows: Array) -> None:
        """Divide the vectors of the last axis by their lengths, in place."""
        ...


class Memory:
    """Arrays in memory, used again from chunk to chunk; whatever draws networks has one.

    Raises
    ------
    InputError
        If numba is told to compile nothing: a network would take minutes.
    """

    def __init__(self) -> None:
        if settings.DISABLE_JIT:
            allowed = "0, or not set: what draws and measures networks is compiled"
            raise InputError("NUMBA_DISABLE_JIT", settings.DISABLE_JIT, allowed)
        self.workspace = Workspace()

    @property
    def host(self) -> Memory:
        """See `Place`."""
        return self

    def take(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """An uninitialised array."""
        return self.workspace.take(name, shape, dtype)

    def random(self, name: str, shape: tuple[int, ...], precision: str, law: Law) -> Array:
        """See `Place`."""
        elements = math.prod(shape[1:])
        size = shape[0] * elements
        flat = self.take(name, (size + SPARE,), precision)
        if elements > 0:
            fill_kernel(law.distribution, precision)(
                np.uint64(law.seed),
                law.stream,
                law.first,
                elements,
                flat.dtype.type(law.scale),
                flat,
            )
        return flat[:size].reshape(shape)

    def put(self, name: str, array: Array) -> Array:
        """See `Place`."""
        return array

    def transposed(self, name: str, matrices: Array) -> Array:
        """See `Place`."""
        *lead, rows, columns = matrices.shape
        out = self.take(f"{name}_transposed", (*lead, columns, rows), matrices.dtype)
        flat = matrices.reshape(-1, rows, columns), out.reshape(-1, columns, rows)
        prepare_kernel("transpose", matrices.dtype.name)(*flat)
        return out

    def to_unit_length(self, rows: Array) -> None:
        """See `Place`."""
        prepare_kernel("to_unit_length", rows.dtype.name)(rows.reshape(-1, rows.shape[-1]))
