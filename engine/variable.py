"""What a measured variable is."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

from ..kernels.contract import Array


@runtime_checkable
class OnDevice(Protocol):
    """A variable (network, ...) whose numbers have stayed on a device, for statistics of them.

    Where an array is wanted, ``np.asarray`` fetches them. They are there until the next chunk of
    the same thread takes their place.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of its axes."""
        ...

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        ...

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """All numbers, in memory."""
        ...

    def __getitem__(self, key: Any) -> Any:
        """As of an array: ``[a:b]`` and ``[mask]`` are some of its networks, still there."""
        ...

    def log_norms(self, exponent: Any, relative: bool) -> Any:
        """See `products.log_norm`."""
        ...

    def mean_variances(self, exponent: Any) -> Any:
        """See `products.state_variance`."""
        ...

    def moments(self) -> Array:
        """How many values are no NaN, mean, sums of 2nd, 3rd, 4th powers of deviations from it.

        Over networks, of which there must be some: (5, ...).
        """
        ...

    def log_sum(self, power: float) -> Array:
        """How many values are no NaN, the largest power * value, sum of exp(power * value - it).

        Over networks, of which there must be some: (3, ...). Relative to 0 if that is infinite.
        """
        ...


Arrays = dict[str, Array]
"""Values by the name of their variable."""

Results = dict[str, Any]
"""Likewise; some may be `OnDevice`."""


class Variable(NamedTuple):
    """Dimensions, units and meaning of a measured variable."""

    dims: tuple[str, ...]
    units: str
    long_name: str
