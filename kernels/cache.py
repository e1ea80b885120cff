"""Where compiled kernels are kept between processes.

numba's cache looks at the file of the function it caches and not at the functions that one calls:
after an edit of a callee it would return the old answer. The cache folder is therefore named by a
digest of all kernel sources and of everything else that decides what is compiled.
"""

from __future__ import annotations

import hashlib
import os
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def kernel_digest() -> str:
    """Digest of all kernel sources, of the compiler's version and of its switches (16 hex digits).

    Two results with equal digests were computed by the same code.
    """
    digest = hashlib.sha256()
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    for package in ("numba", "llvmlite", "numpy"):
        digest.update(f"{package} {version(package)}".encode())
    digest.update(sys.version.encode())
    digest.update(os.environ.get("NUMBA_BOUNDSCHECK", "").encode())
    return digest.hexdigest()[:16]


def set_cache_directory() -> None:
    """Point numba at the folder of this digest; a user's own NUMBA_CACHE_DIR is respected."""
    if "NUMBA_CACHE_DIR" not in os.environ:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        folder = Path(base) / "gradhorizon" / kernel_digest()
        os.environ["NUMBA_CACHE_DIR"] = str(folder)
        loaded = sys.modules.get("numba")
        if loaded is not None:  # numba reads the variable when it is imported
            loaded.config.CACHE_DIR = str(folder)
