"""Exact theory as checks of the whole program: one file per group of statements."""

from __future__ import annotations

from . import (
    chaotic,
    deep,
    depths,
    gated,
    independent,
    normalized,
    powers,
    relu,
    spectra,
    tied,
)
from .check import EXTRAPOLATED, Check, Exact, Result, Statistical
from .draws import SIZES, Draws, Size

CHECKS: tuple[Check, ...] = (
    *chaotic.CHECKS,
    *spectra.CHECKS,
    *relu.CHECKS,
    *tied.CHECKS,
    *powers.CHECKS,
    *independent.CHECKS,
    *deep.CHECKS,
    *depths.CHECKS,
    *gated.CHECKS,
    *normalized.CHECKS,
)
"""All of them; each draws networks of its own."""

__all__ = [
    "CHECKS",
    "EXTRAPOLATED",
    "SIZES",
    "Check",
    "Draws",
    "Exact",
    "Result",
    "Size",
    "Statistical",
]
