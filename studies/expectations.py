"""Activation functions in plain NumPy, and Gaussian expectations of what is made of them.

The definitions here are independent of the compiled kernels, so that theory and measurement do not
share a mistake. Expectations use Gauss-Legendre panels split wherever the activation bends:
Gauss-Hermite quadrature sees a saturating activation as a step once its input is wide, and is
wrong in the third digit of the tanh network's Lyapunov exponent from weight scale 5 on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import ceil, inf, pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Function = Callable[[Array], Array]

REACH = 9.0
"""Standard deviations covered on each side; the Gaussian's weight beyond is 2e-19."""

FADED = 3.0
"""Standard deviation, in wavelengths, beyond which an oscillation has faded from all expectations:
E exp(2 pi i u / wavelength) is 1e-77 there."""


class Activation(NamedTuple):
    """An activation u -> phi(u) of slope 1, and what quadrature must know about it.

    Attributes
    ----------
    value, derivative : callable
        phi and phi' elementwise, accurate in the tails. phi' is one of its one-sided values at a
        kink.
    kinks : tuple of float
        Where phi, phi' or phi'' jumps.
    curved : bool
        Whether phi bends gradually between straight or flat tails.
    wavelength : float
        Period of an oscillating phi, else inf.
    bound : float
        sup |phi|.
    """

    value: Function
    derivative: Function
    kinks: tuple[float, ...] = ()
    curved: bool = True
    wavelength: float = inf
    bound: float = inf

    @property
    def edges(self) -> tuple[float, ...]:
        """Points u that separate panels on which a few Legendre nodes resolve phi."""
        return _BEND if self.curved else self.kinks

    @property
    def homogeneous(self) -> bool:
        """Whether phi(c u) = c phi(u) for every c > 0."""
        return not self.curved and self.wavelength == inf and self.bound == inf


# Bends have unit width about 0 and tails that decay like exp(-|u|) or faster; panels may double
# in width as the tail fades, and beyond |u| = 32 the tail is below 1e-13.
_BEND = (0.0, *(sign * 2.0**k for sign in (-1, 1) for k in range(6)))


def _sech2(u: Array) -> Array:
    decay = np.exp(-2.0 * np.abs(u))
    return 4.0 * decay / (1.0 + decay) ** 2


def _expit(u: Array) -> Array:
    from scipy.special import expit

    return np.asarray(expit(u))


def _erf(u: Array) -> Array:
    from scipy.special import erf

    return np.asarray(erf(u))


def _normal_cdf(u: Array) -> Array:
    from scipy.special import ndtr

    return np.asarray(ndtr(u))


def _normal_density(u: Array) -> Array:
    return np.exp(-0.5 * u * u) / sqrt(2.0 * pi)


def _leaky(leak: float) -> Activation:
    return Activation(
        lambda u: np.where(u > 0.0, u, leak * u),
        lambda u: np.where(u > 0.0, 1.0, leak),
        kinks=(0.0,),
        curved=False,
    )


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda u: u, np.ones_like, curved=False),
    "tanh": Activation(np.tanh, _sech2, bound=1.0),
    "sigmoid": Activation(_expit, lambda u: _expit(u) * _expit(-u), bound=1.0),
    "relu": _leaky(0.0),
    "leaky_relu": _leaky(0.01),
    "softplus": Activation(lambda u: np.logaddexp(0.0, u), _expit),
    "elu": Activation(
        lambda u: np.where(u > 0.0, u, np.expm1(np.minimum(u, 0.0))),
        lambda u: np.exp(np.minimum(u, 0.0)),
        kinks=(0.0,),
    ),
    "gelu": Activation(
        lambda u: u * _normal_cdf(u),
        lambda u: _normal_cdf(u) + u * _normal_density(u),
    ),
    "silu": Activation(
        lambda u: u * _expit(u),
        lambda u: _expit(u) * (1.0 + u * _expit(-u)),
    ),
    "erf": Activation(_erf, lambda u: 2.0 / sqrt(pi) * np.exp(-u * u), bound=1.0),
    "hard_tanh": Activation(
        lambda u: np.clip(u, -1.0, 1.0),
        lambda u: np.where(np.abs(u) < 1.0, 1.0, 0.0),
        kinks=(-1.0, 1.0),
        curved=False,
        bound=1.0,
    ),
    "sin": Activation(np.sin, np.cos, curved=False, wavelength=2.0 * pi, bound=1.0),
}
"""The activations by name, as PyTorch defines them (alpha = 1, leak 0.01, exact gelu)."""


def activation_named(name: str) -> Activation:
    """Return the activation of that name.

    Parameters
    ----------
    name : str
        A key of `ACTIVATIONS`.

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        If there is none of that name; the message lists those there are.
    """
    try:
        return ACTIVATIONS[name]
    except KeyError:
        allowed = ", ".join(ACTIVATIONS)
        raise ValueError(f"activation={name!r} is not one of: {allowed}") from None


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
    u, weight = _rule(np.zeros(()), spread, activation.edges, activation)
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
    outer, weight = _rule(
        np.zeros(()), spread, np.concatenate([activation.edges, *blurred]), activation
    )
    inner = np.empty_like(outer)
    for rows in np.array_split(np.arange(outer.size), ceil(outer.size / 512)):
        v, inner_weight = _rule(
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


def _rule(
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
    weight = half * weights * _normal_density(z)
    shape = (*mean.shape, -1)
    return mean[..., None] + spread * z.reshape(shape), weight.reshape(shape)
