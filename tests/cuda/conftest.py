"""What these tests run on: a GPU, or the simulator (NUMBA_ENABLE_CUDASIM=1)."""

from __future__ import annotations

import os

import pytest

pytest.importorskip("numba_cuda", reason="an extra is not installed: cuda12 or cuda13")

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0"

if SIMULATED:
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
