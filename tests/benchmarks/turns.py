"""Timing in turns, so that a machine that slows down slows everyone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

ROUNDS, LEAST = 5, 2
PATIENCE = 2.0
"""Seconds of turns after which a contestant has had enough, if it has had LEAST."""


class Turns:
    """Contestants that take turns; the first turn, in which code is compiled, does not count."""

    def __init__(
        self,
        contestants: Mapping[str, Callable[[], Any]],
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.contestants, self.timer = contestants, timer
        self.seconds: dict[str, list[float]] = {name: [] for name in contestants}
        self.results: dict[str, list[Any]] = {name: [] for name in contestants}

    def __call__(self) -> None:
        """A turn of everyone who has not had enough."""
        for name, work in self.contestants.items():
            taken = self.seconds[name]
            if len(taken) > LEAST and sum(taken[1:]) > PATIENCE:
                continue
            start = self.timer()
            result = work()
            taken.append(self.timer() - start)
            self.results[name].append(result)

    def median(self, name: str) -> float:
        """Median seconds of a contestant."""
        taken = self.seconds[name]
        return median(taken[1:] or taken)
