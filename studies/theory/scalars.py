"""Roots, and logarithms of what may be 0."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log


def find_root(
    function: Callable[[float], float], low: float, high: float, margin: float = 1e-300
) -> float:
    """Return where a function crosses zero, to a relative accuracy of 1e-14 or within a margin."""
    from scipy.optimize import brentq  # takes a third of a second, which not every run needs

    return float(brentq(function, low, high, xtol=margin, rtol=1e-14))


def first_root(excess: Callable[[float], float], start: float, factor: float, end: float) -> float:
    """Return the first zero of `excess` from start by steps of `factor`; past the end, inf or 0."""
    rising = factor > 1.0
    near = start
    while near < end if rising else near > end:
        far = factor * near
        if (excess(far) > 0.0) != rising:
            return find_root(excess, min(near, far), max(near, far))
        near = far
    return inf if rising else 0.0


def logarithm(x: float) -> float:
    """Return ln x, -inf for x <= 0."""
    return log(x) if x > 0.0 else -inf
