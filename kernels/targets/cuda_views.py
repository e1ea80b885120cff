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


def plain_section(row: Any, low: Any, size: Any) -> Any:
    """The numbers low, ..., low + size - 1 of a row."""
    return row[low : low + size]


def plain_of_network(k: Any, place: Any, networks: Any, chunk: Any) -> Any:
    """The arrays of network k; of work space, entry `place`."""
    if hasattr(chunk, "shape"):
        return chunk[k if chunk.shape[0] == networks else place]
    return type(chunk)(*(plain_of_network(k, place, networks, part) for part in chunk))


def plain_at(array: Any, place: Any) -> Any:
    """A number of a row."""
    return array[place]


def plain_four(array: Any, place: Any) -> Any:
    """A number of a row, whose place is a multiple of four, and the three after it."""
    return array[place], array[place + 1], array[place + 2], array[place + 3]


def plain_here(number: Any) -> Any:
    """An integer."""
    return number


flat: Any = plain_flat
reshaped: Any = plain_reshaped
section: Any = plain_section
at: Any = plain_at
four: Any = plain_four
at_shared: Any = plain_at
here: Any = plain_here
of_network: Any = plain_of_network

if not SIMULATED:
    from numba.cuda.extending import intrinsic

    flat = intrinsic(views.flat)
    reshaped = intrinsic(views.reshaped)
    section = intrinsic(views.section)
    at = intrinsic(views.at)
    four = intrinsic(views.four)
    at_shared = intrinsic(views.at_shared)
    here = intrinsic(views.here)
    of_network = intrinsic(views.of_network)
