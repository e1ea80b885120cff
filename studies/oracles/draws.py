"""Random networks for a check, of seeds of their own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import numpy as np

from ...engine import STATUS, NetworkSpec, measure, sample

if TYPE_CHECKING:
    import xarray as xr

LEAST_NETWORKS = 4


class Size(NamedTuple):
    """How large the measurements are, as factors.

    Attributes
    ----------
    networks : float
        On the number of networks of every check.
    width : int
        On the width of networks whose theory is that of infinite width.
    """

    networks: float = 1.0
    width: int = 1


SIZES = {"quick": Size(0.25), "default": Size(), "thorough": Size(4.0, 2)}
"""Thorough: wider as well, since the error that is left of the width must shrink with the
statistical one."""


class FailedNetworksError(Exception):
    """Some networks have no result; `counts` has their number by status."""

    def __init__(self, counts: dict[str, int]) -> None:
        super().__init__(", ".join(f"{count} {status}" for status, count in counts.items()))
        self.counts = counts


@dataclass
class Draws:
    """The networks of one check.

    Attributes
    ----------
    statement : str
        Of the check: it and the specification decide the seed, beside the seed of the run.
    seed : int
        Of the run.
    size : Size
    workers : int, optional
        Threads; default one per available core.
    networks : int
        How many have been measured.
    """

    statement: str
    seed: int
    size: Size = SIZES["default"]
    workers: int | None = None
    networks: int = field(default=0, init=False)

    def measure(self, spec: NetworkSpec, networks: int, steps: int, **options: Any) -> xr.Dataset:
        """`measure` of random networks, of which `networks` is the number at the default size.

        Raises
        ------
        FailedNetworksError
            If one of them has no result.
        """
        count, seed = self._count(networks), self._seed(spec)
        return self._all_good(
            measure(spec, networks=count, steps=steps, seed=seed, workers=self.workers, **options)
        )

    def sample(self, spec: NetworkSpec, networks: int, steps: int, **options: Any) -> xr.Dataset:
        """`sample` of random networks, likewise."""
        return sample(spec, self._count(networks), steps, self._seed(spec), **options)

    def measure_given(self, ensemble: xr.Dataset, **options: Any) -> xr.Dataset:
        """`measure` of a given ensemble, likewise."""
        return self._all_good(measure(ensemble, workers=self.workers, **options))

    def _count(self, networks: int) -> int:
        return max(LEAST_NETWORKS, round(networks * self.size.networks))

    def _seed(self, spec: NetworkSpec) -> int:
        own = crc32(f"{self.statement} {spec.to_json()}".encode())
        return int(np.random.SeedSequence(self.seed, spawn_key=(own,)).generate_state(1, "u8")[0])

    def _all_good(self, data: xr.Dataset) -> xr.Dataset:
        self.networks += data.sizes["network"]
        names = {code: name for name, code in STATUS.items()}
        codes, counts = np.unique(data.status.values, return_counts=True)
        found = {names[int(c)]: int(n) for c, n in zip(codes, counts, strict=True)}
        found.pop("ok", None)
        if found:
            raise FailedNetworksError(found)
        return data
