"""A root of a function of one variable; scipy.optimize would cost a short run a third of a second.

(It loads sparse matrices and more before the first root is looked for.)
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

ACCURACY = 1e-14
"""Relative width at which a bracket is narrow enough."""


def bracketed_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return x between `low` and `high`, of opposite signs of the function, where it crosses zero.

    The algorithm of Chandrupatla 1997 (Advances in Engineering Software 28, 145): inverse quadratic
    interpolation where the last three points allow it, bisection elsewhere.

    Parameters
    ----------
    function : callable
        Continuous.
    low, high : float
        Both > 0.

    Returns
    -------
    float
        To a relative accuracy of `ACCURACY`.

    Raises
    ------
    ValueError
        If the function has the same sign at both ends.
    """
    a, b = low, high
    at_a, at_b = function(a), function(b)
    if at_a == 0.0 or at_b == 0.0:
        return a if at_a == 0.0 else b
    if (at_a > 0.0) == (at_b > 0.0):
        raise ValueError(f"no change of sign between {low} and {high}: {at_a} and {at_b}")
    fraction = 0.5  # of the way from the newest end, a, to the other
    while True:
        x = a + fraction * (b - a)
        at_x = function(x)
        # c: the point that x drives out, or the newest one before
        if (at_x > 0.0) == (at_a > 0.0):
            c, at_c = a, at_a
        else:
            c, at_c, b, at_b = b, at_b, a, at_a
        a, at_a = x, at_x
        best = a if abs(at_a) < abs(at_b) else b
        if at_a == 0.0 or abs(b - a) <= ACCURACY * abs(best):
            return best
        least = 0.5 * ACCURACY * abs(best) / abs(b - a)
        fraction = max(least, min(1.0 - least, _interpolated((a, b, c), (at_a, at_b, at_c))))


def _interpolated(points: tuple[float, float, float], at: tuple[float, float, float]) -> float:
    """Return where the parabola x(f) through three points is zero, else the middle."""
    (a, b, c), (at_a, at_b, at_c) = points, at
    ratio, height = (a - b) / (c - b), (at_a - at_b) / (at_c - at_b)
    if not 1.0 - sqrt(max(0.0, 1.0 - ratio)) < height < sqrt(ratio):
        return 0.5
    first = at_a / (at_b - at_a) * at_c / (at_b - at_c)
    return first + (c - a) / (b - a) * at_a / (at_c - at_a) * at_b / (at_c - at_b)
