"""One run at a time in a folder.

The lock is the system's own, on an open file: it ends with the process that holds it, however that
ends, and no clock or process number is believed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..engine import InputError, Shown

try:
    import fcntl
except ImportError:  # not on Windows, where two runs in one folder are not noticed
    fcntl = None  # type: ignore[assignment]


@contextmanager
def locked(path: Path, shared: bool = False) -> Iterator[None]:
    """Hold a lock file, alone or, `shared`, together with others who share it.

    Raises
    ------
    InputError
        If somebody else holds it.
    """
    file = _held(path, shared)
    try:
        yield
    finally:
        if not shared or _lock(file, alone=True):
            path.unlink(missing_ok=True)
        file.close()


def _held(path: Path, shared: bool) -> IO[str]:
    while True:
        file = open(path, "a", encoding="ascii")  # noqa: SIM115 - open as long as it is held
        if not _lock(file, alone=not shared):
            file.close()
            allowed = "a folder that no other run is using: wait for it, or stop it"
            raise InputError("--out", Shown(f"{path.parent} (in use)"), allowed)
        try:
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except FileNotFoundError:
            pass
        file.close()  # whoever held it last has just deleted it


def _lock(file: IO[str], alone: bool) -> bool:
    """Whether the lock was to be had; also where the file system has none."""
    if fcntl is not None:
        try:
            fcntl.flock(file, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True
    return True
