"""Mergeable statistics over networks, with confidence intervals for what they estimate.

Networks lie along axis 0 of every array given. An accumulator is made of one chunk of networks
with ``of``, merged with those of other chunks, and never grows with the number of networks.
Floating-point sums depend on their order: merge in a fixed order (`merge_all` does) and the
result is the same bit for bit, whichever chunk finished first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import reduce
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .intervals import kurtosis_sd_interval, order_statistic_bounds, student_interval

Array = NDArray[Any]

ACCURACY = 1e-3  # relative error of the quantiles of a Sketch


class Accumulator(Protocol):
    """What every mergeable statistic offers."""

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """Accumulate one chunk, networks along axis 0; zero networks are allowed."""

    def merge(self, other: Self) -> Self:
        """Combine two disjoint sets of networks; neither operand changes."""

    def arrays(self) -> dict[str, Array]:
        """Give the state as named numeric arrays, ready to be stored."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Rebuild an accumulator from what `arrays` gave."""


AccumulatorT = TypeVar("AccumulatorT", bound=Accumulator)


def merge_all(parts: Iterable[AccumulatorT]) -> AccumulatorT:
    """Merge one or more accumulators from left to right, the order that fixes every bit.

    Raises
    ------
    ValueError
        If there is none.
    """
    ordered = list(parts)
    if not ordered:
        raise ValueError("merge_all needs at least one accumulator")
    return reduce(lambda left, right: left.merge(right), ordered)


@dataclass(frozen=True, eq=False)
class _Arrays:
    """Storage shared by the accumulators: every field is a read-only array of its own."""

    def __post_init__(self) -> None:
        for field in fields(self):
            array = np.array(getattr(self, field.name))
            array.flags.writeable = False
            object.__setattr__(self, field.name, array)

    def arrays(self) -> dict[str, Array]:
        """Give the state as named numeric arrays, ready to be stored."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Rebuild an accumulator from what `arrays` gave; ValueError if the names differ."""
        names = [field.name for field in fields(cls)]
        if set(arrays) != set(names):
            raise ValueError(f"{cls.__name__} needs arrays {sorted(names)}, got {sorted(arrays)}")
        return cls(**{name: arrays[name] for name in names})


@dataclass(frozen=True, eq=False)
class Moments(_Arrays):
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
    def of(cls, values: ArrayLike) -> Self:
        """Accumulate values (network, ...); ValueError if one is NaN."""
        data = _checked(values)
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
        _require_same_shape(self.mean, other.mean)
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
class Sketch(_Arrays):
    """Quantiles of one scalar per network, to a relative accuracy of `ACCURACY`.

    The sketch of Masson, Rim and Lee (2019), without their limit on the number of buckets: values
    are counted in buckets whose bounds grow geometrically, so the error is relative, whatever the
    distribution. Counts are integers, so merging is exact and its order does not matter. Zero and
    the infinities have buckets of their own. (Subnormal values, below 2.2e-308, keep the accuracy
    up to their own spacing.)

    Attributes
    ----------
    buckets : array of int, shape (occupied,)
        Occupied buckets in ascending order of the values that they hold.
    counts : array of int, shape (occupied,)
        Networks in each.
    minimum, maximum : array of float, shape ()
        Exact extremes; NaN if empty.
    accuracy : array of float, shape ()
        The relative accuracy that the buckets were made for.
    """

    buckets: Array
    counts: Array
    minimum: Array
    maximum: Array
    accuracy: Array

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """Accumulate values (network,); ValueError if one is NaN or there are further axes."""
        data = _checked(values) + 0.0  # -0.0 becomes 0.0: the sign of a minimum must not vary
        if data.ndim != 1:
            raise ValueError(f"a Sketch takes one scalar per network, got shape {data.shape}")
        buckets, counts = np.unique(_bucket_of(data, ACCURACY), return_counts=True)
        low = np.fmin.reduce(data, initial=np.nan)
        high = np.fmax.reduce(data, initial=np.nan)
        return cls(buckets, counts.astype(np.int64), low, high, np.asarray(ACCURACY))

    def merge(self, other: Self) -> Self:
        """Combine two disjoint sets of networks; ValueError if their accuracies differ."""
        if self.accuracy != other.accuracy:
            raise ValueError(f"sketches of accuracy {self.accuracy} and {other.accuracy}")
        both = np.concatenate([self.buckets, other.buckets])
        buckets, position = np.unique(both, return_inverse=True)
        counts = np.zeros(buckets.shape, np.int64)
        np.add.at(counts, position, np.concatenate([self.counts, other.counts]))
        low, high = np.fmin(self.minimum, other.minimum), np.fmax(self.maximum, other.maximum)
        return type(self)(buckets, counts, low, high, self.accuracy)

    @property
    def count(self) -> Array:
        """Number of networks, array of int of shape ()."""
        return np.asarray(self.counts.sum(dtype=np.int64))

    def quantile(self, q: ArrayLike) -> Array:
        """Approximate the order statistics ``np.quantile(values, q, method="inverted_cdf")``.

        Parameters
        ----------
        q : array_like of float
            Probabilities in [0, 1]; 0 and 1 give the exact extremes.

        Returns
        -------
        array of float, shape of `q`
            Within `ACCURACY` of the order statistic, relatively; NaN if the sketch is empty.

        Raises
        ------
        ValueError
            If a probability is outside [0, 1].
        """
        probability = np.asarray(q, dtype=np.float64)
        if not np.all((probability >= 0) & (probability <= 1)):
            raise ValueError(f"q must lie in [0, 1], got {q!r}")
        count = self.count
        if not count:
            return np.full(probability.shape, np.nan)
        rank = np.clip(np.ceil(count * probability - 1), 0, count - 1)
        return self._order_statistic(rank)

    def quantile_interval(self, q: ArrayLike, confidence: float = 0.95) -> tuple[Array, Array]:
        """Intervals for the quantiles of what the values were drawn from.

        Order statistics whose ranks are chosen by the binomial distribution, whatever that of the
        values (see `order_statistic_bounds`), made wider by the accuracy of the sketch.

        Parameters
        ----------
        q : array_like of float
            Probabilities between 0 and 1 exclusive.
        confidence : float
            Coverage probability of each, between 0 and 1 exclusive.

        Returns
        -------
        low, high : arrays of the shape of `q`
            Infinite where there are too few networks for a bound; NaN if the sketch is empty.

        Raises
        ------
        ValueError
            If a probability or the confidence is outside its range.
        """
        low, high = order_statistic_bounds(np.maximum(self.count, 1), q, confidence)
        if not self.count:
            return np.full(low.shape, np.nan), np.full(high.shape, np.nan)
        return self._outward(low, -1), self._outward(high, 1)

    def _outward(self, position: Array, sign: int) -> Array:
        """Values at positions between order statistics (the first is 1), and further out.

        `sign` says which way is out. The accuracy is added that way, as far as the extremes.
        """
        outer = np.floor(position) if sign < 0 else np.ceil(position)
        edge = self._order_statistic(np.clip(outer, 1, self.count) - 1)
        inner = self._order_statistic(np.clip(outer - sign, 1, self.count) - 1)
        with np.errstate(all="ignore"):
            between = edge + np.abs(position - outer) * (inner - edge)
            # Nothing lies between a number and infinity.
            bound = np.where(np.isfinite(edge) & np.isfinite(inner), between, edge)
            bound = bound * (1 + sign * np.sign(bound) * self.accuracy)
        bound = np.clip(bound, self.minimum, self.maximum)
        return np.where((outer < 1) | (outer > self.count), sign * np.inf, bound)

    def _order_statistic(self, rank: Array) -> Array:
        """The value of a rank, counted from 0, within the accuracy; the extremes are exact."""
        occupied = np.searchsorted(np.cumsum(self.counts), rank, side="right")
        value = _value_of(self.buckets[occupied], float(self.accuracy))
        value = np.clip(value, self.minimum, self.maximum)
        value = np.where(rank == 0, self.minimum, value)
        return np.where(rank == self.count - 1, self.maximum, value)


@dataclass(frozen=True, eq=False)
class LogMean(_Arrays):
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
    def of(cls, values: ArrayLike) -> Self:
        """Accumulate logarithms (network, ...); ValueError if one is NaN."""
        data = _checked(values)
        peak = data.max(axis=0, initial=-np.inf)
        # Infinite peaks have no finite scale: their terms are 0 or inf as they stand.
        scale = np.where(np.isfinite(peak), peak, 0.0)
        with np.errstate(all="ignore"):
            return cls(np.asarray(len(data)), peak, np.exp(data - scale).sum(axis=0))

    def merge(self, other: Self) -> Self:
        """Combine two disjoint sets of networks; ValueError if the trailing axes differ."""
        _require_same_shape(self.peak, other.peak)
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


# Bucket numbers: 0 holds zero, +-_INFINITE the infinities, and +-(level + _OFFSET) the values of
# magnitude growth**(level - 1) < |x| <= growth**level, with |level| < 380_000 for any double.
_OFFSET = 1 << 20
_INFINITE = 1 << 40


def _log_growth(accuracy: float) -> float:
    # A shade finer than asked for: room for the round-off of logarithms at bucket bounds.
    finer = 0.999 * accuracy
    return float(np.log1p(finer) - np.log1p(-finer))


def _bucket_of(values: Array, accuracy: float) -> Array:
    with np.errstate(divide="ignore"):
        level = np.ceil(np.log(np.abs(values)) / _log_growth(accuracy))
    # At 0 and infinity the level is infinite, and clipping leads to their own buckets.
    magnitude = np.clip(level + _OFFSET, 0, _INFINITE)
    return np.asarray((np.sign(values) * magnitude).astype(np.int64))


def _value_of(buckets: Array, accuracy: float) -> Array:
    log_growth = _log_growth(accuracy)
    # 2 growth**level / (growth + 1): equally far, relatively, from both bounds of the bucket.
    log_size = (np.abs(buckets) - _OFFSET) * log_growth - np.log((np.exp(log_growth) + 1) / 2)
    with np.errstate(under="ignore"):
        size = np.exp(np.minimum(log_size, np.log(np.finfo(np.float64).max)))
    size = np.where(np.abs(buckets) == _INFINITE, np.inf, size)
    return np.where(buckets == 0, 0.0, np.sign(buckets) * size)


def _checked(values: ArrayLike) -> Array:
    # C order, because the order of summation, and with it the last bit, follows the layout.
    data = np.asarray(values, dtype=np.float64, order="C")
    if data.ndim < 1:
        raise ValueError("values need a network axis, got a scalar")
    if np.isnan(data).any():
        raise ValueError("values contain NaN: leave networks of bad status out first")
    return data


def _require_same_shape(left: Array, right: Array) -> None:
    if left.shape != right.shape:
        raise ValueError(f"cannot merge shapes {left.shape} and {right.shape}")
