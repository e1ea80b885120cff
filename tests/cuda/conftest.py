"""What these tests run on: a GPU, or the simulator (NUMBA_ENABLE_CUDASIM=1)."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

INSTALLED = importlib.util.find_spec("numba_cuda") is not None
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0"

if INSTALLED and SIMULATED:
    import lockstep

    lockstep.install()


def pytest_pycollect_makemodule() -> None:
    """Skip all files of this folder, which import what is not installed."""
    if not INSTALLED:
        pytest.skip("an extra is not installed: cuda12 or cuda13", allow_module_level=True)


@pytest.fixture(autouse=True)
def _somewhere(request: pytest.FixtureRequest) -> None:
    """Skip what cannot run here, and say what is missing."""
    from numba import cuda

    if request.node.get_closest_marker("compiled"):
        return
    if request.node.get_closest_marker("gpu") and SIMULATED:
        pytest.skip("the simulator is no GPU")
    if request.node.get_closest_marker("simulated") and not SIMULATED:
        pytest.skip("about the simulator: NUMBA_ENABLE_CUDASIM=1")
    if not SIMULATED and not cuda.is_available():
        pytest.skip("no GPU, and not NUMBA_ENABLE_CUDASIM=1")


@pytest.fixture(scope="module")
def machine() -> Iterator[Any]:
    """An interpreter of compiled code in the place of the engine's GPU: the module `ptx.device`."""
    if SIMULATED:
        pytest.skip("the simulator compiles nothing")
    from ptx import device

    with device.installed():
        yield device


@pytest.fixture
def memory(machine: Any) -> Any:
    """Of that machine, without arrays."""
    return machine.MachineMemory()


@pytest.fixture(params=["forward", pytest.param("backward", marks=pytest.mark.slow)])
def order(request: pytest.FixtureRequest) -> Iterator[None]:
    """In which order the simulator runs the threads of a block; a GPU has its own."""
    backward = request.param == "backward"
    if backward and not SIMULATED:
        pytest.skip("about the simulator: NUMBA_ENABLE_CUDASIM=1")
    with lockstep.last_thread_first() if backward else nullcontext():
        yield
