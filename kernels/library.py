"""The compiled kernels by name: what the engine calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from . import prepare, random
from .bodies.adjoint import adjoint
from .bodies.forward import apply_equations, forward
from .bodies.jacobian import jacobian
from .bodies.trajectory import trajectory
from .bodies.weights import weights
from .cells import CELLS
from .precision import FORMATS
from .specialise import specialise, switch
from .targets import cpu
from .targets.product import add_product

LINEAR_BODIES: dict[str, Callable[..., None]] = {
    body.__name__: body for body in (adjoint, weights, trajectory, jacobian)
}
"""Bodies that run on a tape and know no cell: one compiled kernel each serves all of them."""

BINDINGS = {name: {**names, "add_product": add_product} for name, names in FORMATS.items()}
"""What the sources of the sweeps leave open, per precision."""

PREPARATIONS: dict[str, Callable[..., None]] = {
    function.__name__: function for function in (prepare.transpose, prepare.to_unit_length)
}

PAIRS = {"normal": random.normal_pair, "uniform": random.symmetric_pair}
TILES = {"float64": (random.uniform_double, 2), "float32": (random.uniform_single, 4)}


@cache
def forward_kernel(cell: str, precision: str) -> Callable[..., None]:
    """The forward sweep of an architecture.

    Call it as ``kernel(networks, ensemble, wiring, tape, case, parameters, skip, branch)``;
    `case` is the position of the activation in the cell's table (0 for a cell that has none).
    """
    chosen, formats = CELLS[cell], BINDINGS[precision]
    equations = {"step": chosen.step, "linearise": chosen.linearise}
    variants = {name: {"phi": phi} for name, phi in chosen.activations.items()} or {"only": {}}
    cases = [
        specialise(
            apply_equations,
            f"{cell}_{name}_{precision}",
            entry=False,
            **equations,
            **phi,
            **formats,
        )
        for name, phi in variants.items()
    ]
    suffix = f"{cell}_{precision}"
    bound = specialise(forward, suffix, entry=False, apply_cell=switch(cases, 6, suffix), **formats)
    return specialise(cpu.launch, f"forward_{suffix}", body=bound)


@cache
def kernel(name: str, precision: str) -> Callable[..., None]:
    """A kernel of `LINEAR_BODIES`; call it as ``kernel(networks, *arguments of the body)``."""
    bound = specialise(LINEAR_BODIES[name], precision, entry=False, **BINDINGS[precision])
    return specialise(cpu.launch, f"{name}_{precision}", body=bound)


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
    return specialise(PREPARATIONS[name], precision, **FORMATS[precision])
