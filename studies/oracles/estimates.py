"""Numbers estimated from random networks, each with its standard error."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan, sqrt
from typing import NamedTuple

import numpy as np

from ...engine import Array


class Estimate(NamedTuple):
    """What was measured of random networks.

    Attributes
    ----------
    value : float, or array of shape (k,)
        Several numbers only where they are independent of each other.
    standard_error : like `value`
        Its standard deviation over repetitions, known or estimated.
    freedom : float
        Degrees of freedom that the standard error is estimated with; inf where it is known.
    """

    value: float | Array
    standard_error: float | Array
    freedom: float = inf


class Difference(NamedTuple):
    """How far a measurement lies from its theory.

    Attributes
    ----------
    z : float
        In standard errors; of several numbers, the normal deviate of the same probability.
    p_value : float
        Probability of a distance as large, if the theory holds.
    """

    z: float
    p_value: float


def difference(estimate: Estimate, theory: float | Array, allowance: float = 0.0) -> Difference:
    """Test a measurement against theory.

    One number by Student's t, several by the sum of their squared deviates, which is chi-squared.

    Parameters
    ----------
    estimate : Estimate
    theory : float or array
        Of the shape of the estimate.
    allowance : float
        How far the expected value may be from theory; only what exceeds it counts, so that the p
        value is an upper bound.

    Returns
    -------
    Difference
        Its p value is 0 if the measurement is NaN: then it differs for certain.
    """
    from scipy.special import chdtrc, ndtr, ndtri, stdtr

    apart = np.asarray(estimate.value) - np.asarray(theory)
    excess = np.sign(apart) * np.maximum(np.abs(apart) - allowance, 0.0)
    z = excess / np.asarray(estimate.standard_error)
    if np.isnan(z).any():
        return Difference(nan, 0.0)
    if z.ndim:
        p = float(chdtrc(z.size, float(z @ z)))
        return Difference(float(-ndtri(0.5 * p)), p)
    known = estimate.freedom == inf
    tail = ndtr(-abs(z)) if known else stdtr(estimate.freedom, -abs(z))
    return Difference(float(z), float(2.0 * tail))


def mean_of(values: Array, sd: float | Array | None = None) -> Estimate:
    """Mean over axis 0.

    Parameters
    ----------
    values : ndarray, shape (m,) or (m, k)
        Independent of each other.
    sd : float or array, optional
        Their exact standard deviation; else it is estimated, of single numbers only.
    """
    count, mean = len(values), values.mean(axis=0)
    if sd is None:
        return Estimate(float(mean), float(values.std(ddof=1)) / sqrt(count), count - 1)
    return Estimate(mean if np.ndim(mean) else float(mean), sd / sqrt(count))


def variance_of(values: Array) -> Estimate:
    """Variance of independent values, its standard error from their fourth moment."""
    square = (values - values.mean()) ** 2 * (values.size / (values.size - 1))
    return Estimate(float(square.mean()), float(square.std() / sqrt(values.size)), values.size - 1)


def median_of(values: Array, density: float) -> Estimate:
    """Median of many independent values, whose density at their true median is known.

    Asymptotically normal with the standard error 1 / (2 density sqrt m) (Cramer 1946, section
    28.5).
    """
    return Estimate(float(np.median(values)), 0.5 / (density * sqrt(values.size)))


def ratio_of(numerator: Array, denominator: Array) -> Array:
    """One value per network, whose mean is the ratio of the means, to first order in its error.

    The linearised ratio: r + (x_i - r y_i) / mean(y), with r = mean(x) / mean(y) (the delta
    method; Cochran 1977, section 2.11).
    """
    ratio = numerator.mean() / denominator.mean()
    values: Array = ratio + (numerator - ratio * denominator) / denominator.mean()
    return values


def wide_limit(narrow: Array, wide: Array) -> Estimate:
    """Extrapolation of a mean to infinite width from width n and 2 n: 2 wide - narrow.

    Free of a term in 1/n (Richardson 1911). The degrees of freedom of the error are those of Welch
    1947.

    Parameters
    ----------
    narrow, wide : ndarray, shape (m,), (k,)
        A value per network.
    """
    parts = [(narrow.var(ddof=1) / narrow.size, narrow.size)]
    parts += [(4.0 * wide.var(ddof=1) / wide.size, wide.size)]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / (count - 1) for part, count in parts)
    return Estimate(float(2.0 * wide.mean() - narrow.mean()), sqrt(variance), float(freedom))


def extrapolated(values: Callable[[int, int], Array], width: int, networks: int) -> Estimate:
    """`wide_limit` of what `values` measures: given a width and a number of networks, one each.

    Half as many networks of twice the width weigh as much: their means scatter less.
    """
    return wide_limit(values(width, networks), values(2 * width, networks // 2))
