"""Keeps compiled kernels between processes, in a folder of our own.

numba's own cache looks at the file of the function that it caches, and not at the functions which
that one calls: after an edit of a callee it would return the old answer. A folder here is named by
`kernel_digest`, of all that decides the code. numba's cache also shares one index among all kinds
of arguments, which processes that write at once lose or mix up; a file here holds one kind.

A cache is a convenience: if a file cannot be read or written, the kernel is compiled.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from .digest import kernel_digest, settings, unchanged

PACKAGE = __name__.rpartition(".")[0]

CHECKSUM = hashlib.sha256
CHECKSUM_BYTES = 32


class KernelCache(NullCache):  # type: ignore[misc]
    """The compiled code of a kernel for the CPU; takes the place of a dispatcher's ``_cache``.

    A file holds the code for one kind of arguments and of processors, behind a checksum: nothing
    that is damaged is ever unpickled. Files appear complete or not at all.

    Parameters
    ----------
    function : callable
        The kernel's source.
    """

    version: tuple[Any, ...] = ()
    """What decides the code of this target beside `kernel_digest`."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = function.__qualname__

    @property
    def cache_path(self) -> str | None:
        """The folder, for numba's statistics."""
        with suppress(RuntimeError):
            return str(cache_folder())
        return None

    def load_overload(self, signature: Any, context: Any) -> Any:
        """What was kept for a kind of arguments; None if there is nothing."""
        context.refresh()  # numba's cache does so, for a context that nothing has used so far
        if not unchanged():
            return None
        key = self._key(signature, context.codegen())
        try:
            file = self._file(key)
            content = file.read_bytes()
        except (OSError, RuntimeError):  # there is none; whether one can be written, saving says
            return None
        try:
            return self._rebuild(context, _opened(content, key))
        except Exception as error:
            tell(f"{file} is damaged ({type(error).__name__}: {error}): compiled again")
            return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep the code for a kind of arguments, if that is possible."""
        if not self._lasts(compiled):
            return
        if not unchanged():
            tell("the kernels' sources were edited meanwhile: compiled code is not kept")
            return
        key = self._key(signature, compiled.codegen)
        try:
            content = self._dump((key, self._reduce(compiled)))
            _write(self._file(key), CHECKSUM(content).digest() + content)
        except Exception as error:
            tell(f"compiled code is not kept in {self.cache_path or 'any folder'}: {error}")

    def _key(self, signature: Any, codegen: Any) -> tuple[Any, ...]:
        """What decides the code beside the folder; the last: the kind of processor."""
        return self.name, signature, self.version, codegen.magic_tuple()

    def _file(self, key: tuple[Any, ...]) -> Path:
        return cache_folder() / f"{self.name}-{CHECKSUM(repr(key).encode()).hexdigest()[:16]}.nbc"

    def _lasts(self, compiled: Any) -> bool:
        """Whether code means the same in another process: it holds no address."""
        return not compiled.library.has_dynamic_globals

    def _reduce(self, compiled: Any) -> Any:
        return compiled._reduce()

    def _rebuild(self, context: Any, payload: Any) -> Any:
        return CompileResult._rebuild(context, *payload)

    def _dump(self, content: Any) -> bytes:
        return bytes(dumps(content))


def keep(dispatcher: Any, cache: type[KernelCache] = KernelCache) -> None:
    """Keep what a dispatcher compiles, if its source is among those that `kernel_digest` knows."""
    function = dispatcher.py_func
    if function.__module__.startswith(f"{PACKAGE}."):
        dispatcher._cache = cache(function)


def cache_folder() -> Path:
    """The folder of the code that `kernel_digest` names, in NUMBA_CACHE_DIR if that is set.

    Raises
    ------
    RuntimeError
        If this user has no home, and no other folder is named.
    """
    named = settings.CACHE_DIR or os.environ.get("XDG_CACHE_HOME")
    base = Path(named) if named else Path.home() / ".cache"
    return base / "gradhorizon" / kernel_digest()


def _opened(content: bytes, key: tuple[Any, ...]) -> Any:
    """What a file holds.

    Raises
    ------
    ValueError
        If a part is missing or changed, or if the file is that of another key.
    """
    checksum, payload = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
    if CHECKSUM(payload).digest() != checksum:
        raise ValueError("wrong checksum")
    kept, data = pickle.loads(payload)
    if kept != key:
        raise ValueError("holds another kernel")
    return data


def _write(file: Path, content: bytes) -> None:
    """Write a file that others read and write at the same time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    own = file.with_name(f"{file.name}.{uuid.uuid4().hex}.tmp")
    try:
        own.write_bytes(content)
        own.replace(file)
    finally:
        own.unlink(missing_ok=True)


_told: list[str] = []


def tell(text: str) -> None:
    """Say why something is compiled that need not be, once: one cause is behind all cases."""
    if not _told and sys.stderr is not None:
        with suppress(OSError, ValueError):  # nobody listens
            print(f"gradhorizon: {' '.join(text.split())}", file=sys.stderr)
    _told.append(text)
