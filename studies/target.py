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
from dataclasses import dataclass

from ..engine import InputError
from ..engine.spec import check_integer
from .statistics import Moments
from .summary import Summary

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
        moments = found.parts[variable, "moments"]
        if not isinstance(moments, Moments) or moments.count < 2:
            return have  # nothing is known, and more would not be better: dead networks
        low, high = moments.interval()
        wanted = self.error * (abs(float(moments.mean)) if self.relative else 1.0)
        half = 0.5 * float(high - low)
        if half <= wanted or have >= self.ceiling:
            return have
        needed = have * (half / wanted) ** 2 if wanted else math.inf
        blocks = math.ceil(min(needed, self.ceiling) / block)
        return min(max(blocks * block, have + 1), self.ceiling)
