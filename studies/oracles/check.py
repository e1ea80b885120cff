"""What a check is: a statement of theory, how it is measured, and what comes of comparing both.

A statement about random networks is tested by a z-score (`Statistical`), one that holds for every
single network up to rounding by a tolerance (`Exact`). Every check draws networks of its own, from
seeds of its own, so that different checks are independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ...engine import Array
from .draws import Draws, FailedNetworksError
from .estimates import Estimate, difference

if TYPE_CHECKING:
    import xarray as xr

EXTRAPOLATED = "2 x(2N) - x(N)"
EXACT = "none: exact at this size"


@dataclass(frozen=True)
class Result:
    """A statement, what theory says of it and what was measured; None where it does not apply.

    Attributes
    ----------
    oracle : str
        Letter of the group.
    statement, source : str
    kind : {"statistical", "exact"}
    finite_size : str
        How the difference between the networks' size and the theory's is accounted for.
    networks : int
        Networks measured.
    failed_networks : dict
        Number of networks without a result, by status. If there are any, nothing else is known.
    theory, measured : float or tuple of float
        Of exact statements the means over networks.
    standard_error : float or tuple of float
    degrees_of_freedom : float
        Of the standard error; inf where it is known.
    allowance : float
        How far the expected value may be from theory.
    allowed_for : str
        What for.
    z, p_value : float
        See `Difference`.
    deviation, tolerance : float
        Of exact statements: distance and tolerance of the network that comes nearest to failing,
        or fails worst.
    """

    oracle: str
    statement: str
    source: str
    kind: str
    finite_size: str = EXACT
    networks: int = 0
    failed_networks: dict[str, int] = field(default_factory=dict)
    theory: float | tuple[float, ...] | None = None
    measured: float | tuple[float, ...] | None = None
    standard_error: float | tuple[float, ...] | None = None
    degrees_of_freedom: float | None = None
    allowance: float | None = None
    allowed_for: str = ""
    z: float | None = None
    p_value: float | None = None
    deviation: float | None = None
    tolerance: float | None = None


class Check(Protocol):
    """What `Statistical` and `Exact` have in common."""

    @property
    def oracle(self) -> str:
        """Letter of the group: which part of the theory."""
        ...

    @property
    def statement(self) -> str:
        """What is claimed, in a line."""
        ...

    def examine(self, draws: Draws) -> Result:
        """Measure, and compare with theory."""
        ...


@dataclass(frozen=True)
class Statistical:
    """A statement about the distribution of random networks.

    Attributes
    ----------
    oracle : str
        Letter of the group.
    statement, source : str
        What is claimed, and whose theory it is.
    theory : callable
        Returns the theory's value.
    measure : callable
        From `Draws` to an `Estimate`.
    finite_size : str
        How the difference between the networks' size and the theory's is accounted for.
    allowance : float
        How far the expected value may be from theory all the same.
    allowed_for : str
        What for.
    """

    oracle: str
    statement: str
    source: str
    theory: Callable[[], float | Array]
    measure: Callable[[Draws], Estimate]
    finite_size: str = EXACT
    allowance: float = 0.0
    allowed_for: str = ""

    def examine(self, draws: Draws) -> Result:
        """Measure, and test the difference; networks without a result make it a certain one."""
        theory = self.theory()
        known: dict[str, Any] = dict(
            oracle=self.oracle,
            statement=self.statement,
            source=self.source,
            kind="statistical",
            theory=_plain(theory),
            finite_size=self.finite_size,
            allowance=self.allowance,
            allowed_for=self.allowed_for,
        )
        try:
            found = self.measure(draws)
        except FailedNetworksError as failure:
            known |= {"failed_networks": failure.counts, "p_value": 0.0}
            return Result(**known, networks=draws.networks)
        z, p_value = difference(found, theory, self.allowance)
        return Result(
            **known,
            networks=draws.networks,
            measured=_plain(found.value),
            standard_error=_plain(found.standard_error),
            degrees_of_freedom=found.freedom,
            z=z,
            p_value=p_value,
        )


@dataclass(frozen=True)
class Exact:
    """A statement that holds for every network up to rounding.

    Attributes
    ----------
    oracle, statement, source : str
        As of `Statistical`.
    draw : callable
        From `Draws` to an ensemble, as `sample` returns it.
    theory : callable
        From the ensemble to values (network, ...), of its very weights.
    measure : callable
        From `Draws` and the ensemble to the same, measured.
    tolerance : callable
        From the ensemble to the tolerances, of a shape that broadcasts.
    """

    oracle: str
    statement: str
    source: str
    draw: Callable[[Draws], xr.Dataset]
    theory: Callable[[xr.Dataset], Array]
    measure: Callable[[Draws, xr.Dataset], Array]
    tolerance: Callable[[xr.Dataset], Array]

    def examine(self, draws: Draws) -> Result:
        """Measure, and compare network by network."""
        about = (self.oracle, self.statement, self.source, "exact")
        ensemble = self.draw(draws)
        try:
            measured = self.measure(draws, ensemble)
        except FailedNetworksError as failure:
            return Result(*about, networks=draws.networks, failed_networks=failure.counts)
        theory = self.theory(ensemble)
        deviation = np.abs(measured - theory)
        tolerance = np.broadcast_to(self.tolerance(ensemble), deviation.shape)
        worst = np.unravel_index(np.argmax(deviation / tolerance), deviation.shape)
        return Result(
            *about,
            networks=draws.networks,
            theory=float(theory.mean()),
            measured=float(measured.mean()),
            deviation=float(deviation[worst]),
            tolerance=float(tolerance[worst]),
        )


def _plain(value: float | Array) -> float | tuple[float, ...]:
    """Python numbers."""
    return tuple(np.asarray(value).tolist()) if np.ndim(value) else float(value)
