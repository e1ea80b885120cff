"""The views of `views` for CUDA; in its simulator, which runs plain Python, their plain twins."""

from __future__ import annotations

from typing import Any

from numba import config

from . import views

SIMULATED = bool(vars(config)["ENABLE_CUDASIM"])
"""Whether plain Python plays the GPU: NUMBA_ENABLE_CUDASIM=1."""


def plain_flat(array: Any) -> Any:
    """A contiguous array as one row."""
    return array.reshape(array.size)


def plain_reshaped(array: Any, shape: Any) -> Any:
    """A contiguous array in another shape."""
    return array.reshape(shape)


def plain_four(numbers: Any, place: Any) -> Any:
    """Four neighbouring numbers of a row as a tuple."""
    return numbers[place], numbers[place + 1], numbers[place + 2], numbers[place + 3]


def plain_of_network(k: Any, place: Any, networks: Any, chunk: Any) -> Any:
    """The arrays of network k; of work space, entry `place`."""
    if hasattr(chunk, "shape"):
        return chunk[k if chunk.shape[0] == networks else place]
    return type(chunk)(*(plain_of_network(k, place, networks, part) for part in chunk))


flat: Any = plain_flat
four: Any = plain_four
reshaped: Any = plain_reshaped
of_network: Any = plain_of_network

if not SIMULATED:
    from numba.cuda.extending import intrinsic

    flat = intrinsic(views.flat)
    four = intrinsic(views.four)
    reshaped = intrinsic(views.reshaped)
    of_network = intrinsic(views.of_network)
