"""One run at a time in a folder.

The lock is the system's own, on an open file: it ends with the process that holds it, however that
ends, and no clock or process number is believed.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # not on Windows, where two runs in one folder are not noticed
    fcntl = None  # type: ignore[assignment]


SHARED_PATIENCE = 0.5
"""Seconds: one of several sharers who leaves holds it alone for a moment."""

WITHOUT = {errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK}
"""What a file system says that has no locks; two runs in one folder are not noticed there."""


class InUse(OSError):  # noqa: N818 - it says what state the folder is in
    """Somebody else holds a lock."""


@contextmanager
def locked(path: Path, shared: bool = False, patience: float = 0.0) -> Iterator[None]:
    """Hold a lock file, alone or, `shared`, together with others who share it.

    Somebody else's is waited for, for `patience` seconds.

    Raises
    ------
    InUse
        If somebody else holds it.
    """
    file = _held(path, shared, max(patience, SHARED_PATIENCE if shared else 0.0))
    try:
        yield
    finally:
        if not shared or _lock(file, alone=True):
            path.unlink(missing_ok=True)
        file.close()


def _held(path: Path, shared: bool, patience: float) -> IO[str]:
    deadline = time.monotonic() + patience
    while True:
        file = path.open("a+", encoding="ascii")  # to share a lock on NFS, reading must be allowed
        if not _lock(file, alone=not shared):
            file.close()
            if time.monotonic() < deadline:
                time.sleep(0.01)
                continue
            raise InUse(errno.EAGAIN, "in use", str(path.parent))
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
        except OSError as error:
            if error.errno not in WITHOUT:
                raise
    return True
