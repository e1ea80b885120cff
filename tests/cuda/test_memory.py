"""Arrays on the device, and what happens where there is no room for them."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numba import cuda
from numba.cuda.cudadrv.driver import CudaAPIError

from gradhorizon.engine import NetworkSpec, measure
from gradhorizon.engine.device_memory import NAME, OUT_OF_MEMORY, DeviceMemory, memory_errors

pytestmark = pytest.mark.simulated  # a GPU is not filled here

allocate = cuda.device_array


def driver_error(code: int) -> CudaAPIError:
    """As the driver's interface raises it."""
    error = CudaAPIError("Call to cuMemAlloc failed")
    error.code = code
    return error


def full(monkeypatch: pytest.MonkeyPatch, networks: int, code: int) -> list[int]:
    """A device where the weights of more networks cannot be had; which numbers were asked for."""
    asked = []

    def device_array(shape: tuple[int, ...], *rest: Any, **options: Any) -> Any:
        if len(shape) == 5:  # W and what is made of it
            asked.append(shape[0])
            if shape[0] > networks:
                raise driver_error(code)
        return allocate(shape, *rest, **options)

    monkeypatch.setattr(cuda, "device_array", device_array)
    return asked


def measured() -> xr.Dataset:
    return measure(
        NetworkSpec(hidden_size=3),
        networks=5,
        steps=4,
        products=("gradient", "eigenvalue"),
        device="cuda",
    )


def test_a_chunk_that_does_not_fit_is_split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer networks at a time, the same results to the last bit."""
    whole = measured()
    asked = full(monkeypatch, 1, OUT_OF_MEMORY)
    xr.testing.assert_identical(measured(), whole)
    assert max(asked) == 5 and min(asked) == 1


def test_a_network_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's error for it, from which a study makes one line."""
    full(monkeypatch, 0, OUT_OF_MEMORY)
    with pytest.raises(MemoryError, match="memory of the GPU"):
        measured()


def test_other_errors_of_the_driver_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that failed is no lack of memory."""
    asked = full(monkeypatch, 0, OUT_OF_MEMORY + 1)
    with pytest.raises(CudaAPIError):
        measured()
    assert asked == [5]


def test_a_launch_that_finds_no_memory() -> None:
    """Its error is of another package than numba, and names what the driver said."""
    with pytest.raises(MemoryError, match="memory of the GPU"), memory_errors():
        raise RuntimeError(f"{NAME}: the API call failed")


def test_an_array_goes_before_its_successor_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two chunks of different size under one name never need room for both."""
    memory = DeviceMemory()
    last = weakref.ref(memory.take("x", (4, 2), "float64"))
    assert last() is memory.take("x", (4, 2), np.dtype("float64"))
    alive = []

    def device_array(*arguments: Any, **options: Any) -> Any:
        alive.append(last() is not None)
        return allocate(*arguments, **options)

    monkeypatch.setattr(cuda, "device_array", device_array)
    assert memory.take("x", (5, 2), "float64").shape == (5, 2)
    assert alive == [False]
