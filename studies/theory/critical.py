"""Weight scales at which gradients neither vanish nor explode."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .activations import Array
from .bounds import derivative_bound
from .layer import Layer
from .plain import stationary_variance
from .scalars import find_root


def critical_weight_scale(
    activation: str,
    *,
    slope: float = 1.0,
    bias_scale: float = 0.0,
    input_variance: float = 0.0,
) -> float:
    """Return the smallest weight scale at which gradients stop vanishing, chi_1 = 1.

    The edge of chaos of Poole et al. 2016 and Schoenholz et al. 2017; with input, the onset of
    chaos in driven networks (Molgedey, Schuchhardt & Schuster 1992).

    Parameters
    ----------
    activation, slope, bias_scale, input_variance
        As for `mean_field`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As `mean_field`.
    """

    # Above an onset at q = 0, chi_1 exceeds 1 only in second order, which round-off hides; below
    # it chi_1 falls in first order. So look for a value just under 1.
    def excess(weight_scale: float) -> float:
        layer = Layer.of(activation, slope, weight_scale, bias_scale, input_variance)
        q = stationary_variance(layer, None)
        return layer.growth(q) - (1.0 - 1e-13)

    low = (1.0 - 1e-12) / derivative_bound(activation, slope)  # chi_1 < 1 for certain
    high = 1.2 * low
    while excess(high) < 0.0:
        low, high = high, 1.2 * high
    while True:
        root = find_root(excess, low, high)
        # gelu and silu cross 1 up, down and up again within a percent: take the first.
        high = root * (1.0 - 1e-6)
        if excess(high) < 0.0:
            return root


def critical_line(
    activation: str,
    *,
    slope: float = 1.0,
    bias_scale: ArrayLike = 0.0,
    input_variance: ArrayLike = 0.0,
) -> Array:
    """Return `critical_weight_scale` along a bias or an input, or over a grid of both.

    Parameters
    ----------
    activation, slope
        As for `mean_field`.
    bias_scale, input_variance : array_like
        As for `mean_field`; their shapes broadcast.

    Returns
    -------
    ndarray, of the broadcast shape

    Raises
    ------
    ValueError
        As `mean_field`.
    """

    def point(bias_scale: float, input_variance: float) -> float:
        drive = {"bias_scale": bias_scale, "input_variance": input_variance}
        return critical_weight_scale(activation, slope=slope, **drive)

    return np.asarray(np.vectorize(point, otypes=[np.float64])(bias_scale, input_variance))
