"""What may go wrong in a run, though its input is right."""

from __future__ import annotations

import traceback
from collections.abc import Iterable

from ..engine import one_line

COMPILERS = ("numba", "numba_cuda", "llvmlite")


class RunIncomplete(RuntimeError):  # noqa: N818 - it says what state the run is in
    """Some cells are not measured. What is measured is stored.

    Parameters
    ----------
    lines : iterable of str
        Why.
    interrupted : bool
        Whether the same run goes on from there. If not, it tries again what failed.
    """

    def __init__(self, lines: Iterable[str], interrupted: bool = False) -> None:
        super().__init__("\n".join(lines))
        self.interrupted = interrupted


class MachineFault(RuntimeError):  # noqa: N818 - it says whose fault it is
    """The machine, or software on it, cannot measure: no network is to blame. The run ends."""


def of_machine(error: BaseException) -> bool:
    """Whether an error is a `MachineFault`: of the system, of an installation, of the compiler."""
    if isinstance(error, (MachineFault, OSError, ImportError)):
        return True
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    names = (str(frame.f_globals.get("__name__")) for frame in frames)
    return any(name.partition(".")[0] in COMPILERS for name in names)


def told_as(error: BaseException) -> str:
    """An error in one line."""
    if isinstance(error, MachineFault):
        return str(error)
    return one_line(f"{type(error).__name__}: {error}")
