"""Quantiles over networks, to a relative accuracy, in buckets that can be merged exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from .accumulator import Array, StoredArrays, checked
from .intervals import order_statistic_bounds

ACCURACY = 1e-3  # relative error of the quantiles of a Sketch


@dataclass(frozen=True, eq=False)
class Sketch(StoredArrays):
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
        data = checked(values) + 0.0  # -0.0 becomes 0.0: the sign of a minimum must not vary
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
