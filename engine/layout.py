"""The arrays that sweeps leave of a chunk: their shapes, and which of them every network keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ..kernels.cells import CELLS
from ..kernels.gram_schmidt import LANES
from ..kernels.norms import BATCH, LAYER, NORMALIZATIONS
from .ensemble import Window
from .spec import NetworkSpec

BLOCKS = 10
"""What a standard error is computed from: its own is a quarter."""

SWEEPS: dict[str, frozenset[str]] = {
    "trajectory": frozenset({"trajectory"}),
    "gradient": frozenset({"adjoint"}),
    "weights": frozenset({"adjoint", "weights"}),
    "jacobian": frozenset({"jacobian"}),
    "lyapunov": frozenset({"lyapunov"}),
    "eigenvalue": frozenset(),
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
    exponents : int, optional
        Leading Lyapunov exponents of every sequence; None: all.
    on_device : bool
        The results in `LONG` stay where a device has them: statistics of them are wanted.
    """

    products: tuple[str, ...]
    states: bool = False
    gradients: bool = False
    exponents: int | None = None
    on_device: bool = False

    @classmethod
    def of(
        cls,
        products: Sequence[str],
        keep: Sequence[str] = (),
        clip: bool = False,
        exponents: int | None = None,
        on_device: bool = False,
    ) -> Wanted:
        """What the arguments of `measure_block` ask for."""
        gradients = "gradients" in keep or clip
        return cls(tuple(products), "states" in keep, gradients, exponents, on_device)

    @property
    def sweeps(self) -> frozenset[str]:
        """The sweeps to run after the forward sweep."""
        more = SWEEPS["weights"] if self.gradients else frozenset()
        return more.union(*(SWEEPS[name] for name in self.products))

    @property
    def linearisations(self) -> bool:
        """Whether those of every network are wanted after its sweeps."""
        return "eigenvalue" in self.products


LONG = {
    "adjoint": ("square", "exponent"),
    "gradient": ("square", "exponent"),
    "visited": ("variance", "exponent"),
}
"""Results of a network that have a number, and its exponent, for every lag or step."""

EXPONENT = "int32"


class Field(NamedTuple):
    """An array of one network; `each`: all networks of a chunk keep theirs."""

    shape: tuple[int, ...]
    each: bool = False
    dtype: str | None = None  # None: the network's precision


class Sizes:
    """Lengths of the axes, by the letters that `kernels.contract` gives them."""

    def __init__(self, spec: NetworkSpec, window: Window) -> None:
        cell, norm = CELLS[spec.cell], NORMALIZATIONS[spec.normalization]
        self.n, self.m, self.B = spec.hidden_size, spec.input_size, spec.batch_size
        self.S, self.R, self.G, self.P = len(cell.slots), cell.recurrent, len(cell.gates), cell.rows
        self.Q = self.R + self.G if norm.separate else self.P
        self.T, self.window = window.total, window.steps
        self.counted = window.steps - 1 - window.burn_in  # steps of a rate and of an exponent
        self.K = 1 if spec.tied else window.total
        self.norm = norm.kind
        self.D = self.B if norm.kind == BATCH else 1
        self.C, self.M = self.B // self.D, self.S * self.D * self.n
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
        "spectrum": _spectrum(size, wanted.exponents),
    }
    sweep_of = {"gradient": "weights", "visited": "trajectory", "spectrum": "lyapunov"}
    for name, fields in parts.items():
        if sweep_of.get(name, name) not in wanted.sweeps:
            parts[name] = {k: f._replace(shape=(0,) * len(f.shape)) for k, f in fields.items()}
    return {"tape": _tape(size, wanted)} | parts


def _tape(s: Sizes, wanted: Wanted) -> Fields:
    kept = s.T if s.norm else 0
    each, linear = wanted.states, wanted.linearisations
    return {
        "net": Field((s.T, s.Q, s.B * s.n)),
        "dz": Field((s.T, s.S, s.P, s.B * s.n), linear),
        "ds": Field((s.T, s.S, s.S, s.B * s.n), linear),
        "state": Field((s.T + 1, s.S, s.B * s.n), each),
        "exponent": Field((s.T + 1, s.C), each, dtype=EXPONENT),
        "normalised": Field((kept, s.Q, s.B * s.n)),
        "gain": Field((kept, s.Q, s.B if s.norm == LAYER else s.n)),
        "drive": Field((0 if s.plain else s.T * s.B, s.G * s.n)),
        "work": Field((2, s.n)),
        "end": Field((1,), True),
        "largest_exponent": Field((1,), True, dtype=EXPONENT),
        "mixed": Field((1,), True, dtype=EXPONENT),
        "scaled_from": Field((1,), dtype=EXPONENT),
    }


def _adjoint(s: Sizes) -> Fields:
    return {
        "cotangent": Field((2, s.S, s.B * s.n)),
        "delta": Field((s.R, s.B * s.n)),
        "square": Field((s.window,), True),
        "exponent": Field((s.window,), True, dtype=EXPONENT),
        "group_exponent": Field((s.window, s.C), dtype=EXPONENT),
        "extremes": Field((2,), True),
    }


def _gradient(s: Sizes, each: bool) -> Fields:
    K = 1 if s.tied else (s.window if each else 0)
    direct = s.plain and s.G == s.P == s.R and not s.norm
    return {
        "W": Field((K, s.R * s.n, s.n), each),
        "U": Field((K, s.G * s.n, s.m), each),
        "b": Field((K, s.P * s.n, 1), each),
        "sum_square": Field((3,), True),
        "sum_exponent": Field((3,), True, dtype=EXPONENT),
        "square": Field((3, s.window), True),
        "exponent": Field((3, s.window), True, dtype=EXPONENT),
        "delta": Field((0 if direct else s.window * s.B * s.P * s.n,)),
        "passed": Field((s.B * s.n,)),
        "rows": Field((s.window * s.B * max(s.n, s.m),)),
        "step_exponent": Field((s.window, s.C), dtype=EXPONENT),
    }


def _visited(s: Sizes) -> Fields:
    return {
        "derivative": Field((3,), True),
        "variance": Field((s.window, s.B), True),
        "exponent": Field((s.window, s.C), True, dtype=EXPONENT),
    }


def _jacobian(s: Sizes) -> Fields:
    C, M = s.C, s.M
    return {
        "frobenius_square": Field((C, s.window), True),
        "spectral": Field((C, s.window), True),
        "exponent": Field((C, s.window), True, EXPONENT),
        "singular_square": Field((C, M), True),
        "singular_exponent": Field((C, M), True, EXPONENT),
        "tangent": Field((2, M, M)),
        "product": Field((s.R * s.D * s.n, M)),
        "column": Field((3, s.D * s.n if s.norm else 0)),
        "rows": Field((2, M, M)),
        "row_exponent": Field((2, M), dtype=EXPONENT),
        "qr": Field((4, M, M)),
        "swaps": Field((2, M), dtype=EXPONENT),
    }


def _spectrum(s: Sizes, exponents: int | None) -> Fields:
    C, M, size = s.C, s.M, s.D * s.n
    k = min(exponents or M, M)
    width = -(-k // LANES) * LANES
    length = (width // LANES | 1) * LANES
    shapes: dict[str, tuple[int, ...]] = {
        "basis": (3, M, length),
        "product": (s.R * size, width),
        "column": (3, size if s.norm else 0),
        "diagonal": (3, width),
        "overlap": (LANES, width),
        "reflections": (min(M, width), M),
    }
    blocks = block_count(s.counted)
    return {
        "growth": Field((C, blocks, k), True, "float64"),
        "exponent": Field((C, blocks, k), True, EXPONENT),
        "report": Field((2,), True, "float64"),
        **{name: Field(shape, dtype="float64") for name, shape in shapes.items()},
        "swaps": Field((2, M), dtype=EXPONENT),
    }


def block_count(steps: int) -> int:
    """Blocks of steps in which Lyapunov exponents are resolved over time."""
    return min(steps, BLOCKS)
