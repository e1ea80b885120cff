"""From a study and the user's options to cells and their segments."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..engine import (
    Array,
    InputError,
    NetworkSpec,
    Shown,
    check_normalization,
    device_of,
    product_variables,
)
from .catalogue import NAMES
from .names import flat, nested
from .segment import Segment, check_count
from .study import Study
from .target import Target
from .task import Measurement

LARGEST_GRID = 100_000
"""Cells of a sweep."""


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
    device : str
        As for `measure`.
    target : Target, optional
        How short the interval of each cell's mean is to be; `networks` are those to begin with.
    """

    study: Study
    base: Mapping[str, Any]
    grid: Mapping[str, tuple[Any, ...]]
    networks: int
    steps: int
    seed: int = 0
    inputs: str | Array = "gaussian"
    burn_in: int | None = None
    target: Target | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        cells = math.prod(map(len, self.grid.values()))
        if cells > LARGEST_GRID:
            raise InputError("grid", Shown(f"{cells} cells"), f"at most {LARGEST_GRID} cells")

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
        array, digest = np.asarray(self.inputs), hashlib.sha256()
        for sequence in array:  # by values: float64 has those of every type that is read
            digest.update(np.ascontiguousarray(sequence, "<f8").tobytes())
        return f"array {array.shape} {digest.hexdigest()[:16]}"

    def on_grid(self, values: ArrayLike) -> tuple[tuple[str, ...], Array]:
        """The grid's axes, and values that stand cell after cell laid out on them."""
        found = np.asarray(values)
        shape = tuple(len(axis) for axis in self.grid.values())
        return tuple(self.grid), found.reshape(shape + found.shape[1:])

    def configuration(self) -> dict[str, Any]:
        """All that decides the results, as plain values; a results folder belongs to one."""
        return {
            "study": self.study.name,
            "own": self.study.name not in NAMES,
            "summary": self.study.summary,
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
            "device": self.device,
            "target": None if self.target is None else asdict(self.target),
        }

    @cached_property
    def target_variable(self) -> str:
        """The variable whose mean a target is about: the headline, or the rate.

        Raises
        ------
        InputError
            If the study has no such number of each network.
        """
        table = self.variables()
        for name in (self.study.headline, "rate"):
            # a horizon has no mean: it is infinite for every network that does not forget
            if name in table and table[name].dims == ("network",) and name != "horizon":
                return name
        raise InputError("--target-error", self.study.name, "a study of a rate, as decay")

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


@dataclass(frozen=True, eq=False)
class Cell:
    """One point of the grid."""

    sweep: Sweep = field(repr=False)
    point: Mapping[str, Any]
    spec: NetworkSpec

    @property
    def seed(self) -> int:
        """The seed of the cell's networks."""
        return self.sweep.study.seed(self.sweep.seed, self.point)

    @cached_property
    def measurement(self) -> Measurement:
        """What is measured of its networks."""
        sweep, study = self.sweep, self.sweep.study
        return Measurement(
            spec=self.spec,
            steps=sweep.steps,
            seed=self.seed,
            inputs=sweep.inputs,
            inputs_name=sweep.inputs_name,
            burn_in=sweep.burn_in,
            products=study.products,
            exponents=study.exponents,
            clip=study.clip,
            kept=study.kept,
            derive=study.derive,
            device=sweep.device,
        )

    @property
    def key(self) -> str:
        """The name of the measurement."""
        return self.measurement.key

    def segments(self, networks: int) -> list[Segment]:
        """The pieces in which the statistics of so many networks are stored."""
        return Segment.all(self.measurement, networks)


def check(sweep: Sweep, workers: int | None) -> int:
    """Check every cell before the first is run; returns the number of workers that fit.

    Raises
    ------
    InputError
        For the first cell that cannot be run.
    """
    for cell in sweep.cells:
        check_normalization(cell.spec, sweep.study.products)
        sweep.study.check(cell.spec)
    wanted = [cell.measurement for cell in sweep.cells]
    ceiling = 0 if sweep.target is None else sweep.target.ceiling
    for measurement in wanted:
        check_count(measurement, max(sweep.networks, ceiling))
    device = device_of(sweep.device)
    plans = [device.plan(m.spec, m.source().window, m.wanted, workers) for m in wanted]
    if sweep.target is not None:
        _ = sweep.target_variable
    if not plans:
        raise InputError("grid", dict(sweep.grid), "at least one value on every axis")
    return min(plan.workers for plan in plans)
