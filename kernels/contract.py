"""What a cell is, and how the arrays of an ensemble are laid out.

A cell is an architecture: per unit i it has G pre-activations z[g, i] (one per gate) and S state
slots s[a, i]; slot 0 is h, the one that the recurrent weights read. Its file gives two functions
of one unit,

* ``step(z, s, i, parameters, out)``: out[a, i] = s'_a,
* ``linearise(z, s, i, parameters, dz, ds)``: dz[a, g, i] = d s'_a / d z_g and
  ds[a, b, i] = d s'_a / d s_b (direct dependence, not through z),

and nothing else: the backward and the tangent sweeps follow from dz and ds alone.

Axes, in this order wherever they occur: network N, step T, sequence B, slot S, gate G, unit n
(feature m for inputs). K is 1 for tied weights and T for fresh weights at every step.
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
        Names of the pre-activations, in PyTorch's order.
    slots : tuple of str
        Names of the state slots; the first is ``"h"``.
    step, linearise : callable
        The cell's equations, see the module's docstring.
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
    parameters: tuple[str, ...] = ()
    activations: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


class Ensemble(NamedTuple):
    """Arrays of the networks of one chunk, C-contiguous, all of one precision.

    ``input`` has no features (m = 0) when the networks are not driven. ``readout_gradient`` has a
    lag axis R: 1 for a loss at the last step only, T for a loss at every step.
    """

    W: Array  # (N, K, G n, n)
    W_transposed: Array  # (N, K, n, G n)
    U: Array  # (N, K, G n, m)
    b: Array  # (N, K, G n)
    input: Array  # (N, T, B, m)
    initial_state: Array  # (N, B, S, n)
    readout_gradient: Array  # (N, R, B, n): dL/dh at lag r


class Tape(NamedTuple):
    """What a forward sweep leaves behind: all that the other sweeps need.

    The true state is ``state * 2**exponent``; the exponent leaves 0 only where the state of a
    homogeneous activation would over- or underflow.
    """

    net: Array  # (N, T, B, G, n): pre-activations, at the scale of the state
    dz: Array  # (N, T, B, S, G, n)
    ds: Array  # (N, T, B, S, S, n)
    state: Array  # (N, T + 1, B, S, n)
    exponent: Array  # (N, T + 1, B), int32


class Adjoint(NamedTuple):
    """Results of a backward sweep; lag 0 is the last step."""

    cotangent: Array  # (N, 2, B, S, n): work space
    square: Array  # (N, lag): |dL/dnet|^2 = square * 4**exponent
    exponent: Array  # (N, lag), int32; dL/dnet = tape.net * 2**exponent


class WeightGradient(NamedTuple):
    """The BPTT sum and its terms; the axis of length 3 is W, U, b."""

    W: Array  # (N, K', G n, n), K' = 1 for tied weights, else 0: no sum is formed
    U: Array  # (N, K', G n, m)
    b: Array  # (N, K', G n, 1)
    sum_square: Array  # (N, 3): |sum|^2 = sum_square * 4**sum_exponent
    sum_exponent: Array  # (N, 3), int32; the gradient is W * 2**sum_exponent
    square: Array  # (N, 3, lag): |term|^2 = square * 4**exponent
    exponent: Array  # (N, 3, lag), int32
    rows: Array  # (N, lag B max(n, m, 1)): work space
    step_exponent: Array  # (N, lag), int32: work space


class Visited(NamedTuple):
    """Summary of a forward sweep."""

    derivative: Array  # (N, 3): mean, mean square, largest magnitude
    variance: Array  # (N, lag, B): variance of h = variance * 4**exponent
    exponent: Array  # (N, lag, B), int32


class JacobianProduct(NamedTuple):
    """Norms and singular values of an explicit product, for every sequence; M = S n."""

    frobenius_square: Array  # (N, B, lag): squared norm = frobenius_square * 4**exponent
    spectral: Array  # (N, B, lag): norm = spectral * 2**exponent
    exponent: Array  # (N, B, lag), int32
    singular_square: Array  # (N, B, M): squared singular value = singular_square * 4**...
    singular_exponent: Array  # (N, B, M), int32
    tangent: Array  # (N, 2, S, n, M): work space
    work: Array  # (N, G n, M): work space
    rows: Array  # (N, 2, M, M): work space
    row_exponent: Array  # (N, M), int32: work space
    qr: Array  # (N, 4, M, M): work space
    swaps: Array  # (N, 2, M), int32: work space
