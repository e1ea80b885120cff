"""Gaussian expectations of what is made of an activation and its derivative.

Expectations use Gauss-Legendre panels split wherever the activation bends: Gauss-Hermite
quadrature sees a saturating activation as a step once its input is wide, and is wrong in the third
digit of the tanh network's Lyapunov exponent from weight scale 5 on.
"""

from __future__ import annotations

from functools import cache
from math import ceil, inf, sqrt

import numpy as np

from .activations import Activation, Array, Function, normal_density

REACH = 9.0
"""Standard deviations covered on each side; the Gaussian's weight beyond is 2e-19."""


FADED = 3.0
"""Standard deviation, in wavelengths, beyond which an oscillation has faded from all expectations:
E exp(2 pi i u / wavelength) is 1e-77 there."""


def gaussian_expectation(function: Function, activation: Activation, variance: float) -> float:
    """Return E f(u) over u ~ N(0, variance), for f made of an activation and its derivative.

    Composite Gauss-Legendre quadrature (Davis & Rabinowitz 1984, section 2.9), with panels cut at
    the activation's kinks and graded about its bend. For products of phi, phi' and u the error is
    about 1e-14 of E|f(u)| at any variance. Of an oscillating activation, whose f may have u as a
    factor once, the expectation is the same for all spreads of more than `FADED` wavelengths, and
    is found there.

    Parameters
    ----------
    function : callable
        f, elementwise on arrays of u, growing no faster than a power.
    activation : Activation
        Says where f bends: f must be smooth wherever the activation is.
    variance : float
        Variance of u, finite and >= 0. At 0, the limit from above of a kinked f: the mean of f on
        both sides of 0.

    Returns
    -------
    float
    """
    # The least spread still sees both sides of a kink at 0, and its square is 0.
    spread = min(max(sqrt(variance), 1e-200), FADED * activation.wavelength)
    u, weight = gaussian_rule(np.zeros(()), spread, activation.edges, activation)
    return float(weight @ function(u))


def gaussian_pair_expectation(
    function: Function, activation: Activation, variance: float, correlation: float
) -> float:
    """Return E f(u) f(v) over jointly Gaussian u, v of equal variance and given correlation.

    f is phi or phi'. The outer integral over u is that of `gaussian_expectation`; the inner one
    over v given u has panels of its own for every u.

    Parameters
    ----------
    function, activation, variance
        As for `gaussian_expectation`.
    correlation : float
        Correlation of u and v, in [0, 1].

    Returns
    -------
    float
    """
    if activation.wavelength < inf:
        variance, correlation = _faded(activation, variance, correlation)
    if correlation == 1.0:
        return gaussian_expectation(lambda u: function(u) ** 2, activation, variance)
    if correlation == 0.0:
        return gaussian_expectation(function, activation, variance) ** 2
    spread = sqrt(variance)
    inner_spread = spread * sqrt((1.0 - correlation) * (1.0 + correlation))
    # E[f(v) | u] bends where its mean, correlation * u, passes a bend of f, and is as blurred
    # there as v is uncertain.
    blur = inner_spread / correlation * np.array([-8, -4, -2, -1, 0, 1, 2, 4, 8])
    blurred = [kink / correlation + blur for kink in activation.kinks or (0.0,)]
    outer, weight = gaussian_rule(
        np.zeros(()), spread, np.concatenate([activation.edges, *blurred]), activation
    )
    inner = np.empty_like(outer)
    for rows in np.array_split(np.arange(outer.size), ceil(outer.size / 512)):
        v, inner_weight = gaussian_rule(
            correlation * outer[rows], inner_spread, activation.edges, activation
        )
        inner[rows] = (inner_weight * function(v)).sum(axis=-1)
    return float(weight @ (function(outer) * inner))


def _faded(activation: Activation, variance: float, correlation: float) -> tuple[float, float]:
    """Return the least variance, and its correlation, at which the oscillation is as faded.

    u + v and u - v are independent, and fade one by one.
    """
    most = 2.0 * (FADED * activation.wavelength) ** 2
    along, across = (min((1.0 + c) * variance, most) for c in (correlation, -correlation))
    total = along + across
    return (0.5 * total, (along - across) / total) if total > 0.0 else (variance, correlation)


@cache
def _legendre() -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(16)
    return nodes, weights


def gaussian_rule(
    mean: Array, spread: float, edges: Array | tuple[float, ...], activation: Activation
) -> tuple[Array, Array]:
    """Return nodes u and weights of N(mean, spread^2), a rule of its own for each mean."""
    nodes, weights = _legendre()
    panels = max(6, ceil(2.0 * REACH * spread / activation.wavelength))
    bulk = np.linspace(-REACH, REACH, panels + 1)
    cuts = np.clip((np.asarray(edges) - mean[..., None]) / spread, -REACH, REACH)
    shape = (*mean.shape, bulk.size)
    cuts = np.sort(np.concatenate([np.broadcast_to(bulk, shape), cuts], axis=-1), axis=-1)
    half = 0.5 * np.diff(cuts)[..., None]
    z = cuts[..., :-1, None] + half * (1.0 + nodes)
    weight = half * weights * normal_density(z)
    shape = (*mean.shape, -1)
    return mean[..., None] + spread * z.reshape(shape), weight.reshape(shape)
