"""What a cell is, and how the arrays of an ensemble are laid out.

A cell is an architecture: per unit i it has P pre-activations z[p, i] and S state slots s[a, i];
slot 0 is h, the one that the recurrent weights read. Its file gives two functions of one unit,

* ``step(z, s, i, parameters, out)``: out[a, i] = s'_a,
* ``linearise(z, s, i, parameters, dz, ds)``: dz[a, p, i] = d s'_a / d z_p and
  ds[a, b, i] = d s'_a / d s_b (direct dependence, not through z),

and nothing else: the backward and the tangent sweeps follow from dz and ds alone. Here a unit is
any unit of any sequence.

Pre-activations. The rows 0, ..., R - 1 of z receive the recurrent terms W h of the R gates that
read h. The input term U x of a gate is added to the same row, or has a row of its own after those
(see `Cell`).

Axes, in this order wherever they occur: step T, slot S, gate G or row P, units B n (sequence by
sequence, in one axis, so that a cell is applied to all of them in one loop). m is the number of
input features; K is 1 for tied weights and T for fresh weights at every step. Sequences form C
groups of D: one group of all (C = 1, D = B) where a normalisation over the batch couples them, else
a group each (C = B, D = 1). What differs in size without bound, states and gradients, has a power
of two of its own for each group.

A sweep is written for one network: ``body(setting, network)``, `network` a `Chunk` of its arrays
with the axes given below. The arrays of a whole chunk have an axis more in front: a length for each
network; or length 1 for what networks use one after the other, so that it stays in the cache from
sweep to sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy.typing as npt

Array = npt.NDArray[Any]

PARAMETERS = 1
"""Numbers that any cell's equations may read; one type of tuple for all, so that sweeps that know
no cell are compiled once."""


@dataclass(frozen=True)
class Cell:
    """An architecture.

    Attributes
    ----------
    name : str
    gates : tuple of str
        In PyTorch's order; those that do not read h come last.
    slots : tuple of str
        Names of the state slots; the first is ``"h"``.
    step, linearise : callable
        The cell's equations, see the module's docstring.
    apart : tuple of str
        Gates whose recurrent term and input term enter the equations apart.
    input_only : tuple of str
        Gates that do not read h.
    gated : bool
        Whether dz depends on the state: gates multiply it.
    parameters : tuple of str
        Fields of the specification that the equations read, in the order of ``parameters``.
    activations : mapping
        Name -> function that may be bound to the cell's global ``phi``; empty for a cell whose
        nonlinearities are fixed.
    """

    name: str
    gates: tuple[str, ...]
    slots: tuple[str, ...]
    step: Callable[..., None]
    linearise: Callable[..., None]
    apart: tuple[str, ...] = ()
    input_only: tuple[str, ...] = ()
    gated: bool = False
    parameters: tuple[str, ...] = ()
    activations: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    @property
    def recurrent(self) -> int:
        """R, the number of gates that read h."""
        return len(self.gates) - len(self.input_only)

    @property
    def input_rows(self) -> tuple[int, ...]:
        """Row of the pre-activations that the input term of each gate enters."""
        own = iter(range(self.recurrent, self.rows))
        alone = (*self.apart, *self.input_only)
        return tuple(next(own) if gate in alone else g for g, gate in enumerate(self.gates))

    @property
    def rows(self) -> int:
        """P, the number of pre-activations."""
        return len(self.gates) + len(self.apart)


class Ensemble(NamedTuple):
    """Arrays of the networks of one chunk, C-contiguous, all of one precision.

    ``input`` has no features (m = 0) when the networks are not driven. ``readout_gradient`` has a
    lag axis: 1 for a loss at the last step only, T for a loss at every step.
    """

    W: Array  # (K, R, n, n)
    W_transposed: Array  # (K, R, n, n): each gate's block transposed
    U_transposed: Array  # (K, m, G n)
    b: Array  # (K, P, n)
    input: Array  # (T, B, m)
    initial_state: Array  # (S, B n)
    readout_gradient: Array  # (lag, B n): dL/dh


class Wiring(NamedTuple):
    """How the terms of the pre-activations are put together; Q rows hold the terms.

    Q = P, and a row holds the sum of its terms, unless terms are normalised apart: then Q = R + G
    rows hold the recurrent terms and the input terms.
    """

    input_row: Array  # (G,): row of the pre-activations that a gate's input term enters
    term_row: Array  # (G,): row of the terms that holds it
    every_row: Array  # (P,): 0, 1, ...
    driving_row: Array  # rows of which a number other than 0 moves a state of zero
    no_exponent: Array  # (C,), int32: 0, of the terms that do not hold W h
    norm: int  # 0: none, else the kind, see `norms`
    norm_scale: Any  # gamma


class Scaling(NamedTuple):
    """How f, and h' of the cell, behave far from size 1: see `bodies.scales`."""

    homogeneous: int  # 1: no norm, and f(c z) = c f(z) for c > 0, so that f is right at any scale
    kink: int  # f' at 0 differs from f' of all z > 0: 1, of all z < 0: -1, of both: 2; else 0
    origin: int  # 1: f(0) = 0
    slope: Any  # f depends on slope z
    gated: int  # 1: gates multiply f and the state
    order: int  # 2: W h only multiplies numbers that vanish with the state (minimal_rnn); else 1


class Setting(NamedTuple):
    """What the networks of a chunk have in common."""

    wiring: Wiring
    activation: int  # its position among those of the cell; 0 for a cell that has none
    parameters: Any  # PARAMETERS numbers
    skip: Any
    branch: Any  # h' = skip h + branch f(net, h)
    burn_in: int  # steps before the measured window
    frame: Array  # (M, k), float64: the initial tangents of `Spectrum`
    scaling: Scaling


UNFINISHED = 2**30
"""In the place of the largest exponent: `forward` has stopped, and `forward_scaled` has not run."""


class Tape(NamedTuple):
    """What a forward sweep leaves behind: all that the other sweeps need.

    The true state of a group is ``state * 2**exponent``; the exponent leaves 0 only where the state
    would over- or underflow.
    """

    net: Array  # (T, Q, B n): the terms, then the pre-activations in the rows below P
    dz: Array  # (T, S, P, B n)
    ds: Array  # (T, S, S, B n)
    state: Array  # (T + 1, S, B n)
    exponent: Array  # (T + 1, C), int32
    normalised: Array  # (T, Q, B n): terms of mean 0 and variance 1; empty without a norm
    gain: Array  # (T, Q, n or B): gamma / s, the norm's derivative before its projection
    drive: Array  # (T B, G n): work space; empty where U x is written to net at once
    work: Array  # (2, n): work space
    end: Array  # (1,): size of the last state; NaN or infinite after an overflow
    largest_exponent: Array  # (1,), int32
    mixed: Array  # (1,), int32: 1 if units of a group differ so much in size that some were lost
    scaled_from: Array  # (1,), int32: the first state that needed a power of two; -1 if none did


class Adjoint(NamedTuple):
    """Results of a backward sweep; lag 0 is the last step."""

    cotangent: Array  # (2, S, B n): work space
    delta: Array  # (R, B n): work space
    square: Array  # (lag,): |dL/dnet|^2 = square * 4**exponent
    exponent: Array  # (lag,), int32
    group_exponent: Array  # (lag, C), int32; dL/dnet of a group = tape.net * 2**group_exponent
    extremes: Array  # (2,): the smallest and the largest square; NaN if one is


class WeightGradient(NamedTuple):
    """The BPTT sum and its terms; the axis of length 3 is W, U, b."""

    W: Array  # (K', R n, n), K' = 1: the sum, T: every term, 0: norms only
    U: Array  # (K', G n, m)
    b: Array  # (K', P n, 1)
    sum_square: Array  # (3,): |sum|^2 = sum_square * 4**sum_exponent
    sum_exponent: Array  # (3,), int32; the gradient is W * 2**sum_exponent
    square: Array  # (3, lag): |term|^2 = square * 4**exponent
    exponent: Array  # (3, lag), int32
    delta: Array  # (lag B P n,): work space; empty where tape.net serves as it is
    passed: Array  # (B n,): work space
    rows: Array  # (lag B max(n, m),): work space
    step_exponent: Array  # (lag, C), int32: work space, in the order of the steps


class Visited(NamedTuple):
    """Summary of a forward sweep."""

    derivative: Array  # (3,): mean, mean square, largest magnitude
    variance: Array  # (lag, B): variance of h = variance * 4**exponent
    exponent: Array  # (lag, C), int32


class JacobianProduct(NamedTuple):
    """Norms and singular values of explicit products.

    Each group of sequences has one product; M = S D n.
    """

    frobenius_square: Array  # (C, lag): squared norm = frobenius_square * 4**exponent
    spectral: Array  # (C, lag): norm = spectral * 2**exponent
    exponent: Array  # (C, lag), int32
    singular_square: Array  # (C, M): squared singular value = singular_square * 4**...
    singular_exponent: Array  # (C, M), int32
    tangent: Array  # (2, M, M): work space
    product: Array  # (R D n, M): work space
    column: Array  # (3, D n): work space; empty without a norm
    rows: Array  # (2, M, M): work space
    row_exponent: Array  # (2, M), int32: work space
    qr: Array  # (4, M, M): work space
    swaps: Array  # (2, M), int32: work space


class Spectrum(NamedTuple):
    """Growth of k tangents by blocks of steps; M as in `JacobianProduct`.

    Everything is float64, whatever the format of the network. A row of a frame is L numbers long, k
    and more, so that its vectors are whole; an odd number of them spreads rows over the cache.
    """

    growth: Array  # (C, block, k): product of R_ii = growth * 2**exponent
    exponent: Array  # (C, block, k), int32
    report: Array  # (2,): worst condition met, intervals of all C
    basis: Array  # (3, M, L): work space
    product: Array  # (R D n, width): work space; width is k in whole vectors
    column: Array  # (3, D n): work space; empty without a norm
    diagonal: Array  # (3, width): work space
    overlap: Array  # (vector, width): work space
    reflections: Array  # (min(M, width), M): work space
    swaps: Array  # (2, M), int32: work space


class Chunk(NamedTuple):
    """Networks and what the sweeps leave of them; results that nobody asked for are empty."""

    ensemble: Ensemble
    tape: Tape
    adjoint: Adjoint
    gradient: WeightGradient
    visited: Visited
    jacobian: JacobianProduct
    spectrum: Spectrum
