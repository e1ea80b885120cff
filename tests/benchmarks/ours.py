"""The same jobs with gradhorizon, and the parts of one apart: drawing, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from gradhorizon.engine import (
    NetworkSpec,
    Wanted,
    device_of,
    measure,
    measure_block,
    random_source,
    single_threaded_blas,
)
from gradhorizon.engine.place import Memory, Place

from .jobs import SUMMARISED, Job, Summary, summary

THREADS = 2


def whole(job: Job, seed: int = 0, workers: int = THREADS) -> Summary:
    """Draw, measure, summarise."""
    data = measure(
        job.spec,
        networks=job.N,
        steps=job.T,
        seed=seed,
        burn_in=0,
        products=job.products,
        workers=workers,
    )
    assert (data.status == 0).all()
    return summarised({name: data[name].values for name in data.data_vars})


@cache
def interval(job: Job) -> float:
    """Mean steps between two orthonormalisations of the product ``lyapunov``, of some networks."""
    few = min(job.N, 8)
    data = measure(job.spec, networks=few, steps=job.T, burn_in=0, products=job.products)
    return float(data.orthonormalisation_interval.mean())


def summarised(found: Mapping[str, Any]) -> Summary:
    if "log_jacobian_norm" in found:
        return summary({"log_jacobian_norm": found["log_jacobian_norm"][:, 0]})  # Frobenius
    return summary({name: found[name] for name in SUMMARISED if name in found})


@dataclass
class Drawn:
    """The networks of a job, drawn before the clock starts: a source of `measure_block`."""

    job: Job
    given: bool = False
    chunks: dict[tuple[int, int], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        job = self.job
        self.source = random_source(job.spec, job.T, 0, "gaussian", 0, "last")
        plan = device_of("cpu").plan(job.spec, self.window, Wanted.of(job.products), THREADS)
        for block in plan.ranges(0, job.N):
            self.chunks[block] = self.source.draw(*block, Memory())

    @property
    def spec(self) -> NetworkSpec:
        return self.job.spec

    @property
    def window(self) -> Any:
        return self.source.window

    def draw(self, first: int, count: int, place: Place) -> Any:
        return self.chunks[first, count]

    def sweep(self) -> Summary:
        """All but the drawing: forward, backward, weight gradients, summary; on two threads."""

        def run(block: tuple[int, int]) -> dict[str, Any]:
            return measure_block(self, *block, self.job.products)

        with single_threaded_blas(), ThreadPoolExecutor(THREADS) as executor:
            parts = list(executor.map(run, self.chunks))
        return summarised({name: np.concatenate([p[name] for p in parts]) for name in parts[0]})

    def sampling(self) -> None:
        """The drawing alone, on one thread."""
        memory = Memory()
        for block in self.chunks:
            self.source.draw(*block, memory)
