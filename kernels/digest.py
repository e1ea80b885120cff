"""Names the code that computes results: the sources of the kernels, and all that compiles them."""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np

settings: Any = numba.config
"""They come from the environment, from a file (``.numba_config.yaml``) or from an assignment."""

ROOT = Path(__file__).parent

SWITCHES = (
    "BOUNDSCHECK",
    "CPU_FEATURES",
    "CPU_NAME",
    "DEBUGINFO_DEFAULT",
    "DISABLE_JIT",
    "ENABLE_AVX",
    "ENABLE_PROFILING",
    "EXTEND_VARIABLE_LIFETIMES",
    "LLVM_REFPRUNE_FLAGS",
    "LLVM_REFPRUNE_PASS",
    "LOOP_VECTORIZE",
    "OPT",
    "SLP_VECTORIZE",
    "USING_SVML",
)
"""Those of numba's settings that change compiled code."""


def kernel_digest() -> str:
    """Digest of the kernels' sources, and of the compiler with its switches (16 hex digits).

    Two results with equal digests were computed by the same code, on processors of one kind. The
    sources are those of the import: an edit shows in the next process.
    """
    return _digest(tuple(repr(getattr(settings, name, None)) for name in SWITCHES))


def unchanged() -> bool:
    """Whether the sources on disk still are those that were imported.

    After an edit, this process may hold old code, or new code of modules that were imported later.
    Neither must be kept under the name of the other.
    """
    return STAMPS is not None and _stamps() == STAMPS


@cache
def _digest(switches: tuple[str, ...]) -> str:
    digest = hashlib.sha256(SOURCES)
    digest.update("\0".join((sys.version, *_versions(), *switches)).encode())
    return digest.hexdigest()[:16]


def version_of(package: str) -> str:
    """The version of an installed package; nothing if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _versions() -> tuple[str, ...]:
    """Of the compiler, and of the libraries that compiled code calls: LAPACK is SciPy's."""
    return numba.__version__, llvmlite.__version__, np.__version__, version_of("scipy")


def _files() -> list[Path]:
    """Where the sources are; what stands in for them in an installation without sources."""
    found = sorted(ROOT.rglob("*.py")) or sorted(ROOT.rglob("*.pyc"))
    return found or [path for path in ROOT.parents if path.is_file()]  # the archive of all


def _read() -> bytes:
    digest = hashlib.sha256()
    for path in FILES:
        digest.update(os.path.relpath(path, ROOT).encode() + b"\0" + path.read_bytes())
    return digest.digest()


def _stamps() -> list[tuple[int, int, int]] | None:
    """What changes when a file is written again; None if one is missing."""
    try:
        found = [os.stat(path) for path in FILES]
    except OSError:
        return None
    return [(stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in found]


FILES = _files()
STAMPS = _stamps()  # before the sources are read: an edit meanwhile shows
SOURCES = _read()
