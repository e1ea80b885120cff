"""A progress bar for whoever watches: a run whose standard error is closed is a run."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any


class Bearable:
    """A stream that may fail at any time, as a pipe whose reader has gone; nobody is told."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __eq__(self, other: object) -> bool:  # tqdm asks whether this is standard error
        return bool(self._stream == getattr(other, "_stream", other))

    __hash__ = None  # type: ignore[assignment]

    def write(self, text: str) -> None:
        """Write a text if there is anything to write to."""
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        """Write what waits if there is anything to write to."""
        with suppress(OSError, ValueError, AttributeError):
            self._stream.flush()


def progress_bar(total: int, *, always: bool = True, **look: Any) -> Any:
    """A bar of tqdm on standard error; one that shows nothing where that is closed.

    Parameters
    ----------
    total : int
        The value at which the bar is full.
    always : bool
        Also where standard error is no terminal.
    **look
        Further arguments of `tqdm.tqdm`.

    Returns
    -------
    tqdm.tqdm
    """
    from tqdm import tqdm

    stream = sys.stderr
    return tqdm(
        total=total,
        file=Bearable(stream),  # type: ignore[arg-type]
        disable=not (is_open(stream) and (always or is_terminal(stream))),
        **look,
    )


def is_open(stream: Any) -> bool:
    """Whether something can be written to a stream, as far as can be told."""
    return hasattr(stream, "write") and not getattr(stream, "closed", False)


def is_terminal(stream: Any) -> bool:
    """Whether people watch a stream; one that does not say is no terminal."""
    try:
        return bool(stream.isatty())
    except (AttributeError, OSError, ValueError):
        return False
