"""Where a measured curve crosses zero."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..engine import Array


def first_rise(x: Array, y: Array) -> float:
    """Where y, on straight lines between its points, first rises through 0; NaN for nowhere.

    Parameters
    ----------
    x : ndarray, shape (n,)
        Ascending.
    y : ndarray, shape (n,)
        Points that are not finite are left out.

    Returns
    -------
    float
    """
    import numpy as np

    there = np.isfinite(y)
    x, y = x[there], y[there]
    rises = np.flatnonzero((y[:-1] < 0) & (y[1:] >= 0))
    if not rises.size:
        return nan
    k = rises[0]
    return float(x[k] - y[k] * (x[k + 1] - x[k]) / (y[k + 1] - y[k]))
