"""The arrays that sweeps leave of a chunk: their shapes, and which of them every network keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ..kernels.cells import CELLS
from ..kernels.norms import BATCH, LAYER, NORMALIZATIONS
from .ensemble import Window
from .spec import NetworkSpec

SWEEPS: dict[str, frozenset[str]] = {
    "trajectory": frozenset({"trajectory"}),
    "gradient": frozenset({"adjoint"}),
    "weights": frozenset({"adjoint", "weights"}),
    "jacobian": frozenset({"jacobian"}),
}
"""The sweeps behind each product, beside the forward sweep."""


@dataclass(frozen=True)
class Wanted:
    """What is asked of every network of a chunk.

    Attributes
    ----------
    products : tuple of str
    states : bool
        The states themselves.
    gradients : bool
        The weight gradients themselves, where weights are fresh at every step all of their terms.
    """

    products: tuple[str, ...]
    states: bool = False
    gradients: bool = False

    @classmethod
    def of(cls, products: Sequence[str], keep: Sequence[str] = (), clip: bool = False) -> Wanted:
        """What the arguments of `measure` ask for."""
        return cls(tuple(products), "states" in keep, "gradients" in keep or clip)

    @property
    def sweeps(self) -> frozenset[str]:
        """The sweeps to run after the forward sweep."""
        more = SWEEPS["weights"] if self.gradients else frozenset()
        return more.union(*(SWEEPS[name] for name in self.products))


class Field(NamedTuple):
    """An array of one network; `each`: all networks of a chunk keep theirs."""

    shape: tuple[int, ...]
    each: bool = False
    exponent: bool = False  # int32, not the kernels' precision


class Sizes:
    """Lengths of the axes, by the letters that `kernels.contract` gives them."""

    def __init__(self, spec: NetworkSpec, window: Window) -> None:
        cell, norm = CELLS[spec.cell], NORMALIZATIONS[spec.normalization]
        self.n, self.m, self.B = spec.hidden_size, spec.input_size, spec.batch_size
        self.S, self.R, self.G, self.P = len(cell.slots), cell.recurrent, len(cell.gates), cell.rows
        self.Q = self.R + self.G if norm.separate else self.P
        self.T, self.window = window.total, window.steps
        self.K = 1 if spec.tied else window.total
        self.norm = norm.kind
        self.tied = spec.tied
        self.plain = self.B == 1 and self.G == self.Q  # rows of net are those of U x


Fields = dict[str, Field]


@lru_cache(maxsize=64)
def layout(spec: NetworkSpec, window: Window, wanted: Wanted) -> dict[str, Fields]:
    """The arrays of every part of a `Chunk` but the ensemble.

    Those of sweeps that do not run are empty.
    """
    size = Sizes(spec, window)
    parts = {
        "adjoint": _adjoint(size),
        "gradient": _gradient(size, wanted.gradients),
        "visited": _visited(size),
        "jacobian": _jacobian(size),
    }
    sweep_of = {"gradient": "weights", "visited": "trajectory"}
    for name, fields in parts.items():
        if sweep_of.get(name, name) not in wanted.sweeps:
            parts[name] = {k: f._replace(shape=(0,) * len(f.shape)) for k, f in fields.items()}
    return {"tape": _tape(size, wanted.states)} | parts


def _tape(s: Sizes, each: bool) -> Fields:
    kept = s.T if s.norm else 0
    return {
        "net": Field((s.T, s.Q, s.B * s.n)),
        "dz": Field((s.T, s.S, s.P, s.B * s.n)),
        "ds": Field((s.T, s.S, s.S, s.B * s.n)),
        "state": Field((s.T + 1, s.S, s.B * s.n), each),
        "exponent": Field((s.T + 1,), each, exponent=True),
        "normalised": Field((kept, s.Q, s.B * s.n)),
        "gain": Field((kept, s.Q, s.B if s.norm == LAYER else s.n)),
        "drive": Field((0 if s.plain else s.T * s.B, s.G * s.n)),
        "work": Field((2, s.n)),
        "end": Field((1,), True),
        "largest_exponent": Field((1,), True, exponent=True),
    }


def _adjoint(s: Sizes) -> Fields:
    return {
        "cotangent": Field((2, s.S, s.B * s.n)),
        "delta": Field((s.R, s.B * s.n)),
        "square": Field((s.window,), True),
        "exponent": Field((s.window,), True, exponent=True),
    }


def _gradient(s: Sizes, each: bool) -> Fields:
    K = 1 if s.tied else (s.window if each else 0)
    direct = s.plain and s.G == s.P == s.R and not s.norm
    return {
        "W": Field((K, s.R * s.n, s.n), each),
        "U": Field((K, s.G * s.n, s.m), each),
        "b": Field((K, s.P * s.n, 1), each),
        "sum_square": Field((3,), True),
        "sum_exponent": Field((3,), True, exponent=True),
        "square": Field((3, s.window), True),
        "exponent": Field((3, s.window), True, exponent=True),
        "delta": Field((0 if direct else s.window * s.B * s.P * s.n,)),
        "passed": Field((s.B * s.n,)),
        "rows": Field((s.window * s.B * max(s.n, s.m),)),
        "step_exponent": Field((s.window,), exponent=True),
    }


def _visited(s: Sizes) -> Fields:
    return {
        "derivative": Field((3,), True),
        "variance": Field((s.window, s.B), True),
        "exponent": Field((s.window,), True, exponent=True),
    }


def _jacobian(s: Sizes) -> Fields:
    group = s.B if s.norm == BATCH else 1
    C, M = s.B // group, s.S * group * s.n
    return {
        "frobenius_square": Field((C, s.window), True),
        "spectral": Field((C, s.window), True),
        "exponent": Field((C, s.window), True, exponent=True),
        "singular_square": Field((C, M), True),
        "singular_exponent": Field((C, M), True, exponent=True),
        "tangent": Field((2, s.S, M, group * s.n)),
        "product": Field((s.R, M, group * s.n)),
        "rows": Field((2, M, M)),
        "row_exponent": Field((M,), exponent=True),
        "qr": Field((4, M, M)),
        "swaps": Field((2, M), exponent=True),
    }
