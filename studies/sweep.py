"""From a study and the user's options to cells, tasks and results; resumes what is stored."""

from __future__ import annotations

import hashlib
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .. import engine
from ..engine import (
    Array,
    InputError,
    NetworkSpec,
    Wanted,
    check_normalization,
    kernel_digest,
    make_plan,
    measure_block,
    product_variables,
    random_source,
)
from . import accumulator, sketch, statistics, summary
from .names import flat, nested
from .store import cell_key
from .study import Derive, Study
from .summary import Summary

BLOCK = 256
"""Networks of a task. Fixed: statistics are merged block by block, in order, so that results are
the same to the last bit whatever ran where."""


@dataclass(frozen=True)
class Sweep:
    """A study with all options settled.

    Attributes
    ----------
    study : Study
    base : mapping
        Fields of `NetworkSpec` common to all cells, gate biases by their own names.
    grid : mapping
        Axis -> values: the study's axes, and further fields.
    networks, steps, seed : int
    inputs : str or array
        As for `measure`.
    burn_in : int, optional
    """

    study: Study
    base: Mapping[str, Any]
    grid: Mapping[str, tuple[Any, ...]]
    networks: int
    steps: int
    seed: int = 0
    inputs: str | Array = "gaussian"
    burn_in: int | None = None

    @cached_property
    def cells(self) -> list[Cell]:
        """All combinations of the grid's values, checked."""
        cells = []
        for values in itertools.product(*self.grid.values()):
            point = dict(zip(self.grid, values, strict=True))
            fields = {**self.base, **study_fields(self.study, point)}
            cells.append(Cell(self, point, NetworkSpec.from_dict(nested(fields))))
        return cells

    @cached_property
    def distinct(self) -> list[Cell]:
        """The cells without repetitions: points whose networks are the same are measured once."""
        return list({cell.key: cell for cell in self.cells}.values())

    @cached_property
    def inputs_name(self) -> str:
        """The inputs, or a digest of real ones."""
        if isinstance(self.inputs, str):
            return self.inputs
        array = np.ascontiguousarray(self.inputs)
        digest = hashlib.sha256(array.tobytes()).hexdigest()[:16]
        return f"array {array.shape} {digest}"

    @cached_property
    def wanted(self) -> Wanted:
        """What is asked of every network."""
        study = self.study
        return Wanted.of(study.products, clip=bool(study.clip), exponents=study.exponents)

    def on_grid(self, values: ArrayLike) -> tuple[tuple[str, ...], Array]:
        """The grid's axes, and values that stand cell after cell laid out on them."""
        found = np.asarray(values)
        shape = tuple(len(axis) for axis in self.grid.values())
        return tuple(self.grid), found.reshape(shape + found.shape[1:])

    def configuration(self) -> dict[str, Any]:
        """All that decides the results, as plain values; a results folder belongs to one."""
        return {
            "study": self.study.name,
            "products": list(self.study.products),
            "exponents": self.study.exponents,
            "clip": dict(self.study.clip),
            "base": dict(self.base),
            "grid": {axis: list(values) for axis, values in self.grid.items()},
            "networks": self.networks,
            "steps": self.steps,
            "burn_in": self.burn_in,
            "seed": self.seed,
            "inputs": self.inputs_name,
        }

    def variables(self) -> dict[str, Any]:
        """Measured and derived variables of a cell."""
        measured = product_variables(self.study.products, self.study.clip)
        if self.study.kept is not None:
            measured = {name: measured[name] for name in self.study.kept}
        return {**measured, **self.study.derived()}


def study_fields(study: Study, point: Mapping[str, Any]) -> dict[str, Any]:
    """Fields at a point of the grid: the study translates its axes, further ones are fields."""
    own = {axis: value for axis, value in point.items() if axis in study.grid}
    rest = {axis: value for axis, value in point.items() if axis not in study.grid}
    return {**flat(study.fields(own)), **flat(rest)}


@dataclass(frozen=True)
class Cell:
    """One point of the grid."""

    sweep: Sweep = field(repr=False)
    point: Mapping[str, Any]
    spec: NetworkSpec

    @property
    def seed(self) -> int:
        """The seed of the cell's networks."""
        return self.sweep.study.seed(self.sweep.seed, self.point)

    def source(self) -> Any:
        """Where the cell's networks come from."""
        s = self.sweep
        return random_source(self.spec, s.steps, self.seed, s.inputs, s.burn_in, "last")

    def configuration(self) -> dict[str, Any]:
        """All that decides the numbers of this cell."""
        s = self.sweep
        return {
            "spec": self.spec.to_dict(),
            "study": s.study.name,
            "products": list(s.study.products),
            "exponents": s.study.exponents,
            "kept": None if s.study.kept is None else list(s.study.kept),
            "clip": dict(s.study.clip),
            "networks": s.networks,
            "steps": s.steps,
            "burn_in": s.burn_in,
            "seed": self.seed,
            "inputs": s.inputs_name,
            "code": code_digest(s.study.derive),
        }

    @cached_property
    def key(self) -> str:
        """The name of the cell's configuration."""
        return cell_key(self.configuration())

    def tasks(self) -> Iterator[Task]:
        """The cell's blocks of networks."""
        for first in range(0, self.sweep.networks, BLOCK):
            yield Task(self, first, min(BLOCK, self.sweep.networks - first))


@dataclass(frozen=True)
class Task:
    """A block of networks of one cell: the unit of work."""

    cell: Cell
    first: int
    count: int

    def __call__(self) -> Summary:
        """Measure the block in the calling thread."""
        cell, study = self.cell, self.cell.sweep.study
        source = cell.source()
        plan = make_plan(cell.spec, source.window, cell.sweep.wanted, 1)
        options: dict[str, Any] = {"clip": study.clip, "exponents": study.exponents}
        parts = [
            measure_block(source, first, count, study.products, **options)
            for first, count in plan.ranges(self.first, self.first + self.count)
        ]
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return Summary.of(arrays, study.derive, study.kept)


@cache
def code_digest(derive: Derive) -> str:
    """Digest of all sources that decide the numbers of a cell (16 hex digits)."""
    digest = hashlib.sha256(kernel_digest().encode())
    engine_sources = sorted(Path(engine.__file__ or "").parent.glob("*.py"))
    parts = (accumulator, sketch, statistics, summary)
    own = (Path(__file__), *(Path(part.__file__ or "") for part in parts))
    for path in (*engine_sources, *own):
        digest.update(path.read_bytes())
    module = inspect.getmodule(derive)  # with the constants that it uses
    digest.update(inspect.getsource(module or derive).encode())
    return digest.hexdigest()[:16]


def check(sweep: Sweep, workers: int) -> int:
    """Check every cell before the first is run; returns the number of workers that fit.

    Raises
    ------
    InputError
        For the first cell that cannot be run.
    """
    for cell in sweep.cells:
        check_normalization(cell.spec, sweep.study.products)
        sweep.study.check(cell.spec)
    plans = [make_plan(c.spec, c.source().window, sweep.wanted, workers) for c in sweep.cells]
    if not plans:
        raise InputError("grid", dict(sweep.grid), "at least one value on every axis")
    return min(plan.workers for plan in plans)


def run_cells(
    cells: list[Cell],
    executor: Executor,
    in_flight: int,
    finished: Callable[[Cell, Summary], None],
    progress: Callable[[int], None],
) -> None:
    """Run cells on an executor; `finished` gets each cell's merged statistics.

    At most `in_flight` tasks wait or run at a time, so that memory does not grow with their number.
    Blocks are merged in order, whatever the order in which they come back.
    """
    tasks = (task for cell in cells for task in cell.tasks())
    waiting: list[tuple[Task, Future[Summary]]] = []
    merged: Summary | None = None
    try:
        for task in itertools.islice(tasks, in_flight):
            waiting.append((task, executor.submit(task)))
        while waiting:
            task, future = waiting.pop(0)
            # at once: a list of the blocks of a cell would grow with the networks
            merged = future.result() if merged is None else merged.merge(future.result())
            progress(task.count)
            following = next(tasks, None)
            if following is not None:
                waiting.append((following, executor.submit(following)))
            if task.first + task.count == task.cell.sweep.networks:
                finished(task.cell, merged)
                merged = None
    finally:
        for _, future in waiting:
            future.cancel()
