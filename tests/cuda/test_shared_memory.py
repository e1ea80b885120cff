"""How a kernel comes by more than 48 KiB of shared memory, on a GPU that is played."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from numba import cuda
from numba.cuda.cudadrv import driver

from gradhorizon.engine import NetworkSpec, shared_memory
from gradhorizon.engine.cuda import shared_bytes
from gradhorizon.engine.device_memory import DeviceMemory
from gradhorizon.engine.ensemble import Window
from gradhorizon.engine.layout import Sizes
from gradhorizon.kernels.targets.cuda_views import SIMULATED

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(SIMULATED, reason="the simulator has no driver"),
]

MOST = {(8, 0): 163 * 2**10, (9, 0): 227 * 2**10}
"""Bytes a block, by compute capability."""


class PlayedKernel:
    """Notes what is done with it: compiled, allowed more, launched."""

    def __init__(self, notes: list[Any], name: str) -> None:
        self.notes, self.handle, self.device = notes, name, SimpleNamespace(id=3)

    typeof_pyval = staticmethod(type)

    def compile(self, kinds: tuple[type, ...]) -> Any:
        assert kinds == (int, float)
        return SimpleNamespace(_codelibrary=SimpleNamespace(get_cufunc=lambda: self))

    def __getitem__(self, configuration: tuple[Any, ...]) -> Any:
        return lambda *_: self.notes.append((self.handle, configuration[-1]))


@pytest.fixture(params=MOST)
def most(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """What the GPU that is played can allow."""
    found: int = MOST[request.param]
    gpu = SimpleNamespace(MAX_SHARED_MEMORY_PER_BLOCK_OPTIN=found)
    monkeypatch.setattr(cuda, "get_current_device", lambda: gpu)
    return found


def test_a_kernel_is_allowed_more_once(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only above 48 KiB, before its launch, by the device's own number, and each kernel."""
    notes: list[Any] = []
    wanted = driver.binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES

    def set_attribute(attribute: Any, value: int, handle: str, device: int) -> None:
        assert attribute == wanted and device == 3
        notes.append((handle, "may", value))

    played = SimpleNamespace(cuKernelSetAttribute=set_attribute)
    monkeypatch.setattr(driver, "driver", played)
    monkeypatch.setattr(shared_memory, "_allowed", set())
    memory: Any = SimpleNamespace(stream=0)
    one, other = PlayedKernel(notes, "one"), PlayedKernel(notes, "other")
    little, much = 48 * 2**10, 48 * 2**10 + 4
    for kernel, room in [(one, little), (one, much), (one, most), (other, much), (one, much)]:
        DeviceMemory.launch(memory, kernel, (1,), 32, room, 1, 2.0)
    assert notes == [
        ("one", little),
        ("one", "may", most),
        ("one", much),
        ("one", most),
        ("other", "may", most),
        ("other", much),
        ("one", much),
    ]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("cell, matrices", [("rnn", 1), ("lstm", 4)])
def test_weights_are_resident_where_they_fit(
    cell: str, matrices: int, precision: str, tied: bool, most: int
) -> None:
    """Up to the last unit that the device has room for; fresh weights at each step never."""
    item = 8 if precision == "float64" else 4
    for units in (16, 64, 128, 200, 230, 256):
        spec = NetworkSpec(cell=cell, hidden_size=units, precision=precision, tied=tied)
        room, resident = shared_bytes(spec, Sizes(spec, Window(steps=3, burn_in=0)))
        weights = matrices * units**2 * item
        work = room - weights * resident
        assert 0 < work < 20 * 2**10
        assert resident == (tied and work + weights <= most)
        assert room <= most
