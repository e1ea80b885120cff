"""A block of networks of one cell: the unit of work. It runs in any process."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import engine
from ..engine import (
    Array,
    NetworkSpec,
    Plan,
    Results,
    Wanted,
    axis_lengths,
    computed_by,
    device_of,
    kernel_digest,
    measure_block,
    operations,
    product_variables,
    random_source,
)
from ..engine.clip import checked_clips
from . import accumulator, sketch, statistics, summary
from .accumulator import merge_all
from .errors import MachineFault
from .store import cell_key
from .streams import warn
from .study import Derive
from .summary import Summary, summarised

OPERATIONS = 1e10
"""Of a block: some tenths of a second, so that handing it to another process costs little beside
it, and the last ones of a run do not keep others waiting."""

LARGEST_BLOCK = 4096

ON_GPU = 16
"""Times as much, so that a block keeps all of a GPU at work."""

LARGEST_ON_GPU = 16384
"""What the GPU takes at a time: while one task makes statistics, another has the GPU."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """All that decides the statistics of a cell, but the number of its networks.

    Attributes
    ----------
    spec : NetworkSpec
    steps, seed : int
    inputs : str or array
        As for `measure`.
    inputs_name : str
        The inputs, or a digest of real ones.
    burn_in : int, optional
    products : tuple of str
    exponents : int, optional
    clip : mapping
    kept : tuple of str, optional
    derive : callable
        As for `Study`: a function of a module, so that other processes find it.
    device : str
        As for `measure`.
    """

    spec: NetworkSpec
    steps: int
    seed: int
    inputs: str | Array
    inputs_name: str
    burn_in: int | None
    products: tuple[str, ...]
    exponents: int | None
    clip: Mapping[str, Any]
    kept: tuple[str, ...] | None
    derive: Derive
    device: str = "cpu"

    def source(self) -> Any:
        """Where the networks come from."""
        return random_source(self.spec, self.steps, self.seed, self.inputs, self.burn_in, "last")

    @property
    def wanted(self) -> Wanted:
        """What is asked of every network."""
        return Wanted.of(
            self.products,
            clip=bool(self.clip),
            exponents=self.exponents,
            on_device=self.device != "cpu",
        )

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The same as plain values, with a digest of the program."""
        return {
            "spec": self.spec.to_dict(),
            "products": list(self.products),
            "exponents": self.exponents,
            "kept": None if self.kept is None else list(self.kept),
            "clip": dict(self.clip),
            "steps": self.steps,
            "burn_in": self.burn_in,
            "seed": self.seed,
            "inputs": self.inputs_name,
            "device": computed_by(self.device),
            "code": code_digest(self.derive),
        }

    @cached_property
    def key(self) -> str:
        """The name of the configuration."""
        return cell_key(self.configuration)

    @cached_property
    def block(self) -> int:
        """Networks of a task, a power of two.

        It follows from the specification alone: statistics are merged block by block, in order, so
        that results are the same to the last bit whatever ran where.
        """
        more, most = (ON_GPU, LARGEST_ON_GPU) if self.device == "cuda" else (1, LARGEST_BLOCK)
        share = more * OPERATIONS / self.operations
        return int(2 ** np.clip(np.floor(np.log2(share)), 0, np.log2(most)))

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What a network has of every variable whose statistics are kept."""
        lengths = axis_lengths(self.source(), len(checked_clips(self.clip)), self.exponents)
        table = product_variables(self.products, self.clip)
        nothing = {
            name: np.empty((0, *(lengths[axis] for axis in variable.dims[1:])))
            for name, variable in table.items()
        }
        kept = summarised(nothing, self.derive, self.kept)
        return {name: values.shape[1:] for name, values in kept.items()}

    @cached_property
    def operations(self) -> float:
        """Those of a network, roughly."""
        return operations(self.spec, self.source().window, self.wanted)


@dataclass(frozen=True, eq=False)
class Task:
    """Some networks of a measurement, from `first` on.

    Attributes
    ----------
    measurement : Measurement
    first, count : int
    code : str
        Digest of the program that asked for it.
    """

    measurement: Measurement
    first: int
    count: int
    code: str

    def __call__(self) -> Summary:
        """Measure them in the calling thread.

        Raises
        ------
        MachineFault
            If this process runs another version of the program: its numbers may differ.
        MemoryError
            If a single network does not fit.
        """
        wanted = self.measurement
        if code_digest(wanted.derive) != self.code:
            other = "of gradhorizon or its dependencies, or has other NUMBA_ settings"
            raise MachineFault(f"a worker runs another version {other}")
        plan = device_of(wanted.device).plan(wanted.spec, wanted.source().window, wanted.wanted, 1)
        summary_of = self._group_by_group if wanted.wanted.on_device else self._at_once
        while True:
            try:
                return summary_of(plan)
            except MemoryError:
                if plan.chunk == 1:
                    raise
                plan = replace(plan, chunk=plan.chunk // 2)
                warn(f"gradhorizon: out of memory: {plan.chunk} networks at a time now")

    def _at_once(self, plan: Plan) -> Summary:
        """Statistics of the results of all chunks."""
        parts = list(self._measured(plan))
        return self._summary({k: np.concatenate([part[k] for part in parts]) for k in parts[0]})

    def _group_by_group(self, plan: Plan) -> Summary:
        """Statistics of each chunk while its results are on the device, by groups of networks."""
        return merge_all(
            self._summary({name: values[k : k + plan.group] for name, values in part.items()})
            for part in self._measured(plan)
            for k in range(0, len(part["status"]), plan.group)
        )

    def _measured(self, plan: Plan) -> Iterator[Results]:
        """Results of the networks chunk by chunk."""
        wanted, source = self.measurement, self.measurement.source()
        for first, count in plan.ranges(self.first, self.first + self.count):
            yield measure_block(
                source,
                first,
                count,
                wanted.products,
                clip=wanted.clip,
                exponents=wanted.exponents,
                device=wanted.device,
                on_device=wanted.wanted.on_device,
            )

    def _summary(self, results: Results) -> Summary:
        return Summary.of(results, self.measurement.derive, self.measurement.kept)


def code_digest(derive: Derive) -> str:
    """Digest of all sources that decide the numbers of a cell (16 hex digits)."""
    names = kernel_digest() + SOURCES + _source_digest(derive)
    return hashlib.sha256(names.encode()).hexdigest()[:16]


@cache
def _source_digest(derive: Derive) -> str:
    module = inspect.getmodule(derive)  # with the constants that it uses
    source = inspect.getsource(module or derive) + derive.__qualname__
    return hashlib.sha256(source.encode()).hexdigest()


def _read() -> str:
    """Digest of the sources of the engine and of the statistics."""
    parts = (accumulator, sketch, statistics, summary)
    own = (Path(__file__), *(Path(part.__file__ or "") for part in parts))
    order = Path(__file__).with_name("segment.py")  # in which statistics are merged
    digest = hashlib.sha256()
    for path in (*sorted(Path(engine.__file__ or "").parent.glob("*.py")), *own, order):
        digest.update(path.read_bytes())
    return digest.hexdigest()


SOURCES = _read()
"""As they were imported: a process that goes on after an edit runs what it has."""
