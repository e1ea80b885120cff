"""Expectations over a normalised batch: points of the sphere |y|^2 = B, sum y = 0."""

from __future__ import annotations

from collections.abc import Sequence
from math import asin, ceil, exp, lgamma, pi, sqrt
from typing import NamedTuple

import numpy as np

from .activations import Activation, Array, Function
from .expectations import REACH


class BatchSphere(NamedTuple):
    """Quadrature over y uniform on the sphere |y|^2 = B, sum y = 0 of R^B, for functions of y_b.

    A coordinate is sqrt(B-1) sin t with t of density cos^(B-3) t; given the first, the second
    is on a sphere of one dimension less, about -1/(B-1) of the first.
    """

    size: int
    activation: Activation
    gain: float

    def expectation(self, function: Function) -> float:
        """Return E f(y_1)^2."""
        sine, weight = self._rule(self.size - 3, np.arcsin(self._places(self.activation.edges)))
        return float(weight @ function(sqrt(self.size - 1) * sine) ** 2)

    def pair_expectations(self, functions: Sequence[Function]) -> list[float]:
        """Return E f(y_1) f(y_2) for each f."""
        radius, tilt = sqrt(self.size - 1), -1.0 / (self.size - 1)
        outer, weight = self._rule(self.size - 3, self._outer_cuts(asin(tilt)))
        inner = [np.empty_like(outer) for _ in functions]
        for rows in np.array_split(np.arange(outer.size), ceil(outer.size / 256)):
            first = outer[rows, None]
            width = np.sqrt((1.0 - tilt**2) * (1.0 - first**2))
            cuts = (self._places(self.activation.edges) - tilt * first) / width
            sine, inner_weight = self._rule(self.size - 4, np.arcsin(np.clip(cuts, -1.0, 1.0)))
            second = radius * (tilt * first + width * sine)
            for k, function in enumerate(functions):
                inner[k][rows] = (inner_weight * function(second)).sum(axis=-1)
        return [float(weight @ (f(radius * outer) * inner[k])) for k, f in enumerate(functions)]

    def _outer_cuts(self, tilt: float) -> Array:
        """Angles of y_1 where f bends, and those where a bend of f(y_2) comes into reach."""
        kinks = np.arccos(self._places(self.activation.kinks or (0.0,)))
        arrivals = np.concatenate([s * tilt + t * kinks for s in (-1, 1) for t in (-1, 1)])
        bends = np.arcsin(self._places(self.activation.edges))
        return np.concatenate([bends, graded(arrivals)])

    def _places(self, edges: Sequence[float]) -> Array:
        return np.clip(np.array(edges) / (self.gain * sqrt(self.size - 1)), -1.0, 1.0)

    def _rule(self, power: int, cuts: Array) -> tuple[Array, Array]:
        wave = self.gain * sqrt(self.size - 1) / self.activation.wavelength
        return CosinePower(power, max(6, ceil(4.0 * wave))).rule(cuts)


class CosinePower(NamedTuple):
    """Composite Gauss-Legendre rule for the density ~ cos^power t on (-pi/2, pi/2)."""

    power: int
    panels: int

    def rule(self, cuts: Array) -> tuple[Array, Array]:
        """Return sin t and weights, a rule for each row of `cuts`, where panels end."""
        nodes, weights = np.polynomial.legendre.leggauss(16)
        reach = min(0.5 * pi, REACH / sqrt(max(self.power, 1)))
        bulk = np.linspace(-reach, reach, self.panels + 1)
        bulk = np.broadcast_to(bulk, (*cuts.shape[:-1], bulk.size))
        cuts = np.concatenate([bulk, np.clip(cuts, -reach, reach)], axis=-1)
        cuts = np.unique(cuts) if cuts.ndim == 1 else np.sort(cuts, axis=-1)
        half = 0.5 * np.diff(cuts)[..., None]
        t: Array = (cuts[..., :-1, None] + half * (1.0 + nodes)).reshape(*cuts.shape[:-1], -1)
        weight: Array = (half * weights).reshape(t.shape) * np.cos(t) ** self.power
        total = sqrt(pi) * exp(lgamma(0.5 * self.power + 0.5) - lgamma(0.5 * self.power + 1.0))
        return np.sin(t), weight / total


def graded(places: Array) -> Array:
    """Cuts about each place, where an integrand has a power of a half-integer order."""
    grades = np.concatenate([[0.0], 4.0 ** -np.arange(1, 9)])
    cuts: Array = places[:, None] + np.concatenate([-grades, grades])
    return cuts.ravel()
