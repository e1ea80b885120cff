"""The engine's GPU with `machine` in the place of the hardware; all else of it is the engine's own.

The arguments of a launch are prepared by numba's own code, from arrays whose addresses are those of
`memory`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from types import SimpleNamespace
from typing import Any

import numba
import numpy as np
import pytest
from numba import cuda
from numba.cuda import dispatcher
from numba.cuda.args import ArgHint

from gradhorizon.engine import cuda as engine_cuda
from gradhorizon.engine.device_memory import DeviceMemory
from gradhorizon.engine.place import Memory
from gradhorizon.kernels import cuda_library, specialise

from .decode import Decoder
from .machine import Machine, Report
from .memory import SHARED_MOST, GlobalMemory
from .program import Program

CAPABILITY = (9, 0)

PROCESSORS = 1


class Resident(ArgHint):
    """An array that is on the device already, as numba hands it to a launch."""

    def to_device(self, retr: Any, stream: Any = 0) -> Any:
        array = self.value
        layout = SimpleNamespace(strides_in_bytes=array.strides)
        return SimpleNamespace(
            size=array.size,
            dtype=array.dtype,
            ptr=array.ctypes.data,
            shape=array.shape,
            _layout=layout,
        )


class Arguments:
    """The numbers of a launch, by the code of numba that makes them."""

    extensions: tuple[Any, ...] = ()
    _prepare_args = dispatcher._Kernel._prepare_args

    @classmethod
    def of(cls, kinds: tuple[Any, ...], values: tuple[Any, ...]) -> list[Any]:
        found: list[Any] = []
        for kind, value in zip(kinds, values, strict=True):
            cls()._prepare_args(kind, resident(value), 0, [], found)
        return [getattr(number, "value", number) for number in found]


def resident(value: Any) -> Any:
    """The arrays of nested tuples as numba is to take them."""
    if isinstance(value, np.ndarray):
        return Resident(value)
    return tuple(map(resident, value)) if isinstance(value, tuple) else value


class MachineMemory(DeviceMemory):
    """Arrays in the memory of the machine, and launches on it.

    Attributes
    ----------
    reports : list of (str, Report)
        What every launch has shown, with the name of its kernel.
    lanes : int, optional
        Threads of every block, whatever the engine asks for.
    edit : callable
        What is done to the text of a kernel before it runs.
    """

    lanes: int | None = None
    edit: Callable[[str], str] = staticmethod(lambda text: text)

    def __init__(self) -> None:
        self.host = Memory()
        self.stream = SimpleNamespace(synchronize=lambda: None)
        self._taken = {}
        self.memory = GlobalMemory()
        self.reports: list[tuple[str, Report]] = []

    def take(self, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        return self.memory.take(shape, dtype)

    def put(self, name: str, array: Any) -> Any:
        out = self.take(name, array.shape, array.dtype)
        out[...] = array
        return out

    def fetch(self, array: Any) -> Any:
        return array.copy()

    def launch(
        self, kernel: Any, blocks: tuple[int, ...], lanes: int, shared: int, *arguments: Any
    ) -> None:
        kinds = tuple(map(numba.typeof, arguments))
        code = decoded(self.edit(compiled(kernel, kinds)))
        machine = Machine(code, self.memory, self.lanes or lanes, shared)
        report = machine.run(blocks, Arguments.of(kinds, arguments))
        self.reports.append((kernel.py_func.__name__, report))

    def call(
        self, kernel: Any, lanes: int, *given: Any, blocks: int = 1, shared: int = 0
    ) -> tuple[Any, Report]:
        """Run a plain function as a kernel: its first argument afterwards, and what has shown."""
        put = [self.put("", a) if isinstance(a, np.ndarray) else a for a in given]
        self.launch(cuda.jit(kernel), (blocks,), lanes, shared, *put)
        return self.fetch(put[0]), self.reports[-1][1]


@cache
def compiled(kernel: Any, kinds: tuple[Any, ...]) -> str:
    """The code of a kernel for arguments of some types; what a launch would compile."""
    text, _ = cuda.compile_ptx(kernel.py_func, kinds, cc=CAPABILITY)
    return str(text)


@lru_cache(maxsize=8)
def decoded(text: str) -> Decoder:
    """A kernel ready for the machine: what takes a tenth of a second for 4000 lines."""
    return Decoder(Program.parse(text))


@contextmanager
def installed() -> Iterator[None]:
    """Let the engine's `Gpu` be made of the machine, and kernels be compiled for `CAPABILITY`.

    What was compiled for a GPU that is really there is out of reach meanwhile, and the other way
    round.
    """
    makers = cuda_library.sweeps_kernel, cuda_library.fill_kernel, cuda_library.prepare_kernel
    found = SimpleNamespace(compute_capability=CAPABILITY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(specialise, "_compiled", {})
        patch.setattr(dispatcher, "get_current_device", lambda: found)
        patch.setattr(engine_cuda, "DeviceMemory", MachineMemory)
        patch.setattr(engine_cuda, "free_bytes", lambda: 2**30)
        patch.setattr(engine_cuda, "processors", lambda: PROCESSORS)
        patch.setattr(engine_cuda, "most_bytes", lambda: SHARED_MOST)
        for make in makers:
            make.cache_clear()
        yield
    for make in makers:
        make.cache_clear()
    compiled.cache_clear()
