"""Compiled numerics: cells, sweeps, random numbers. Imports numba and numpy only.

`library` holds the compiled kernels by name. The sources are read for `kernel_digest` before any of
them is imported: what is imported later and was edited meanwhile is noticed.
"""

from __future__ import annotations

from . import digest as digest
