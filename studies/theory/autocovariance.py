"""Autocovariance of the states of a wide chaotic network with a leak, by dynamic mean-field theory.

Discrete time, h' = (1 - leak) h + leak (W phi(a h) + b): the W phi(a h) of a unit is Gaussian with
the covariance g^2 C(Delta) over lags at which h has the autocovariance Delta, where C(Delta) =
E phi(a h) phi(a h'). So with r = 1 - leak and F = g^2 C + bias_scale^2,

    (1 + r^2) Delta(t) - r [Delta(t+1) + Delta(t-1)] = leak^2 F(Delta(t)),     Delta(-1) = Delta(1),

and for leak -> 0 in units of 1/leak steps, Delta'' = Delta - F(Delta) with Delta'(0) = 0
(Sompolinsky, Crisanti & Sommers 1988, who solve it as the motion of a particle in a potential; in
discrete time Molgedey, Schuchhardt & Schuster 1992 for leak 1). F depends on the variance
Delta(0), which is that value for which Delta sinks from the top to the least fixed point of F,
the covariance of what never changes, without passing it or coming back.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, isnan, log, nan, sqrt
from typing import NamedTuple

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.typing import ArrayLike

from .activations import Array
from .layer import Layer
from .scalars import find_root

RESOLVED = 1e-9
"""Size, beside the largest, of the last coefficients of a polynomial that stands for a function."""

STEEP = 0.9
"""Leak beyond which Delta sinks by too large a factor per step for its way up to be followed."""

BALANCED = 1e-8
"""Largest miss of the equation at lag 0, over the variance, above that leak."""

AT_REST = 1e-15
"""Height above the floor, over the variance, that is none."""

START = 1e-8
"""Height above the floor, over the variance, at which the way up from it is still exponential."""


class Landscape(NamedTuple):
    """F at a given variance Delta(0), and where Delta comes to rest.

    Polynomials of t = sqrt(1 - Delta / Delta(0)), in which pair expectations of kinked activations
    are smooth too.

    Attributes
    ----------
    variance : float
        Delta(0).
    image : Chebyshev
        F.
    gain : Chebyshev
        F' = g^2 a^2 E phi'(a h) phi'(a h') (Price's theorem).
    floor : float
        The least fixed point of F; nan if there is none below the variance.
    """

    variance: float
    image: Chebyshev
    gain: Chebyshev
    floor: float

    @classmethod
    def at(cls, layer: Layer, variance: float, resolved: float = RESOLVED) -> Landscape:
        """Return that of a network whose states have the variance."""

        def steepness(t: Array) -> Array:
            return np.array([layer.correlation_growth(variance, 1.0 - x**2) for x in t.tolist()])

        gain = _interpolated(steepness, resolved)
        per_t = 2.0 * variance * Chebyshev.identity([0.0, 1.0])  # -d Delta / dt
        image = layer.variance(variance) - (per_t * gain).integ(lbnd=0.0)
        rough = cls(variance, image, gain, nan)
        if layer.covariance(variance, 0.0) <= 1e-15 * variance:  # odd, and without bias
            return rough._replace(floor=0.0)
        return rough._replace(floor=rough._least_fixed_point())

    def force(self, delta: float) -> float:
        """Return F(Delta); its tangent outside [0, Delta(0)], where other variances lead."""
        inside = min(max(delta, 0.0), self.variance)
        value = float(self.image(sqrt(1.0 - inside / self.variance)))
        return value if inside == delta else value + float(self.slope(inside)) * (delta - inside)

    def slope(self, delta: ArrayLike) -> Array:
        """Return F'(Delta)."""
        t = np.sqrt(1.0 - np.clip(np.asarray(delta) / self.variance, 0.0, 1.0))
        return np.asarray(self.gain(t))

    @property
    def energy(self) -> float:
        """What a particle at rest at Delta(0) has more than one at the floor, in leak -> 0."""
        t = Chebyshev.identity([0.0, 1.0])
        work = ((self.image / self.variance - (1.0 - t**2)) * 2.0 * t).integ(lbnd=0.0)
        return float(work(sqrt(1.0 - self.floor / self.variance)))

    def climb(self, leak: float, start: float, length: int | None = None) -> Array:
        """Return Delta on its way up from `start` above the floor, to just behind its peak."""
        r, path = 1.0 - leak, [self.floor + start * self.decay(leak), self.floor + start]
        while path[-1] > path[-2] if length is None else len(path) < length:
            force = self.force(path[-1])
            path.append(((1.0 + r**2) * path[-1] - leak**2 * force) / r - path[-2])
        return np.array(path)

    def decay(self, leak: float) -> float:
        """Return the factor by which the height above the floor shrinks per step."""
        r = 1.0 - leak
        cosh = (1.0 + r**2 - leak**2 * float(self.slope(self.floor))) / (2.0 * r)
        return 1.0 / (cosh + sqrt(cosh**2 - 1.0))

    def symmetric_climb(self, leak: float) -> Array:
        """Return that path up whose peak is symmetric, from the floor to the peak."""
        high = START * self.variance
        length = len(self.climb(leak, high))

        def lean(start: float, length: int) -> float:
            path = self.climb(leak, start, length)
            return float(path[-1] - path[-3])

        length += lean(high, length) > 0.0
        low = high * self.decay(leak)  # with which the path is the same, one step later
        return self.climb(leak, find_root(lambda s: lean(s, length), low, high), length)[:-1]

    def descent(self, leak: float) -> Array:
        """Return Delta(0), Delta(1), ... down to rest, by Newton's method from an exponential.

        From Delta(1) on: the equation at lag 0 is left to the choice of Delta(0).
        """
        from scipy.linalg import solve_banded

        r, factor = 1.0 - leak, self.decay(leak)
        lags = 3 + ceil(log(AT_REST) / log(factor))
        delta = np.asarray(self.floor + (self.variance - self.floor) * factor ** np.arange(lags))
        band = np.full((3, lags - 2), -r)
        for _ in range(50):
            inner = delta[1:-1]
            band[1] = 1.0 + r**2 - leak**2 * self.slope(inner)
            step = solve_banded((1, 1), band, self._residual(leak, delta))
            inner -= step
            if not AT_REST * self.variance < np.abs(step).max() < self.variance:
                break
        return delta

    def _residual(self, leak: float, delta: Array) -> Array:
        """Return by how much Delta misses its equation, at all lags between the ends."""
        r, inner = 1.0 - leak, delta[1:-1]
        image = np.asarray(self.image(np.sqrt(1.0 - np.clip(inner / self.variance, 0.0, 1.0))))
        return (1.0 + r**2) * inner - r * (delta[:-2] + delta[2:]) - leak**2 * image

    def _least_fixed_point(self) -> float:
        """Newton's iteration from 0, which approaches it from below as F is convex."""
        delta = 0.0
        for _ in range(100):
            step = (self.force(delta) - delta) / (1.0 - float(self.slope(delta)))
            delta += step
            if abs(step) <= 1e-7 * self.variance:  # convergence is quadratic
                return delta
            if not 0.0 < delta < self.variance:
                break
        return nan


def autocovariance(layer: Layer, leak: float, largest: float) -> tuple[Landscape, Array]:
    """Return the landscape at the stationary variance, and Delta(0), Delta(1), ... down to rest.

    Parameters
    ----------
    layer : Layer
        The network, without input.
    leak : float
        In (0, 1).
    largest : float
        Variance of the unstable stationary state, above that of the chaotic one.

    Raises
    ------
    ValueError
        For a leak above `STEEP` where the equation cannot be met at all lags.
    """

    def overshoot(landscape: Landscape) -> float:
        return float(landscape.symmetric_climb(leak)[-1]) / landscape.variance - 1.0

    if leak > STEEP:
        landscape = _steep_landscape(layer, leak, largest)
        return landscape, landscape.descent(leak)
    landscape = _landscape_without(overshoot, layer, largest)
    return landscape, landscape.symmetric_climb(leak)[::-1]


def _steep_landscape(layer: Layer, leak: float, largest: float) -> Landscape:
    """Return the landscape whose Delta, on its way down, obeys the equation at lag 0, too."""

    def imbalance(variance: float) -> float:
        landscape = Landscape.at(layer, variance)
        if not float(landscape.slope(landscape.floor)) < 1.0:  # no way leads down to the floor
            return -1.0
        delta = landscape.descent(leak)
        miss = float(landscape._residual(leak, delta[[1, 0, 1]])[0]) / variance  # even in the lag
        return miss if np.abs(delta).max() <= variance else -1.0  # below all that have a solution

    low = 0.95 * _continuous_variance(layer, largest)
    landscape = Landscape.at(layer, find_root(imbalance, low, largest, 1e-11 * largest))
    if not abs(imbalance(landscape.variance)) <= BALANCED:
        raise ValueError("the autocovariance is not found")
    return landscape


def continuous_landscape(layer: Layer, largest: float) -> Landscape:
    """Return the landscape for leak -> 0: the particle's energy at the top is that at the floor."""
    return _landscape_without(lambda landscape: landscape.energy, layer, largest)


def _landscape_without(
    excess: Callable[[Landscape], float], layer: Layer, largest: float
) -> Landscape:
    """Return the landscape at which `excess` is 0, by secants from that of continuous time."""
    from scipy.optimize import root_scalar

    near = _continuous_variance(layer, largest)
    found = root_scalar(
        lambda variance: excess(Landscape.at(layer, variance)),
        x0=near,
        x1=near * (1.0 - 1e-4),
        rtol=1e-10,
        method="secant",
    )
    return Landscape.at(layer, found.root)


def _continuous_variance(layer: Layer, largest: float) -> float:
    """Return roughly the variance for leak -> 0."""

    def energy(variance: float) -> float:
        landscape = Landscape.at(layer, variance, resolved=1e-4)
        return 1.0 if isnan(landscape.floor) else landscape.energy

    low, high = 0.9 * largest, (1.0 - 1e-6) * largest
    while energy(low) < 0.0:
        low, high = 0.9 * low, low
    return find_root(energy, low, high, 1e-4 * largest)


def _interpolated(function: Callable[[Array], Array], resolved: float) -> Chebyshev:
    """Return a polynomial on [0, 1] of a degree that resolves the function, at most 255."""
    for nodes in (16, 32, 64, 128, 256):
        polynomial = Chebyshev.interpolate(function, nodes - 1, domain=[0.0, 1.0])
        size = np.abs(polynomial.coef)
        if size[-3:].max() <= resolved * size.max():
            break
    return polynomial
