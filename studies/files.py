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
    temporary = _temporary(path)
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


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")


def write_output(path: Path, data: bytes) -> None:
    """Write a file that a user named: whole or not at all, unless it is a device or a pipe.

    A link stays, and what it leads to is written.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(data)
    else:
        write_atomic(path.resolve(), data)


def check_writable(path: Path) -> None:
    """Refuse, before any work, a file that could not be written after it; nothing is changed.

    Raises
    ------
    OSError
        If it is a folder, its folder is missing, or one of both may not be written.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    if path.is_file() or not path.exists():
        temporary = _temporary(path.resolve())
        temporary.open("xb").close()
        temporary.unlink()


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
