"""Shared memory of a block: beyond what every GPU grants, a kernel must be allowed it first."""

from __future__ import annotations

from typing import Any

from numba import cuda
from numba.cuda.cudadrv import driver

from ..kernels.targets.cuda_views import SIMULATED

GRANTED = 48 * 2**10
"""Bytes of a block that a kernel has without being allowed more."""

_allowed: set[Any] = set()


def most_bytes() -> int:
    """What a block can have on this GPU: 163 KiB of compute capability 8.0, 227 of 9.0."""
    if SIMULATED:
        return GRANTED
    return int(cuda.get_current_device().MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)


def allow(kernel: Any, arguments: tuple[Any, ...], size: int) -> None:
    """Let the blocks of a kernel, called with such arguments, have so many bytes.

    Once for each compiled kernel, all that there is: the number of blocks at work depends on what a
    launch asks for, not on what it might. Numba has no name for this attribute; it is set as numba
    sets that of ``shared_memory_carveout``.
    """
    if size <= GRANTED or SIMULATED:
        return
    compiled = kernel.compile(tuple(map(kernel.typeof_pyval, arguments)))
    function = compiled._codelibrary.get_cufunc()
    if function not in _allowed:
        numba_driver: Any = driver
        names = numba_driver.binding.CUfunction_attribute
        attribute = names.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        place = function.handle, function.device.id
        numba_driver.driver.cuKernelSetAttribute(attribute, most_bytes(), *place)
        _allowed.add(function)
