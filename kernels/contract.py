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

Axes, in this order wherever they occur: network N, step T, slot S, gate G or row P, units B n
(sequence by sequence, in one axis, so that a cell is applied to all of them in one loop). m is the
number of input features; K is 1 for tied weights and T for fresh weights at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy.typing as npt

Array = npt.NDArray[Any]


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

    W: Array  # (N, K, R, n, n)
    W_transposed: Array  # (N, K, R, n, n): each gate's block transposed
    U: Array  # (N, K, G n, m)
    b: Array  # (N, K, P, n)
    input: Array  # (N, T, B, m)
    initial_state: Array  # (N, S, B n)
    readout_gradient: Array  # (N, lag, B n): dL/dh


class Wiring(NamedTuple):
    """How the terms of the pre-activations are put together; Q rows hold the terms.

    Q = P, and a row holds the sum of its terms, unless terms are normalised apart: then Q = R + G
    rows hold the recurrent terms and the input terms.
    """

    input_row: Array  # (G,): row of the pre-activations that a gate's input term enters
    term_row: Array  # (G,): row of the terms that holds it
    every_row: Array  # (P,): 0, 1, ...
    norm: int  # 0: none, else the kind, see `norms`
    norm_scale: Any  # gamma


class Tape(NamedTuple):
    """What a forward sweep leaves behind: all that the other sweeps need.

    The true state is ``state * 2**exponent``; the exponent leaves 0 only where the state of a
    homogeneous activation would over- or underflow.
    """

    net: Array  # (N, T, Q, B n): the terms, then the pre-activations in the rows below P
    dz: Array  # (N, T, S, P, B n)
    ds: Array  # (N, T, S, S, B n)
    state: Array  # (N, T + 1, S, B n)
    exponent: Array  # (N, T + 1), int32
    normalised: Array  # (N, T, Q, B n): terms of mean 0 and variance 1; empty without a norm
    gain: Array  # (N, T, Q, n or B): gamma / s, the norm's derivative before its projection
    drive: Array  # (N, T B, G n): work space; empty where U x is written to net at once
    work: Array  # (N, 2, n): work space


class Adjoint(NamedTuple):
    """Results of a backward sweep; lag 0 is the last step."""

    cotangent: Array  # (N, 2, S, B n): work space
    delta: Array  # (N, R, B n): work space
    square: Array  # (N, lag): |dL/dnet|^2 = square * 4**exponent
    exponent: Array  # (N, lag), int32; dL/dnet = tape.net * 2**exponent


class WeightGradient(NamedTuple):
    """The BPTT sum and its terms; the axis of length 3 is W, U, b."""

    W: Array  # (N, K', R n, n), K' = 1: the sum, T: every term, 0: norms only
    U: Array  # (N, K', G n, m)
    b: Array  # (N, K', P n, 1)
    sum_square: Array  # (N, 3): |sum|^2 = sum_square * 4**sum_exponent
    sum_exponent: Array  # (N, 3), int32; the gradient is W * 2**sum_exponent
    square: Array  # (N, 3, lag): |term|^2 = square * 4**exponent
    exponent: Array  # (N, 3, lag), int32
    delta: Array  # (N, lag B P n): work space; empty where tape.net serves as it is
    passed: Array  # (N, B n): work space
    rows: Array  # (N, lag B max(n, m, 1)): work space
    step_exponent: Array  # (N, lag), int32: work space


class Visited(NamedTuple):
    """Summary of a forward sweep."""

    derivative: Array  # (N, 3): mean, mean square, largest magnitude
    variance: Array  # (N, lag, B): variance of h = variance * 4**exponent
    exponent: Array  # (N, lag), int32


class JacobianProduct(NamedTuple):
    """Norms and singular values of explicit products.

    Sequences coupled by a normalisation over the batch have one product (C = 1, of D = B
    sequences), others one each (C = B, D = 1); M = S D n.
    """

    frobenius_square: Array  # (N, C, lag): squared norm = frobenius_square * 4**exponent
    spectral: Array  # (N, C, lag): norm = spectral * 2**exponent
    exponent: Array  # (N, C, lag), int32
    singular_square: Array  # (N, C, M): squared singular value = singular_square * 4**...
    singular_exponent: Array  # (N, C, M), int32
    tangent: Array  # (N, 2, S, M, D n): work space
    product: Array  # (N, R, M, D n): work space
    rows: Array  # (N, 2, M, M): work space
    row_exponent: Array  # (N, M), int32: work space
    qr: Array  # (N, 4, M, M): work space
    swaps: Array  # (N, 2, M), int32: work space
