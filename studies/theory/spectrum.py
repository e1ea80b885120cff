"""Lyapunov spectrum of a wide plain network: all exponents, and what follows from them.

With t = i/n the place in descending order, d = d phi(a net) / d net at the stationary state and
g the weight scale, as n -> infinity

    E[g^2 d^2 / (e^{2 lambda} + g^2 t d^2)] = 1                 Gaussian weights,
    E[g^2 d^2 / ((1 - t) e^{2 lambda} + g^2 t d^2)] = 1         orthogonal ones,

the laws of products of free factors (Haagerup & Larsen 2000 for the limit of one such product;
Newman 1986 for the linear one; Engelken, Wolf & Abbott 2023 for networks). Both say, with
s = e^l,

    t = E[phi'^2 / (s + phi'^2)],   e^{2 lambda} = (g a)^2 s t  or  (g a)^2 s t / (1 - t),

so the one function t(l) of the slopes holds the spectrum, and its integral over l, which is
E ln(1 + phi'^2 / s), the sums of exponents.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import inf, isnan, log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .activations import Array
from .plain import mean_field
from .ranges import check_positive
from .scalars import find_root
from .slope_law import SlopeLaw

WEIGHTS = ("gaussian", "orthogonal")

HIGHEST = 40.0
"""A level l so far above ln phi'^2 of any activation that the exponent there is the leading one."""

LEVEL = 1e-12
"""To which levels are found, where they are not larger than 100: exponents are half of them."""

ROUNDING = 1e-13
"""Nats per step. A leading exponent no larger is 0: that of orthogonal weights at the transition,
where all others are, too."""


@dataclass(frozen=True)
class LyapunovSpectrum:
    """The Lyapunov exponents of a wide network, per unit.

    Attributes
    ----------
    law : SlopeLaw
        Of the derivatives at the stationary state.
    log_gain : float
        2 ln(weight_scale a).
    orthogonal : bool
        Whether the weights are orthogonal, else Gaussian.
    """

    law: SlopeLaw
    log_gain: float
    orthogonal: bool = False

    def exponents(self, place: ArrayLike) -> Array:
        """Return the exponents at places t = i/n of the descending order.

        Parameters
        ----------
        place : array_like
            t, in [0, 1); 0 is the leading exponent, (i - 1/2) / n that of number i of n.

        Returns
        -------
        ndarray
            Nats per step, of the shape of `place`, to about 1e-10, less next to 0 and to the share
            of units that live; -inf beyond that share.

        Raises
        ------
        ValueError
            For a place outside [0, 1).
        """
        places = np.asarray(place, dtype=np.float64)
        if not ((places >= 0.0) & (places < 1.0)).all():
            raise ValueError(f"place={place!r} must be in [0, 1)")
        found = np.where(places == 0.0, self.leading, -inf)
        inside = (places > 0.0) & (places < self.law.share(self.law.least))
        t = places[inside]
        below = -np.log1p(-t) if self.orthogonal else 0.0
        found[inside] = 0.5 * (self.log_gain + self._levels(t) + np.log(t) + below)
        return found

    @property
    def leading(self) -> float:
        """lambda_1 = ln(weight_scale a) + 1/2 ln E phi'^2, nats per step."""
        return 0.5 * (self.log_gain + self.law.log_mean_square)

    @property
    def mean(self) -> float:
        """Mean of all exponents, ln(weight_scale a) + E ln|phi'|, less 1/2 for Gaussian weights."""
        return 0.5 * (self.log_gain + self.law.mean - (0.0 if self.orthogonal else 1.0))

    @property
    def unstable_fraction(self) -> float:
        """Share of the exponents that are positive."""
        return self.law.share(self._neutral) if self._neutral < inf else 0.0

    @property
    def entropy_rate(self) -> float:
        """Sum of the positive exponents over n, nats per step (Pesin's formula)."""
        return self._sum(self._neutral) if self._neutral < inf else 0.0

    @property
    def kaplan_yorke_dimension(self) -> float:
        """Dimension of the attractor over n: the place up to which the exponents sum to 0.

        Kaplan & Yorke 1979. Where all living directions together expand, their share.
        """
        if self._neutral == inf:
            return 0.0
        if self._sum(self.law.least) >= 0.0:
            return self.law.living
        return self.law.share(find_root(self._sum, self.law.least, self._neutral, 1e-13))

    def _levels(self, place: Array) -> Array:
        """Return the levels l with share(l) = t, at all places t in (0, share(least)) at once."""
        from scipy.optimize import elementwise

        if not place.size:
            return place
        highest = self.law.log_mean_square - np.log(place) + 1.0  # share <= E phi'^2 / s
        tolerances: Any = {"xatol": LEVEL, "xrtol": 1e-14, "fatol": 0.0, "frtol": 0.0}

        def excess(level: Array, *t: Any) -> Any:
            return self.law.shares(level) - t[0]

        bracket = np.full_like(place, self.law.least), highest
        found = elementwise.find_root(excess, bracket, args=(place,), tolerances=tolerances)
        return np.asarray(found.x)

    def _rate(self, level: float) -> float:
        """Return the exponent at the place share(level)."""
        below = -log(self.law.rest(level)) if self.orthogonal else 0.0
        return 0.5 * (self.log_gain + level + log(self.law.share(level)) + below)

    def _sum(self, level: float) -> float:
        """Return the sum of the exponents, over n, down to the place share(level)."""
        place = self.law.share(level)
        below = log(self.law.rest(level)) if self.orthogonal else -place
        return place * self._rate(level) + 0.5 * (self.law.surplus(level) + below)

    @cached_property
    def _neutral(self) -> float:
        """The level at which the exponent is 0; inf where none is positive."""
        if self._rate(HIGHEST) <= ROUNDING:
            return inf
        if self._rate(self.law.least) >= 0.0:
            return self.law.least
        return find_root(self._rate, self.law.least, HIGHEST, 1e-13)


def lyapunov_spectrum(
    activation: str,
    *,
    slope: float = 1.0,
    weight_scale: float = 1.0,
    bias_scale: float = 0.0,
    input_variance: float = 0.0,
    initial_variance: float | None = None,
    weights: str = "gaussian",
) -> LyapunovSpectrum:
    """Return the Lyapunov spectrum of a wide plain network at its stationary state.

    Parameters
    ----------
    activation, slope, weight_scale, bias_scale, input_variance, initial_variance
        As for `mean_field`; weight_scale > 0.
    weights : {"gaussian", "orthogonal"}
        Gaussian weights, tied or not; orthogonal ones drawn anew at every step.

    Returns
    -------
    LyapunovSpectrum

    Raises
    ------
    ValueError
        As `mean_field`, or for other weights.
    """
    if weights not in WEIGHTS:
        raise ValueError(f"weights={weights!r} is not one of: {', '.join(WEIGHTS)}")
    check_positive(weight_scale=weight_scale)
    q = mean_field(
        activation,
        slope=slope,
        weight_scale=weight_scale,
        bias_scale=bias_scale,
        input_variance=input_variance,
        initial_variance=initial_variance,
    ).q
    law = SlopeLaw(activation, slope**2 * (1.0 if isnan(q) else q))
    return LyapunovSpectrum(law, 2.0 * log(weight_scale * slope), weights == "orthogonal")
