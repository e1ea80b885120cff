"""The standard streams of the command line, which may be closed, full, or have no reader.

What is measured and the exit status do not depend on who listens.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

STREAMS = {"stdin": "r", "stdout": "w", "stderr": "w"}


@contextmanager
def standard_streams() -> Iterator[None]:
    """Have all three streams: the null device stands in for one that is closed, as in a daemon.

    In this order, each gets its own number: a file that is opened later, as results are, would
    else get the number of standard error, and whatever other libraries write there.

    Raises
    ------
    SystemExit
        With status 1 at the end, if the disk was full for the last of what was printed.
    """
    before = {name: getattr(sys, name) for name in STREAMS}
    for name, mode in STREAMS.items():
        if before[name] is None:
            stand_in = open(os.devnull, mode)  # noqa: SIM115 - until the end of the block
            with suppress(OSError):  # processes that are started have it, too
                os.set_inheritable(stand_in.fileno(), True)
            setattr(sys, name, stand_in)
    try:
        yield
    finally:
        lost = not _flushed()
        for name, stream in before.items():
            if stream is None:
                getattr(sys, name).close()
                setattr(sys, name, None)
        if lost:
            raise SystemExit(1)


def say(line: str) -> None:
    """Print a line on standard output, for as long as anybody reads.

    Raises
    ------
    OSError
        If it cannot be written for another reason, as a full disk.
    """
    try:
        print(line, flush=True)
    except BrokenPipeError:  # the reader has gone, as `head` does; the rest is done all the same
        _silence(sys.stdout)
    except OSError as error:
        _silence(sys.stdout)
        raise OSError(error.errno, f"standard output: {error.strerror}") from None


def warn(line: str) -> None:
    """Print a line on standard error, if that can be written to."""
    if sys.stderr is None:  # `print` would use standard output
        return
    try:
        print(line, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        _silence(sys.stderr)


def _flushed() -> bool:
    """Write what waits; whether it could be, or nobody wants it."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout)
    except OSError as error:
        _silence(sys.stdout)
        warn(f"gradhorizon: standard output: {error.strerror}")
        return False
    return True


def _silence(stream: Any) -> None:
    """Lead a stream to nowhere: the interpreter would complain of what waits when it ends."""
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
