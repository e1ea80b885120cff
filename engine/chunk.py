"""A chunk of networks and its way through the sweeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..kernels.cells import CELLS
from ..kernels.contract import (
    PARAMETERS,
    Array,
    Cell,
    Chunk,
    Scaling,
    Setting,
    Wiring,
)
from ..kernels.norms import BATCH, NORMALIZATIONS
from .ensemble import Source, Window
from .layout import Sizes, Wanted
from .spec import NetworkSpec

if TYPE_CHECKING:  # which takes what the sweeps need from here
    from .device import Device


@dataclass
class Run:
    """A chunk of networks after its sweeps.

    Of its arrays, those that every network keeps count (see `layout`; some may be `OnDevice`), and
    those of the ensemble where they are looked at again. `given` says that the latter came from
    outside and may hold NaN.
    """

    spec: NetworkSpec
    window: Window
    wanted: Wanted
    setting: Setting
    arrays: Chunk
    count: int
    given: bool = False

    @classmethod
    def of(cls, source: Source, first: int, count: int, wanted: Wanted, device: Device) -> Run:
        """Draw the networks first, ..., first + count - 1 and run their sweeps."""
        spec, window = source.spec, source.window
        setting = setting_of(spec, window, wanted)
        arrays = device.run(source, first, count, wanted, setting)
        return cls(spec, window, wanted, setting, arrays, count, source.given)


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
        scaling_of(spec),
    )


def scaling_of(spec: NetworkSpec) -> Scaling:
    """How the networks behave far from size 1, from values of the cell and its activation."""
    cell, real = CELLS[spec.cell], np.dtype(spec.precision).type
    phi = cell.activations.get(spec.activation)
    gated, order = int(cell.gated), order_of(cell)
    if phi is None:
        return Scaling(0, 0, 1, real(1), gated, order)
    origin, flat = phi(np.float64(0))
    homogeneous, kink = (0, 0) if spec.normalization != "none" else homogeneity_of(phi, flat)
    slope = max(abs(real(spec.slope)), np.finfo(real).tiny)
    return Scaling(homogeneous, kink, int(origin == 0), slope, gated, order)


@np.errstate(over="ignore")
def homogeneity_of(phi: Callable[..., Any], flat: float) -> tuple[int, int]:
    """`Scaling.homogeneous` and `Scaling.kink` of an activation whose derivative at 0 is `flat`."""
    sides = []
    for z in (np.ldexp(sign, np.arange(-60, 61, 20)) for sign in (-1.0, 1.0)):
        value, slope = np.array([phi(x) for x in z]).T
        if not ((slope == slope[0]).all() and (value == slope * z).all()):
            return 0, 0
        sides.append(slope[0])
    below, above = (side != flat for side in sides)
    return 1, (2 if below else 1) if above else -int(below)


def order_of(cell: Cell) -> int:
    """`Scaling.order`, from the derivatives by W h beside a tiny state."""
    slots, rows = len(cell.slots), cell.rows
    tiny = np.float64(2.0**-60)
    dz, ds = np.zeros((slots, rows, 1)), np.zeros((slots, slots, 1))
    parameters = np.ones(PARAMETERS)
    cell.linearise(np.full((rows, 1), tiny), np.full((slots, 1), tiny), 0, parameters, dz, ds)
    return 1 if abs(dz[:, : cell.recurrent]).max() > np.sqrt(tiny) else 2


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
    rows, zero = np.arange(cell.rows), np.zeros(1 if norm.kind == BATCH else spec.batch_size, "i4")
    return Wiring(input_row, term_row, rows, driving_rows(cell), zero, norm.kind, scale)


def driving_rows(cell: Cell) -> Array:
    """The rows of which a number other than 0 moves a state of zero: not those of gates."""
    z, s = np.eye(cell.rows), np.zeros((len(cell.slots), cell.rows))
    out = np.zeros_like(s)
    for row in range(cell.rows):
        cell.step(z, s, row, np.ones(PARAMETERS), out)
    return np.flatnonzero(out.any(axis=0))
