"""The cache of kernels for the GPU: what is read back is what was compiled. Runs without a GPU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numba
import pytest
from numba import config, types

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(bool(config.ENABLE_CUDASIM), reason="the simulator compiles nothing"),
]

CAPABILITY = (8, 0)
KINDS = (types.float32[:, ::1],)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A kernel's dispatcher, for a GPU that is not there, with a cache that is empty."""
    from numba.cuda import dispatcher
    from numba.cuda.codegen import CUDACodeLibrary

    found = SimpleNamespace(compute_capability=CAPABILITY)
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: found)
    monkeypatch.setattr(CUDACodeLibrary, "_ensure_cc", lambda library, cc: CAPABILITY)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    from gradhorizon.kernels import cuda_library

    return cuda_library.prepare_kernel.__wrapped__("to_unit_length", "float32")


def context(runtime: tuple[int, int] = (13, 0)) -> Any:
    """The parts of numba's context that the cache asks; the real one asks a GPU."""
    codegen = SimpleNamespace(magic_tuple=lambda: (runtime, CAPABILITY))
    return SimpleNamespace(refresh=lambda: None, codegen=lambda: codegen)


def test_a_kernel_is_read_back_as_it_was_compiled(
    kernel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from numba.cuda import dispatcher

    compiled = dispatcher._Kernel(kernel.py_func, KINDS, **kernel.targetoptions)
    monkeypatch.setattr(dispatcher._Kernel, "codegen", context().codegen())
    assert kernel._cache.load_overload(KINDS, context()) is None
    kernel._cache.save_overload(KINDS, compiled)
    assert len(list(tmp_path.rglob("*.nbc"))) == 1
    found = kernel._cache.load_overload(KINDS, context())
    code = compiled._codelibrary.get_asm_str(cc=CAPABILITY)
    assert ".entry" in code
    assert found._codelibrary.get_asm_str(cc=CAPABILITY) == code
    assert kernel._cache.load_overload(KINDS, context((12, 0))) is None


def test_a_kernel_for_one_size_of_blocks_is_not_kept(kernel: Any, tmp_path: Path) -> None:
    kernel._cache.save_overload(KINDS, SimpleNamespace(launch_config_sensitive=True))
    assert list(tmp_path.rglob("*.nbc")) == []


def test_information_for_debuggers_changes_no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """NUMBA_CUDA_DEBUGINFO is about the user's kernels."""
    from numba.cuda.core import config as settings

    from gradhorizon.kernels import cuda_library

    monkeypatch.setattr(settings, "CUDA_DEBUGINFO_DEFAULT", 1)
    made = cuda_library.for_cuda(lambda rows: None, lambda rows: None, "kernels")
    assert made.targetoptions["debug"] is False
