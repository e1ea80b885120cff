"""Law of ln phi'^2 over a Gaussian pre-activation, in the averages that spectra are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from math import ceil, inf, log, log2, sqrt

import numpy as np

from .activations import Array, Function, activation_named
from .expectations import FADED, REACH, gaussian_expectation, gaussian_rule
from .turns import Branch, monotone_branches, zeros_of_derivative

STEP = 5.0
"""Change of ln phi'^2 over a panel, on which 16 nodes resolve a logistic function to 1e-14."""

SPAN = 40.0
"""Distance in ln phi'^2 from its middle beyond which a logistic function is 0 or 1."""

WINDOW = 80.0
"""Levels within which panels are shared: about as far as those of a single level reach."""

ROWS = 256
"""Levels averaged at a time, so that memory does not grow with their number."""


class SlopeLaw:
    """Distribution of l = ln phi'(u)^2 over u ~ N(0, variance).

    The averages are of functions that step from 0 to 1 about some level of l, in an interval of u
    that may lie anywhere and be of any width. So each level has quadrature panels of its own, cut
    where l passes the neighbourhood of the level.

    Parameters
    ----------
    activation : str
        Name of phi.
    variance : float
        Variance of u; inf for the limit.
    """

    def __init__(self, activation: str, variance: float) -> None:
        self.activation = activation_named(activation)
        self.diverged = variance == inf
        # Averages of a period: E exp(2 i u) is 1e-22 at this spread.
        faded = FADED / 4.0 * self.activation.wavelength
        self.spread = min(max(sqrt(min(variance, 1e30)), 1e-200), faded)
        reach = REACH * self.spread
        self._branches = [self._tabulate(b) for b in monotone_branches(activation, reach)]
        self._zeros = np.array(zeros_of_derivative(activation, reach))

    def share(self, level: float) -> float:
        """Return E 1 / (1 + exp(level - l)): the share of steep units, smoothly counted."""
        return float(self.shares(np.array([level]))[0])

    def shares(self, levels: Array) -> Array:
        """Return `share` at each of many levels; those near one another share their panels."""
        from scipy.special import expit

        found, window = np.empty_like(levels), np.floor(levels / WINDOW)
        for one in np.unique(window):
            inside = np.flatnonzero(window == one)
            slope, weight = self._slopes(levels[inside].min(), levels[inside].max())
            for rows in np.array_split(inside, ceil(inside.size / ROWS)):
                found[rows] = expit(slope - levels[rows, None]) @ weight
        return found

    def rest(self, level: float) -> float:
        """Return 1 - `share`, accurate where that is small."""
        from scipy.special import expit

        return self._average(lambda slope: expit(level - slope), level)

    def surplus(self, level: float) -> float:
        """Return E ln(1 + exp(l - level)): the integral of `share` from the level on."""
        return self._average(lambda slope: _log1p_exp(slope - level), level)

    @cached_property
    def log_mean_square(self) -> float:
        """ln E phi'^2."""
        unit = self.activation
        return log(gaussian_expectation(lambda u: unit.derivative(u) ** 2, unit, self.spread**2))

    @cached_property
    def mean(self) -> float:
        """E l; -inf where a share of the units is flat."""
        if self.living < 1.0:
            return -inf
        return self._average(lambda slope: slope, 0.0)

    @cached_property
    def living(self) -> float:
        """Probability that phi' is not 0."""
        if self._branches and not self.diverged:
            return 1.0
        return self._average(lambda slope: (slope > self.least).astype(np.float64), 0.0)

    @cached_property
    def least(self) -> float:
        """A level that all but 1e-17 of the living units exceed, as far as it is finite."""
        slope, _ = self._slopes(0.0, 0.0)
        floor = -1400.0 if self.diverged else -1e300
        return max(floor, float(slope[slope > -inf].min())) - 80.0

    def _average(self, function: Function, level: float) -> float:
        slope, weight = self._slopes(level, level)
        return float(weight @ function(slope))

    def _slopes(self, low: float, high: float) -> tuple[Array, Array]:
        """Return l at the nodes of a rule that resolves steps at levels from low to high.

        With them their weights.
        """
        edges = self._edges(low, high)
        u, weight = gaussian_rule(np.zeros(()), self.spread, edges, self.activation)
        inside = weight > 0.0  # at the end of an empty panel l may be -inf
        return 2.0 * self.activation.log_derivative(u[inside]), weight[inside]

    def _edges(self, low: float, high: float) -> Array:
        far = 2.0 ** np.arange(6, max(6, ceil(log2(REACH * self.spread))))
        near = self._zeros[:, None] + np.concatenate([-_GRADES, _GRADES])
        levels = low + np.arange(-SPAN, high - low + SPAN + STEP, STEP)
        cuts = [branch(levels) for branch in self._branches]
        edges = [np.array(self.activation.edges), far, -far, near.ravel()]
        return np.concatenate(edges + cuts)

    def _tabulate(self, branch: Branch) -> Callable[[Array], Array]:
        """Return where l passes given levels; roughly, as panels need no more.

        Near a zero of phi' l is the logarithm of the distance, far out a power of it.
        """
        distance = branch.length * np.geomspace(1e-14, 1.0, 400)
        slope = 2.0 * self.activation.log_derivative(branch.anchor + branch.side * distance)
        top = slope.max()
        depth, order = np.log1p(top - slope), np.argsort(slope)[::-1]

        def cuts(levels: Array) -> Array:
            asked = np.log1p(np.maximum(top - levels, 0.0))
            found = np.exp(np.interp(asked, depth[order], np.log(distance[order])))
            return np.asarray(branch.anchor + branch.side * found)

        return cuts


def _log1p_exp(x: Array) -> Array:
    value: Array = np.logaddexp(0.0, x)
    return value


_GRADES = 4.0 ** -np.arange(25.0)
