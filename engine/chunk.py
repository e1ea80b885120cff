"""A chunk of networks and its way through the sweeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..kernels.cells import CELLS
from ..kernels.contract import (
    PARAMETERS,
    Adjoint,
    Array,
    Chunk,
    JacobianProduct,
    Setting,
    Spectrum,
    Tape,
    Visited,
    WeightGradient,
    Wiring,
)
from ..kernels.library import run_sweeps
from ..kernels.norms import NORMALIZATIONS
from .ensemble import Source, Window
from .layout import Field, Fields, Sizes, Wanted, layout
from .spec import NetworkSpec
from .workspace import Workspace

PARTS: dict[str, Callable[..., Any]] = {
    "tape": Tape,
    "adjoint": Adjoint,
    "gradient": WeightGradient,
    "visited": Visited,
    "jacobian": JacobianProduct,
    "spectrum": Spectrum,
}
"""The parts of a `Chunk` after its ensemble, in its order."""


@dataclass
class Run:
    """A chunk of networks after its sweeps.

    Arrays that networks use one after the other hold those of the last (see `layout`). `given`
    says that arrays of the ensemble came from outside and may hold NaN.
    """

    spec: NetworkSpec
    window: Window
    wanted: Wanted
    setting: Setting
    arrays: Chunk
    given: bool = False

    @classmethod
    def of(
        cls, source: Source, first: int, count: int, wanted: Wanted, workspace: Workspace
    ) -> Run:
        """Draw the networks first, ..., first + count - 1 and run their sweeps."""
        spec, window = source.spec, source.window
        setting = setting_of(spec, window, wanted)
        ensemble = source.draw(first, count, workspace)
        parts = layout(spec, window, wanted)
        results = workspace.again(
            (parts, count), lambda: _results(count, parts, spec.precision, workspace)
        )
        arrays = Chunk(ensemble, *results)
        run_sweeps(spec.cell, spec.precision, wanted.sweeps, count, setting, arrays)
        return cls(spec, window, wanted, setting, arrays, source.given)

    @property
    def count(self) -> int:
        """Networks in the chunk."""
        return len(self.arrays.ensemble.W)


def _results(
    count: int, parts: dict[str, Fields], precision: str, workspace: Workspace
) -> list[Any]:
    """Uninitialised arrays for all that the sweeps leave of a chunk."""

    def take(part: str, name: str, field: Field) -> Array:
        shape = (count if field.each else 1, *field.shape)
        return workspace.take(f"{part}.{name}", shape, field.dtype or precision)

    return [
        kind(**{name: take(part, name, field) for name, field in parts[part].items()})
        for part, kind in PARTS.items()
    ]


@lru_cache(maxsize=64)
@np.errstate(over="ignore")  # a factor that the precision cannot hold: infinite, as weights are
def setting_of(spec: NetworkSpec, window: Window, wanted: Wanted) -> Setting:
    """What the kernels have to know of a specification."""
    cell, real = CELLS[spec.cell], np.dtype(spec.precision).type
    names = list(cell.activations)
    parameters = [real(getattr(spec, name)) for name in cell.parameters]
    return Setting(
        wiring_of(spec),
        names.index(spec.activation) if names else 0,
        tuple(parameters + [real(0)] * (PARAMETERS - len(parameters))),
        real(spec.skip),
        real(spec.branch),
        window.burn_in,
        initial_frame(spec, window, wanted),
    )


def initial_frame(spec: NetworkSpec, window: Window, wanted: Wanted) -> Array:
    """The tangents that Lyapunov exponents start from, orthonormal columns (M, k).

    All of them: the unit vectors, which leave what is exactly zero at zero. The leading k: random
    directions, the same for every network, as some of the unit vectors may never leave theirs.
    """
    if "lyapunov" not in wanted.sweeps:
        return np.empty((0, 0))
    size = Sizes(spec, window).M
    if wanted.exponents is None or wanted.exponents >= size:
        return np.eye(size)
    random = np.random.default_rng(0).standard_normal((size, wanted.exponents))
    return np.ascontiguousarray(np.linalg.qr(random)[0])


def wiring_of(spec: NetworkSpec) -> Wiring:
    """How the terms of the cell's pre-activations are put together and normalised."""
    cell, norm = CELLS[spec.cell], NORMALIZATIONS[spec.normalization]
    input_row = np.array(cell.input_rows, np.int64)
    term_row = cell.recurrent + np.arange(len(cell.gates)) if norm.separate else input_row
    scale = np.dtype(spec.precision).type(spec.norm_scale)
    return Wiring(input_row, term_row, np.arange(cell.rows), norm.kind, scale)
