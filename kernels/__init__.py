"""Compiled numerics: cells, sweeps, random numbers. Imports numba and numpy only.

The cache folder is set before anything is compiled; `library` holds the compiled kernels by name.
"""

from __future__ import annotations

from .cache import set_cache_directory

set_cache_directory()
