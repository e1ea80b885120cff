"""Means and spreads over networks, mergeable, with confidence intervals for what they estimate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from .accumulator import (
    Array,
    StoredArrays,
    checked,
    refuse_nan,
    require_same_shape,
    stays_on_device,
)
from .intervals import kurtosis_sd_interval, student_interval

if TYPE_CHECKING:
    from ..engine import OnDevice


@dataclass(frozen=True, eq=False)
class Moments(StoredArrays):
    """Mean and spread over networks, elementwise over the trailing axes.

    Chunks are merged with the pairwise update of Chan, Golub and LeVeque (1979; Pébay 2008 for the
    higher powers), which does not cancel when the mean is much larger than the spread. An infinite
    value makes the mean infinite (NaN where both signs meet) and the spread NaN.

    Attributes
    ----------
    count : array of int, shape ()
        Number of networks.
    mean : array of float, shape (...)
        Mean, in the unit of the values; NaN where there is no network.
    squares, cubes, fourths : arrays of float, shape (...)
        Sums of powers of the deviations from the mean.
    """

    count: Array
    mean: Array
    squares: Array
    cubes: Array
    fourths: Array

    @classmethod
    def of(cls, values: ArrayLike | OnDevice) -> Self:
        """Accumulate values (network, ...); ValueError if one is NaN."""
        if stays_on_device(values):
            counted, *sums = values.moments()
            refuse_nan((counted < values.shape[0]).any())
            return cls(np.asarray(values.shape[0]), *sums)
        data = checked(values)
        count = np.asarray(len(data))
        if not count:
            nothing = np.zeros(data.shape[1:])
            return cls(count, np.full(data.shape[1:], np.nan), nothing, nothing, nothing)
        with np.errstate(all="ignore"):
            mean = data.mean(axis=0)
            # The sum of values near the largest float overflows although their mean does not.
            mean = np.where(np.isfinite(mean), mean, (data / count).sum(axis=0))
            mean = np.clip(mean, data.min(axis=0), data.max(axis=0))
            deviation = data - mean
            square = np.square(deviation)
            cubes, fourths = (square * deviation).sum(axis=0), np.square(square).sum(axis=0)
            return cls(count, mean, square.sum(axis=0), cubes, fourths)

    def merge(self, other: Self) -> Self:
        """Combine two disjoint sets of networks; ValueError if the trailing axes differ."""
        require_same_shape(self.mean, other.mean)
        if not self.count or not other.count:
            return self if self.count else other
        count = self.count + other.count
        ours, theirs = self.count / count, other.count / count
        with np.errstate(all="ignore"):
            delta = other.mean - self.mean
            # The plain weighted sum is for what the difference cannot express: infinite means.
            weighted = ours * self.mean + theirs * other.mean
            mean = np.where(np.isfinite(delta), self.mean + theirs * delta, weighted)
            parts = zip(self._about(-theirs * delta), other._about(ours * delta), strict=True)
            return type(self)(count, mean, *(left + right for left, right in parts))

    def _about(self, distance: Array) -> tuple[Array, Array, Array]:
        """Sums of powers of the deviations from a point that lies `distance` below the mean."""
        far = np.square(distance)
        return (
            self.squares + self.count * far,
            self.cubes + distance * (3 * self.squares + self.count * far),
            self.fourths + 4 * distance * self.cubes + far * (6 * self.squares + self.count * far),
        )

    @property
    def sd(self) -> Array:
        """Standard deviation over networks (divisor count - 1); NaN for fewer than two."""
        if self.count < 2:
            return np.full(self.mean.shape, np.nan)
        return np.asarray(np.sqrt(self.squares / (self.count - 1)))

    @property
    def standard_error(self) -> Array:
        """Standard error of the mean; NaN for fewer than two networks."""
        return np.asarray(self.sd / np.sqrt(np.maximum(self.count, 1)))

    def interval(self, confidence: float = 0.95) -> tuple[Array, Array]:
        """Student's t-interval for the mean (Student 1908).

        Exact for normal values, good for others once the networks are many.

        Parameters
        ----------
        confidence : float
            Coverage probability, between 0 and 1 exclusive.

        Returns
        -------
        low, high : arrays of the shape of `mean`
            NaN for fewer than two networks.
        """
        return student_interval(self.mean, self.standard_error, self.count, confidence)

    @property
    def kurtosis(self) -> Array:
        """Fourth central moment over the square of the second; NaN without a spread."""
        with np.errstate(all="ignore"):
            return np.asarray(self.count * self.fourths / np.square(self.squares))

    def sd_interval(self, confidence: float = 0.95) -> tuple[Array, Array]:
        """Interval for the standard deviation that does not take the values for normal.

        That of `kurtosis_sd_interval`.

        Parameters
        ----------
        confidence : float
            Coverage probability, between 0 and 1 exclusive.

        Returns
        -------
        low, high : arrays of the shape of `sd`
            NaN for fewer than four networks.
        """
        return kurtosis_sd_interval(self.sd, self.kurtosis, self.count, confidence)


@dataclass(frozen=True, eq=False)
class LogMean(StoredArrays):
    """Logarithm of the mean of exp(values), elementwise over the trailing axes.

    For annealed averages such as ln E||.||^2 from logarithms in the thousands: sums are kept
    relative to the largest term, so nothing overflows. A value of -inf is a term of zero.

    Attributes
    ----------
    count : array of int, shape ()
        Number of networks.
    peak : array of float, shape (...)
        Largest value; -inf where there is none.
    total : array of float, shape (...)
        Sum of exp(value - peak).
    """

    count: Array
    peak: Array
    total: Array

    @classmethod
    def of(cls, values: ArrayLike | OnDevice, power: float = 1.0) -> Self:
        """Accumulate logarithms power * values (network, ...); ValueError if one is NaN."""
        if stays_on_device(values):
            counted, peak, total = values.log_sum(power)
            refuse_nan((counted < values.shape[0]).any())
            return cls(np.asarray(values.shape[0]), peak, total)
        data = power * checked(values)
        peak = data.max(axis=0, initial=-np.inf)
        # Infinite peaks have no finite scale: their terms are 0 or inf as they stand.
        scale = np.where(np.isfinite(peak), peak, 0.0)
        with np.errstate(all="ignore"):
            return cls(np.asarray(len(data)), peak, np.exp(data - scale).sum(axis=0))

    def merge(self, other: Self) -> Self:
        """Combine two disjoint sets of networks; ValueError if the trailing axes differ."""
        require_same_shape(self.peak, other.peak)
        peak = np.maximum(self.peak, other.peak)
        total = self._rescaled(peak) + other._rescaled(peak)
        return type(self)(self.count + other.count, peak, total)

    def _rescaled(self, peak: Array) -> Array:
        with np.errstate(all="ignore"):
            smaller = self.total * np.exp(self.peak - peak)
        return np.where(self.peak < peak, smaller, self.total)

    @property
    def value(self) -> Array:
        """Logarithm of the mean of exp(values); NaN if there is no network."""
        if not self.count:
            return np.full(self.peak.shape, np.nan)
        with np.errstate(divide="ignore"):
            return np.asarray(self.peak + np.log(self.total / self.count))
