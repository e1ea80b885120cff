"""Files that are read whole or not at all, and written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST_TABLE = 2**26
"""Bytes of a JSON or TOML file that is read in."""


def write_atomic(path: str | os.PathLike[str], data: bytes, *, durable: bool = True) -> None:
    """Write a file so that readers, and crashes, see all of it or none of it.

    Parameters
    ----------
    path : path-like
        The file; one that exists is replaced. Its folder must exist.
    data : bytes
        The whole content.
    durable : bool
        Whether it is on disk on return. If not, a power cut, though no killed process, may still
        tear it.

    Raises
    ------
    OSError
        If the file cannot be written; a file of that name is then whole, old or new.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk is found out by what has no name
        raise
    if durable:
        _sync_folder(path.parent)


def check_readable(path: Path, largest: int) -> None:
    """Refuse, before it is opened, what would never end or fill the memory.

    Raises
    ------
    ValueError
        If it is a pipe, a device or a folder, or has more than so many bytes.
    OSError
        If there is no such file.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("not a regular file")
    if found.st_size > largest:
        raise ValueError(f"{found.st_size} bytes, where there can be {largest} at most")


def _sync_folder(folder: Path) -> None:
    # The new name survives a power cut only once its folder is on disk. Windows opens no folder.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems have no such operation; real input-output errors pass on.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
