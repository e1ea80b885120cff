"""What a mergeable statistic is.

Networks lie along axis 0 of every array given. An accumulator is made of one chunk of networks
with ``of``, merged with those of other chunks, and never grows with the number of networks.
Floating-point sums depend on their order: merge in a fixed order (`merge_all` does) and the
result is the same bit for bit, whichever chunk finished first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeGuard, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:  # whoever reads stored statistics needs no engine
    from ..engine import OnDevice

Array = NDArray[Any]


class Mergeable(Protocol):
    """What can be had of several sets of networks together."""

    def merge(self, other: Self) -> Self:
        """Combine two disjoint sets of networks; neither operand changes."""


class Accumulator(Mergeable, Protocol):
    """What every mergeable statistic offers."""

    @classmethod
    def of(cls, values: ArrayLike) -> Self:
        """Accumulate one chunk, networks along axis 0; zero networks are allowed."""

    def arrays(self) -> dict[str, Array]:
        """Give the state as named numeric arrays, ready to be stored."""

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> Self:
        """Rebuild an accumulator from what `arrays` gave."""


MergeableT = TypeVar("MergeableT", bound=Mergeable)


def merge_all(parts: Iterable[MergeableT]) -> MergeableT:
    """Merge one or more statistics from left to right, the order that fixes every bit.

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
class StoredArrays:
    """An accumulator whose every field is a read-only array of its own."""

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


def checked(values: ArrayLike) -> Array:
    """Values of some networks as an array; ValueError for NaN, and without a network axis."""
    # C order, because the order of summation, and with it the last bit, follows the layout.
    data = np.asarray(values, dtype=np.float64, order="C")
    if data.ndim < 1:
        raise ValueError("values need a network axis, got a scalar")
    refuse_nan(bool(np.isnan(data).any()))
    return data


def stays_on_device(values: Any) -> TypeGuard[OnDevice]:
    """Whether sums over networks are made where the values are; if there are any networks."""
    return hasattr(values, "log_sum") and bool(values.shape[0] > 0)


def refuse_nan(found: bool) -> None:
    """Statistics with NaN in them would say nothing of the others; ValueError."""
    if found:
        raise ValueError("values contain NaN: leave networks of bad status out first")


def require_same_shape(left: Array, right: Array) -> None:
    """Refuse to merge statistics of different things; ValueError."""
    if left.shape != right.shape:
        raise ValueError(f"cannot merge shapes {left.shape} and {right.shape}")
