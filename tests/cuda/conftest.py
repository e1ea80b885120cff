"""What these tests run on: a GPU, or the simulator (NUMBA_ENABLE_CUDASIM=1)."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0"

if SIMULATED and find_spec("numba_cuda") is not None:
    import lockstep

    lockstep.install()


@pytest.fixture(autouse=True)
def _somewhere(request: pytest.FixtureRequest) -> None:
    """Skip what cannot run here, and say what is missing."""
    from numba import cuda

    if request.node.get_closest_marker("compiled"):
        return
    if request.node.get_closest_marker("gpu") and SIMULATED:
        pytest.skip("the simulator is no GPU")
    if not SIMULATED and not cuda.is_available():
        pytest.skip("no GPU, and not NUMBA_ENABLE_CUDASIM=1")
