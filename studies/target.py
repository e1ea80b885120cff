"""How many networks a cell needs, for an interval of its mean as short as wanted.

Networks are added in rounds. After each, the interval so far says how many there must be for the
wanted one, whose width falls with their square root (in two rounds, Stein 1945; until it is short
enough, Chow & Robbins 1965). Stopping early does not bias the mean: the sizes of the rounds depend
on standard deviations alone, and of normal data those of the first n are independent of the mean of
the first n. A relative error looks at the mean too, which matters to second order.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..engine import Array, InputError
from ..engine.spec import check_integer
from .statistics import Moments
from .summary import Summary

if TYPE_CHECKING:
    import xarray as xr

PILOT = 64
"""Networks that a cell has before its interval is believed: of a few, some have about the same rate
by chance, and others ask for a hundred times too many."""

LARGEST = 10**9
"""Networks of a cell at most."""


@dataclass(frozen=True)
class Target:
    """Half the width of the 95 % interval of a mean that is to be reached.

    Attributes
    ----------
    error : float
    relative : bool
        In units of the mean, or of the variable.
    ceiling : int
        Networks of a cell at most, reached or not.
    """

    error: float
    relative: bool = False
    ceiling: int = 1_000_000

    @classmethod
    def of(cls, text: str, ceiling: int | None = None) -> Target:
        """From ``0.01``, in units of the variable, or ``1%``, of its mean."""
        match = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(%?)\s*", text)
        try:
            error = float(match[1]) if match else math.nan
        except ValueError:
            error = math.nan
        if not 0.0 < error < math.inf or match is None:
            raise InputError("--target-error", text, "a number > 0, or a percentage as 1%")
        if ceiling is not None:
            check_integer("--ceiling", ceiling, 1, LARGEST)
        relative = match[2] == "%"
        return cls(error / 100 if relative else error, relative, ceiling or cls.ceiling)

    def wanted(self, mean: ArrayLike) -> Array:
        """Half the width that an interval of such a mean is to have."""
        return np.asarray(self.error * (np.abs(mean) if self.relative else np.ones_like(mean)))

    def unreached(self, data: xr.Dataset, variable: str) -> Iterator[str]:
        """A line, if the interval of a variable's mean is wider than wanted in some cells."""
        low, high = data[f"{variable}_low"].values, data[f"{variable}_high"].values
        with np.errstate(invalid="ignore"):  # an infinite mean has no interval
            half = 0.5 * (high - low)
        wide = ~(half <= self.wanted(data[f"{variable}_mean"].values))
        if wide.any():
            yield f"target error not reached in {wide.sum()} of {wide.size} cells of the grid"

    def networks(self, found: Summary, variable: str, block: int) -> int:
        """How many networks there must be, by what is known of some: as many, if they do.

        Parameters
        ----------
        found : Summary
        variable : str
            One number per network.
        block : int
            Networks are added in multiples of it.
        """
        have = int(found.status_count.sum())
        if have < PILOT:
            return max(have, min(PILOT, self.ceiling))
        moments = found.parts[variable, "moments"]
        if not isinstance(moments, Moments) or moments.count < 2:
            return have  # nothing is known, and more would not be better: dead networks
        low, high = moments.interval()
        half, wanted = 0.5 * float(high - low), float(self.wanted(moments.mean))
        if half <= wanted or have >= self.ceiling:
            return have
        needed = have * (half / wanted) ** 2 if wanted else math.inf
        blocks = math.ceil(min(needed, self.ceiling) / block)
        return min(max(blocks * block, have + 1), self.ceiling)
