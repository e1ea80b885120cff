"""The whole distribution, over random networks, of the rate where it is known exactly at any size.

In an untied linear or ReLU net without biases the gradient's norm grows over a layer by a factor
whose square is (scale^2 / n) chi^2_K, independently of all other layers: K = n for linear units
(Newman 1986), K ~ Binomial(n, 1/2) active ones for ReLU (Hanin & Nica 2020). The rate is the mean
of the logarithms of those factors. Its characteristic function is a product of Gamma functions,

    E exp(i u rate) = [sum_K p_K exp(i u a / T) Gamma(K/2 + i u / 2T) / Gamma(K/2)]^T,

with a = ln(2 scale^2 / n) / 2 and T layers, since the Mellin transform of chi^2_K is one (Springer
1979, section 4.5), and is inverted numerically (Gil-Pelaez 1951; Davies 1973).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf, log, pi, sqrt

import numpy as np
from numpy.typing import ArrayLike

from .activations import Array
from .products import deep_relu_increment, gaussian_product_exponents
from .ranges import check_positive

NEGLIGIBLE = 1e-17
"""Of probabilities and of the characteristic function."""

RESOLVED = 1e-9
"""Smallest probability whose quantile is given. The inversion is good to about 1e-15, or to
1e-16 T ln Gamma(n/2) if that is larger: differences of ln Gamma lose so much."""


@dataclass(frozen=True, eq=False)
class RateDistribution:
    """Distribution of a rate, nats per step; made by `linear_rate` and `relu_rate`.

    Attributes
    ----------
    mean, sd : float
        Exact, by digamma and trigamma functions.
    layers : int
        Layers T that the rate is a mean over.
    offset : float
        The a of the formula.
    units, probability : ndarray, shape (k,)
        Numbers K >= 1 of active units that a layer may have, and their probabilities.
    """

    mean: float
    sd: float
    layers: int
    offset: float
    units: Array
    probability: Array

    def characteristic_function(self, u: ArrayLike) -> np.ndarray:
        """E exp(i u rate), complex, shape of `u` (steps per nat)."""
        u = np.asarray(u, dtype=np.float64)
        return self._centred(u) * np.exp(1j * u * self.mean)

    def density(self, rate: ArrayLike) -> Array:
        """Probability density at rates, steps per nat."""
        return self._inverted(rate, lambda u, wave: wave.real, 0.0, 0.0)

    def cdf(self, rate: ArrayLike) -> Array:
        """Probability of a rate no larger than `rate`."""
        below = self._inverted(rate, lambda u, wave: wave.imag / u, 0.5, -0.5)
        return np.clip(0.5 - below, 0.0, 1.0)

    def quantile(self, q: ArrayLike) -> Array:
        """The rate below which a network's lies with probability q.

        Raises
        ------
        ValueError
            If a probability is not between 1e-9 and 1 - 1e-9.
        """
        from scipy.optimize import brentq

        probability = np.asarray(q, dtype=np.float64)
        if not np.all((probability >= RESOLVED) & (probability <= 1 - RESOLVED)):
            raise ValueError(f"q must lie between {RESOLVED} and 1 - {RESOLVED}, got {q!r}")
        ends = self.mean - self._reach, self.mean + self._reach
        found = [
            brentq(lambda x, p=p: self.cdf(x) - p, *ends, xtol=1e-12 * self.sd)
            for p in probability.ravel()
        ]
        return np.reshape(found, probability.shape)

    def _inverted(
        self, rate: ArrayLike, part: Callable[[Array, np.ndarray], Array], low: float, high: float
    ) -> Array:
        """1/pi times the integral of a part of the centred function, by the midpoint rule.

        The rule's error is the probability beyond one period, here twice the reach, from the rate
        (Davies 1973). `low` and `high` are the values beyond the reach, below and above the mean.
        """
        u, centred = self._spectrum
        distance = np.asarray(rate, dtype=np.float64) - self.mean
        wave = centred * np.exp(-1j * u * distance[..., None])
        inside = part(u, wave).sum(axis=-1) / self._reach
        outside = np.where(distance < 0, low, high)
        return np.where(abs(distance) < self._reach, inside, outside)

    @cached_property
    def _spectrum(self) -> tuple[Array, np.ndarray]:
        """The nodes of the inversion and the centred characteristic function there."""
        nodes = 64
        while True:
            u = np.asarray((np.arange(nodes) + 0.5) * (pi / self._reach))
            if abs(self._centred(u[-1])) < NEGLIGIBLE:
                return u, self._centred(u)
            nodes *= 2

    @cached_property
    def _reach(self) -> float:
        """Distance from the mean beyond which lies no probability to speak of.

        By Chernoff's bound, P(|rate - mean| > x) <= E exp(s T (|rate - mean| - x)), the smallest
        over a few s, on the side where it is larger. Below the mean s must not reach the smallest
        K, where the moment is infinite.
        """
        s = self.units.min() / 2.0 ** np.arange(1, 20)
        needed = -log(NEGLIGIBLE) / self.layers
        moments = (np.log(self._growth(sign * s).real) for sign in (-1, 1))
        return float(max(np.min((needed + moment) / s) for moment in moments))

    def _centred(self, u: ArrayLike) -> np.ndarray:
        """E exp(i u (rate - mean)): without the mean, whose phase would lose digits."""
        return np.asarray(self._growth(1j * np.asarray(u) / self.layers) ** self.layers)

    def _growth(self, s: np.ndarray) -> np.ndarray:
        """E exp(s (growth - mean)) of one layer's ln of the norm, by the Gamma function."""
        from scipy.special import loggamma

        half, s = 0.5 * self.units, np.asarray(s)[..., None]
        moved = loggamma(half + 0.5 * s + 0j) - loggamma(half) - s * (self.mean - self.offset)
        return np.asarray(np.exp(moved) @ self.probability)


def linear_rate(n: int, layers: int, weight_scale: float = 1.0) -> RateDistribution:
    """Distribution of the gradient's rate in untied linear nets.

    Parameters
    ----------
    n : int
        Width of the layers, >= 1.
    layers : int
        Layers that the rate is a mean over, >= 1: ``steps`` - 1 - ``burn_in`` of `measure`.
    weight_scale : float
        Weights are N(0, weight_scale^2 / n); > 0.

    Returns
    -------
    RateDistribution

    Raises
    ------
    ValueError
        If a parameter is outside its range.
    """
    _check(n, layers, weight_scale)
    exponents = gaussian_product_exponents(n, weight_scale)
    mean, variance = float(exponents.exponent[0]), float(exponents.step_variance[0])
    units, sure = np.array([float(n)]), np.ones(1)
    return RateDistribution(
        mean, sqrt(variance / layers), layers, _offset(n, weight_scale), units, sure
    )


def relu_rate(n: int, layers: int, weight_scale: float = sqrt(2.0)) -> RateDistribution:
    """Distribution of the gradient's rate in untied ReLU nets, given that no layer is dead.

    Networks with a dead layer have no rate; each layer is dead with probability 2^-n. Given that
    none is, the layers are still independent, each with K >= 1.

    Parameters
    ----------
    n, layers, weight_scale
        As for `linear_rate`; the default scale is that of He et al. 2015.

    Returns
    -------
    RateDistribution

    Raises
    ------
    ValueError
        If a parameter is outside its range.
    """
    from scipy.stats import binom

    _check(n, layers, weight_scale)
    increment = deep_relu_increment(n, weight_scale)  # of the logarithm of the square
    units = np.arange(1.0, n + 1)
    probability = binom.pmf(units, n, 0.5) / (1 - increment.dead_probability)
    sd = 0.5 * sqrt(increment.variance / layers)
    there = probability > NEGLIGIBLE
    return RateDistribution(
        0.5 * increment.mean,
        sd,
        layers,
        _offset(n, weight_scale),
        units[there],
        probability[there],
    )


def _offset(n: int, weight_scale: float) -> float:
    return 0.5 * log(2.0 * weight_scale**2 / n)


def _check(n: int, layers: int, weight_scale: float) -> None:
    check_positive(weight_scale=weight_scale)
    for name, value in (("n", n), ("layers", layers)):
        if not 1 <= value < inf:
            raise ValueError(f"{name}={value} must be >= 1")
