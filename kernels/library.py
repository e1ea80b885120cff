"""The compiled kernels by name: what the engine calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numba
import numpy as np

from . import prepare, random
from .bodies.adjoint import adjoint
from .bodies.forward import apply_equations, forward
from .bodies.forward_scaled import forward_scaled
from .bodies.jacobian import jacobian
from .bodies.lyapunov import lyapunov
from .bodies.trajectory import trajectory
from .bodies.weights import weights
from .cells import CELLS
from .contract import UNFINISHED, Chunk, Setting
from .logarithms import log_norms
from .precision import FORMATS
from .specialise import specialise, switch
from .targets import cpu
from .targets.calls import address, flat, reshaped, section
from .targets.panel import orthonormalise_panel
from .targets.product import row_product, rows_product
from .targets.row_part import own_between, own_magnitude, own_square

LINEAR_SWEEPS: dict[str, Callable[..., None]] = {
    body.__name__: body for body in (trajectory, jacobian, lyapunov, adjoint, weights)
}
"""What runs on the tape of a forward sweep and knows no cell, so that one compiled function each
serves all of them; in the order in which they run: `adjoint` overwrites the pre-activations, and
`weights` wants what it leaves."""

TARGET = {
    "row_product": row_product,
    "rows_product": rows_product,
    "orthonormalise_panel": orthonormalise_panel,
    "flat": flat,
    "reshaped": reshaped,
    "section": section,
    "own_magnitude": own_magnitude,
    "own_square": own_square,
    "own_between": own_between,
}
BINDINGS = {name: names | TARGET for name, names in FORMATS.items()}
"""What the sources of the sweeps leave open, per precision."""

COMPUTES_IN = {"lyapunov": "float64"}
"""Sweeps that compute in one format for networks of either."""

PREPARATIONS: dict[str, Callable[..., None]] = {
    function.__name__: function for function in (prepare.transpose, prepare.to_unit_length)
}

_loops: dict[str, _Loop] = {}
_compiling = threading.RLock()

PAIRS = {"normal": random.normal_pair, "uniform": random.symmetric_pair}
TILES = {"float64": (random.uniform_double, 2), "float32": (random.uniform_single, 4)}


def run_sweeps(
    cell: str, precision: str, sweeps: Iterable[str], networks: int, setting: Setting, chunk: Chunk
) -> None:
    """Run every network of a chunk forward, and then through some of `LINEAR_SWEEPS`.

    `forward_scaled`, which few networks need, is compiled for the first that does; the chunk is
    then run again.
    """
    with _compiling:
        if precision not in _loops:
            _loops[precision] = _Loop(precision, setting, chunk)
        loop = _loops[precision]
        bodies = [loop.address(forward, cell), loop.addresses.get((forward_scaled, cell), 0)]
        bodies += [loop.address(body) for name, body in LINEAR_SWEEPS.items() if name in sweeps]
    loop.launch(networks, np.array(bodies), setting, chunk)
    if bodies[1] == 0 and (chunk.tape.largest_exponent == UNFINISHED).any():
        with _compiling:
            bodies[1] = loop.address(forward_scaled, cell)
        loop.launch(networks, np.array(bodies), setting, chunk)


class _Loop:
    """The loop over networks, and the sweeps compiled for it, of one precision."""

    def __init__(self, precision: str, setting: Setting, chunk: Chunk) -> None:
        if not all(array.flags.c_contiguous for part in chunk for array in part):
            raise TypeError("the sweeps want contiguous arrays")
        self.precision, self.kinds = precision, (numba.typeof(setting), numba.typeof(chunk))
        launch: Any = specialise(cpu.launch, precision)
        launch.compile((numba.intp, numba.int64[::1], *self.kinds))
        # sweeps are compiled for these types alone: arrays of another kind must not reach them
        launch.disable_compile()
        self.launch = launch
        self.addresses: dict[Any, int] = {}

    def address(self, body: Callable[..., None], cell: str = "") -> int:
        """Where a sweep is, of an architecture or of all; compiled, or loaded, when asked for."""
        if (body, cell) not in self.addresses:
            precision = self.precision
            sweep = cell_sweep(body, cell, precision) if cell else linear_sweep(body, precision)
            self.addresses[body, cell] = address(sweep, *self.kinds)
        return self.addresses[body, cell]


def cell_sweep(body: Callable[..., None], cell: str, precision: str) -> Callable[..., None]:
    """A sweep that evaluates the equations of an architecture."""
    chosen, formats = CELLS[cell], BINDINGS[precision]
    equations: dict[str, Any] = {"step": chosen.step, "linearise": chosen.linearise}
    variants: dict[str, dict[str, Any]] = {
        name: {"phi": phi} for name, phi in chosen.activations.items()
    } or {"only": {}}
    cases = [
        specialise(
            apply_equations,
            f"{cell}_{name}_{precision}",
            called_from="kernels",
            **equations,
            **phi,
            **formats,
        )
        for name, phi in variants.items()
    ]
    suffix = f"{cell}_{precision}"
    choice = switch(cases, 6, suffix)
    return specialise(
        body, suffix, called_from="loop", shared=precision, apply_cell=choice, **formats
    )


def linear_sweep(body: Callable[..., None], precision: str) -> Callable[..., None]:
    """One of `LINEAR_SWEEPS`."""
    own = COMPUTES_IN.get(body.__name__, precision)
    return specialise(body, own, called_from="loop", **BINDINGS[own])


@cache
def fill_kernel(distribution: str, precision: str) -> Callable[..., None]:
    """Random numbers, ``"normal"`` or ``"uniform"`` on (-1, 1): see `random.fill`."""
    fill_uniform, count = TILES[precision]
    return specialise(
        random.fill,
        f"{distribution}_{precision}",
        pair=PAIRS[distribution],
        fill_uniform=fill_uniform,
        NUMBERS_PER_BLOCK=count,
        **FORMATS[precision],
    )


@cache
def prepare_kernel(name: str, precision: str) -> Callable[..., None]:
    """A function of `prepare`, compiled."""
    return specialise(PREPARATIONS[name], precision, **BINDINGS[precision])


@cache
def log_norms_kernel() -> Callable[..., None]:
    """`logarithms.log_norms` for squares of either precision."""
    return specialise(log_norms, "float64", **BINDINGS["float64"])
