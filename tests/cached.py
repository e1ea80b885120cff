"""Processes that compile a small kernel, and the files that they keep."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

KERNEL = """
import numpy as np
from gradhorizon.kernels import activations
from gradhorizon.kernels.cells import rnn
from gradhorizon.kernels.precision import FORMATS
from gradhorizon.kernels.specialise import specialise
def relu_derivative(dtype="float64"):
    kernel = specialise(rnn.linearise, "probe", phi=activations.relu, **FORMATS["float64"])
    dz, one = np.zeros((1, 1, 1)), np.ones((1, 1), dtype)
    kernel(one, one, 0, np.ones(1), dz, np.zeros((1, 1, 1)))
    return dz.item(), sum(kernel.stats.cache_hits.values())
"""
TOLD = KERNEL + "print(*relu_derivative())\n"
"""The derivative of relu at 1, of a kernel in another file than `relu`; whether it was kept."""

EDITED = "(real(3.0) if z > real(0.0) else real(0.0))"
"""What takes the place of relu's derivative, ``real(1.0) if z > ...``: 3 instead of 1."""

FOLDERS = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")


def python(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that knows no folder for caches but those of `environment`."""
    known = {k: v for k, v in os.environ.items() if k not in FOLDERS}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=known | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )


def kept(folder: Path) -> list[Path]:
    """Files of compiled code."""
    return sorted(path for end in ("nbc", "nbi") for path in folder.rglob(f"*.{end}"))
