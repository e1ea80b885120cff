"""Depths over which wide untied networks forget."""

from __future__ import annotations

from math import inf, isnan, nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .activations import Array
from .layer import Layer
from .plain import stationary_variance
from .scalars import logarithm


class DepthScales(NamedTuple):
    """Numbers of steps over which a wide untied network forgets by a factor e.

    Attributes
    ----------
    xi_grad : float
        The squared gradient's: 1/|ln chi_1|, whether it shrinks or grows.
    xi_q : float
        The distance of the pre-activation variance from its fixed point.
    xi_c : float
        The distance of the correlation of two inputs from its fixed point.
    fixed_correlation : float
        That fixed point, c*: 1 where nearby inputs converge.
    """

    xi_grad: float
    xi_q: float
    xi_c: float
    fixed_correlation: float


def depth_scales(
    activation: str,
    *,
    slope: float = 1.0,
    weight_scale: float = 1.0,
    bias_scale: float = 0.0,
    input_variance: float = 0.0,
) -> DepthScales:
    """Return the depths over which a wide untied network forgets gradient, norm and angle.

    xi_grad = 1/|ln chi_1|, xi_q = -1/ln(chi_1 + weight_scale^2 a^2 E phi'' phi), xi_c = -1/ln
    chi_{c*} with chi_c = weight_scale^2 a^2 E phi'(u) phi'(v) for u, v of correlation c, and c* the
    stable fixed point of the correlation map (Poole et al. 2016; Schoenholz et al. 2017).

    Parameters
    ----------
    activation, slope, weight_scale, bias_scale
        As for `mean_field`.
    input_variance : float
        Variance of an input at every step, the same for the two copies that are compared.

    Returns
    -------
    DepthScales
        In steps. Where the variance diverges, xi_q is inf, xi_c and fixed_correlation are nan;
        where it vanishes they are the limits of a weak bias.

    Raises
    ------
    ValueError
        As `mean_field`.
    """
    layer = Layer.of(activation, slope, weight_scale, bias_scale, input_variance)
    q = stationary_variance(layer, None)
    chi_1 = layer.growth(q)
    xi_grad = _depth(chi_1)
    if q == inf:
        return DepthScales(xi_grad, inf, nan, nan)
    if q == 0.0 or isnan(q):
        return DepthScales(xi_grad, xi_grad, xi_grad, 1.0)
    xi_q = _depth(layer.variance_multiplier(q))
    fixed_correlation, chi_c = _stationary_correlation(layer, q, chi_1)
    return DepthScales(xi_grad, xi_q, _depth(chi_c), fixed_correlation)


def trainable_depth(
    activation: str,
    weight_scale: ArrayLike,
    bias_scale: ArrayLike = 0.0,
    *,
    slope: float = 1.0,
) -> Array:
    """Return 6 xi_c, the depth beyond which plain nets were found not to train, over a grid.

    From there on the angle between two inputs is within e^-6 of what it ends up as, whatever the
    inputs were. The factor 6 is an observation of Schoenholz et al. 2017, not a law.

    Parameters
    ----------
    activation : str
        Name of phi.
    weight_scale, bias_scale : array_like
        As for `mean_field`; their shapes broadcast.
    slope : float
        a in phi(a net), > 0.

    Returns
    -------
    ndarray, of the broadcast shape
        Layers; inf on the critical line, nan where the variance diverges.

    Raises
    ------
    ValueError
        As `mean_field`.
    """

    def depth(weight_scale: float, bias_scale: float) -> float:
        scales = {"weight_scale": weight_scale, "bias_scale": bias_scale}
        return 6.0 * depth_scales(activation, slope=slope, **scales).xi_c

    return np.asarray(np.vectorize(depth, otypes=[np.float64])(weight_scale, bias_scale))


def _stationary_correlation(layer: Layer, q: float, chi_1: float) -> tuple[float, float]:
    """Return the stable fixed point c* of the correlation map, and chi_{c*}.

    The map is a power series in c with non-negative coefficients (Poole et al. 2016), so convex:
    below 1 it has a fixed point only if its slope at 1, chi_1, exceeds 1, and Newton's iteration
    from 0 approaches that from below.
    """
    if chi_1 <= 1.0 + 1e-9:
        return 1.0, chi_1
    c = 0.0
    for _ in range(100):
        image, slope = layer.correlation(q, c)
        step = (image - c) / (1.0 - slope)
        if step <= 1e-13 or c + step >= 1.0:
            break
        c += step
    return c, slope


def _depth(multiplier: float) -> float:
    """Return the steps over which repeated multiplication changes a quantity by a factor e."""
    exponent = abs(logarithm(abs(multiplier)))
    return 1.0 / exponent if exponent > 0.0 else inf
