"""The compiled kernels for CUDA by name: what the engine calls where there is a GPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import cuda

from .bodies.forward import forward
from .bodies.forward_scaled import forward_scaled
from .cache import KernelCache, keep
from .cells import CELLS
from .digest import version_of
from .library import COMPUTES_IN, LINEAR_SWEEPS, PAIRS, TILES
from .precision import FORMATS
from .random import TILE
from .specialise import Caller, specialise
from .targets import cuda as target
from .targets import cuda_arrays, cuda_statistics
from .targets.cuda_room import places
from .targets.cuda_views import SIMULATED

INLINED = ("hold", "aligned_room")
"""A function that returns an array of its own must be taken in before types are known."""


def for_cuda(
    rebuilt: Callable[..., Any], source: Callable[..., Any], caller: Caller
) -> Callable[..., Any]:
    """Compile a function for the GPU: what Python calls is a kernel, all else a device function."""
    made: Callable[..., Any]
    if caller == "python":
        made = cuda.jit(debug=False)(rebuilt)
        if not SIMULATED:
            keep(made, CudaCache)
        return made
    inline = "always" if source.__name__ in INLINED else "never"
    made = cuda.jit(device=True, inline=inline, debug=False)(rebuilt)
    return made


class CudaCache(KernelCache):
    """The compiled code of a kernel for the GPU."""

    version = tuple(version_of(package) for package in ("numba-cuda", "cuda-toolkit"))

    def _lasts(self, compiled: Any) -> bool:
        return not compiled.launch_config_sensitive  # code for one size of blocks is none for all

    def _reduce(self, compiled: Any) -> Any:
        return compiled._reduce_states()

    def _rebuild(self, context: Any, payload: Any) -> Any:
        from numba.cuda.dispatcher import _Kernel

        return _Kernel._rebuild(**payload)

    def _dump(self, content: Any) -> bytes:
        from numba.cuda.serialize import dumps

        return bytes(dumps(content))


BINDINGS = {
    name: names | target.PRIMITIVES | {"format": np.dtype(name)} | places(np.dtype(name))
    for name, names in FORMATS.items()
}


@cache
def sweeps_kernel(
    cell: str, activation: str, precision: str, sweeps: frozenset[str], resident: bool
) -> Any:
    """The kernel that runs networks forward, and then through some of the linear sweeps.

    Parameters
    ----------
    cell, activation, precision : str
    sweeps : frozenset of str
        Of `library.LINEAR_SWEEPS`.
    resident : bool
        Whether recurrent weights stay in shared memory, which the launch provides.
    """
    names = [name for name in LINEAR_SWEEPS if name in sweeps]
    chosen = CELLS[cell]
    equations: dict[str, Any] = {"step": chosen.step, "linearise": chosen.linearise}
    if chosen.activations:
        equations["phi"] = chosen.activations[activation]
    suffix = "_".join((cell, activation, precision, *names, "resident" * resident))
    wanted = [forward, forward_scaled, *(_linear(name, precision) for name in names)]
    return specialise(
        target.run,
        suffix,
        compiler=for_cuda,
        **dict(zip(target.PLACES, wanted, strict=False)),
        **equations,
        RESIDENT=resident,
        **BINDINGS[precision],
    )


def _linear(name: str, precision: str) -> Any:
    """A linear sweep; where it computes in another format than its kernel, bound to that."""
    own = COMPUTES_IN.get(name, precision)
    if own == precision:
        return LINEAR_SWEEPS[name]
    return specialise(
        LINEAR_SWEEPS[name], f"cuda_{own}", "kernels", compiler=for_cuda, **BINDINGS[own]
    )


@cache
def fill_kernel(distribution: str, precision: str) -> Any:
    """`cuda_arrays.fill` for ``"normal"`` or ``"uniform"`` numbers."""
    fill_uniform, count = TILES[precision]
    return specialise(
        cuda_arrays.fill,
        f"cuda_{distribution}_{precision}",
        compiler=for_cuda,
        pair=PAIRS[distribution],
        fill_uniform=fill_uniform,
        NUMBERS_PER_BLOCK=count,
        **BINDINGS[precision],
    )


def tile_size(precision: str) -> int:
    """Numbers that `fill_kernel` draws at a time: what it wants of shared memory."""
    return TILES[precision][1] * TILE


@cache
def prepare_kernel(name: str, precision: str) -> Any:
    """``transpose`` or ``to_unit_length`` of `cuda_arrays`."""
    function = getattr(cuda_arrays, name)
    return specialise(function, f"cuda_{precision}", compiler=for_cuda, **BINDINGS[precision])


@cache
def statistics_kernel(name: str) -> Any:
    """A kernel of `cuda_statistics`, for results of either precision."""
    function = getattr(cuda_statistics, name)
    return specialise(function, "cuda_statistics", compiler=for_cuda, **BINDINGS["float64"])
