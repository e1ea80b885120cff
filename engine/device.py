"""What runs the sweeps: the processor, or a GPU (`cuda`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

from ..kernels.contract import (
    Adjoint,
    Array,
    Chunk,
    JacobianProduct,
    Setting,
    Spectrum,
    Tape,
    Visited,
    WeightGradient,
)
from .arguments import check_option
from .ensemble import Source, Window
from .errors import InputError, Shown
from .layout import Field, Fields, Wanted
from .plan import Plan
from .spec import NetworkSpec

PARTS: dict[str, Callable[..., Any]] = {
    "tape": Tape,
    "adjoint": Adjoint,
    "gradient": WeightGradient,
    "visited": Visited,
    "jacobian": JacobianProduct,
    "spectrum": Spectrum,
}
"""The parts of a `Chunk` after its ensemble, in its order."""


DEVICES = ("cpu", "cuda")


class Device(Protocol):
    """Draws networks and runs them."""

    @property
    def model(self) -> str:
        """What decides its rounding errors, beside the kernels' sources."""
        ...

    def plan(
        self, spec: NetworkSpec, window: Window, wanted: Wanted, workers: int | None = None
    ) -> Plan:
        """How many networks a worker takes at a time, and how many workers there are.

        Raises
        ------
        InputError
            If a single network does not fit.
        """
        ...

    def run(
        self, source: Source, first: int, count: int, wanted: Wanted, setting: Setting
    ) -> Chunk:
        """The networks first, ..., first + count - 1 after their sweeps."""
        ...


EXTRA = "'cpu', or 'cuda' with an extra: pip install 'gradhorizon[cuda12]' or [cuda13]"


def computed_by(name: str) -> str:
    """What a result is tagged with that a device has computed.

    Raises
    ------
    InputError
        If it is not there.
    """
    return device_of(name).model


def device_of(name: str) -> Device:
    """The device of a name.

    Raises
    ------
    InputError
        If it is not there.
    """
    check_option("device", name, DEVICES)
    return _only(name)


@cache
def _only(name: str) -> Device:
    """The device of a name, of which there is one."""
    if name == "cpu":
        from .processor import Processor

        return Processor()
    try:
        version("numba-cuda")
    except PackageNotFoundError:
        raise InputError("device", name, EXTRA) from None
    from numba import cuda

    if not cuda.is_available():
        shown = Shown(f"{name} (no GPU, driver or toolkit was found)")
        raise InputError("device", shown, "'cpu'")
    from .cuda import Gpu

    return Gpu()


Taker = Callable[[str, tuple[int, ...], Field], Array]


def results_of(parts: dict[str, Fields], count: int, places: int, take: Taker) -> list[Any]:
    """Uninitialised arrays for all that the sweeps leave of a chunk.

    Every network has its own of some; of the others there are as many as networks run at a time.
    """
    return [
        kind(
            **{
                name: take(f"{part}.{name}", (count if field.each else places, *field.shape), field)
                for name, field in parts[part].items()
            }
        )
        for part, kind in PARTS.items()
    ]
