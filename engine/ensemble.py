"""From a specification, a seed and a range of networks to arrays: the only sampling there is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ..kernels.cells import CELLS
from ..kernels.contract import Array, Ensemble
from .place import Law, Place
from .spec import NetworkSpec

STREAMS = {
    "W": 0,
    "U": 1,
    "b": 2,
    "input": 3,
    "initial_state": 4,
    "readout_gradient": 5,
    "b_recurrent": 6,
}
"""The word of the random counter that tells the arrays of a network apart."""

LARGEST_STEPS = 10**8


@dataclass(frozen=True)
class Window:
    """Which steps are run and which are measured.

    Attributes
    ----------
    steps : int
        Measured steps.
    burn_in : int
        Steps before them.
    every : bool
        Whether the loss has a term at every measured step, or at the last alone.
    """

    steps: int
    burn_in: int
    every: bool = False

    @property
    def total(self) -> int:
        """Steps of the forward sweep."""
        return self.burn_in + self.steps

    @property
    def losses(self) -> int:
        """Steps that have a loss."""
        return self.steps if self.every else 1


class Source(Protocol):
    """Where the networks of a measurement come from."""

    @property
    def spec(self) -> NetworkSpec:
        """What the networks are."""
        ...

    @property
    def window(self) -> Window:
        """The steps that are run and measured."""
        ...

    @property
    def given(self) -> bool:
        """Whether some arrays come from the user and may hold NaN."""
        ...

    def draw(self, first: int, count: int, place: Place) -> Ensemble:
        """Arrays of the networks first, ..., first + count - 1."""
        ...


@dataclass(frozen=True)
class RandomSource:
    """Networks drawn from a specification and a seed.

    Attributes
    ----------
    spec : NetworkSpec
    seed : int
        0 <= seed < 2^64.
    window : Window
    sequences : array or None
        (sequences, steps, features): real inputs; network i reads the sequences
        i B, ..., i B + B - 1, counted round the array. Steps before the measured window read the
        end of the same sequence. None: inputs are drawn from N(0, 1).
    driven : bool
        False: no inputs at all.
    """

    spec: NetworkSpec
    seed: int
    window: Window
    sequences: Array | None = None
    driven: bool = True

    @property
    def given(self) -> bool:
        """Whether the inputs come from the user and may hold NaN."""
        return self.sequences is not None

    @np.errstate(over="ignore")
    def draw(self, first: int, count: int, place: Place) -> Ensemble:
        """Arrays of the networks first, ..., first + count - 1.

        Scales and biases that the precision cannot hold are infinite, which `status` tells.
        """
        spec, window = self.spec, self.window
        n, m, B = spec.hidden_size, spec.input_size, spec.batch_size
        cell = CELLS[spec.cell]
        K = 1 if spec.tied else window.total
        numbers = _Numbers(self, first, count, place)
        W = _recurrent_weights(spec, numbers, (count, K, cell.recurrent, n, n))
        U = _input_weights(spec, numbers, (count, K, len(cell.gates) * n, m))
        return Ensemble(
            W=W,
            W_transposed=place.transposed("W", W),
            U_transposed=place.transposed("U", U),
            b=place.put("b", _biases(spec, numbers.host, (count, K))),
            input=self._inputs(numbers, first, count),
            initial_state=_initial_state(numbers, (count, len(cell.slots), B * n)),
            readout_gradient=_unit_loss(numbers, (count, window.losses, B * n)),
        )

    def _inputs(self, numbers: _Numbers, first: int, count: int) -> Array:
        window, B = self.window, self.spec.batch_size
        shape = (count, window.total, B, self.spec.input_size if self.driven else 0)
        if self.sequences is None:
            return numbers("input", shape)
        which = np.arange(first * B, (first + count) * B) % len(self.sequences)
        when = np.arange(-window.burn_in, window.steps) % self.sequences.shape[1]
        chosen = self.sequences[which[:, None], when].reshape(count, B, window.total, -1)
        out = numbers.take("input", shape)
        np.copyto(out, chosen.swapaxes(1, 2))
        return numbers.place.put("input", out)


@dataclass(frozen=True)
class _Numbers:
    """Random arrays of the networks of one chunk, by stream."""

    source: RandomSource
    first: int
    count: int
    place: Place

    def __call__(
        self, stream: str, shape: tuple[int, ...], scale: float = 1.0, distribution: str = "normal"
    ) -> Array:
        law = Law(self.source.seed, STREAMS[stream], self.first, scale, distribution)
        return self.place.random(stream, shape, self.source.spec.precision, law)

    @property
    def host(self) -> _Numbers:
        """The same numbers where numpy can be used."""
        return replace(self, place=self.place.host)

    def take(self, name: str, shape: tuple[int, ...]) -> Array:
        """An uninitialised array where numpy can be used."""
        return self.place.host.take(name, shape, self.source.spec.precision)


def _recurrent_weights(spec: NetworkSpec, numbers: _Numbers, shape: tuple[int, ...]) -> Array:
    n, scale = spec.hidden_size, spec.weight_scale
    if spec.weights == "uniform":
        return numbers("W", shape, scale * math.sqrt(3 / n), "uniform")
    if spec.weights == "pytorch":
        return numbers("W", shape, scale / math.sqrt(n), "uniform")
    if spec.weights == "identity":
        W = numbers.take("W", shape)
        W[:] = scale * np.eye(n)
        return numbers.place.put("W", W)
    if spec.weights == "gaussian":
        return numbers("W", shape, scale / math.sqrt(n))
    W = numbers.host("W", shape)
    q, r = np.linalg.qr(W)
    # the signs make Q Haar distributed (Mezzadri 2007)
    signs = np.where(np.diagonal(r, axis1=-2, axis2=-1) < 0, -1, 1)
    np.multiply(q, scale * signs[..., None, :], out=W, casting="same_kind")
    return numbers.place.put("W", W)


def _input_weights(spec: NetworkSpec, numbers: _Numbers, shape: tuple[int, ...]) -> Array:
    if spec.weights == "pytorch":
        return numbers("U", shape, spec.input_scale / math.sqrt(spec.hidden_size), "uniform")
    return numbers("U", shape, spec.input_scale / math.sqrt(spec.input_size))


def _biases(spec: NetworkSpec, numbers: _Numbers, lead: tuple[int, int]) -> Array:
    """Biases of all rows of the pre-activations; PyTorch has one with either term of a gate."""
    cell, n = CELLS[spec.cell], spec.hidden_size
    pytorch = spec.weights == "pytorch"
    law = (1 / math.sqrt(n), "uniform") if pytorch else (spec.bias_scale, "normal")
    b = numbers.take("bias", (*lead, cell.rows, n))
    b[:] = 0
    rows = list(cell.input_rows)
    if law[0] > 0:
        b[:, :, rows] = numbers("b", (*lead, len(rows), n), *law)
        own = range(cell.recurrent) if pytorch else own_bias_gates(spec)
        if own:
            b[:, :, own] += numbers("b_recurrent", (*lead, cell.recurrent, n), *law)[:, :, own]
    for gate, addition in spec.gate_bias.items():
        b[:, :, rows[cell.gates.index(gate)]] += addition
    return b


def own_bias_gates(spec: NetworkSpec) -> list[int]:
    """Gates whose recurrent term has a bias of its own."""
    cell = CELLS[spec.cell]
    return [cell.gates.index(gate) for gate in cell.apart]


def _initial_state(numbers: _Numbers, shape: tuple[int, int, int]) -> Array:
    """h ~ N(0, 1) in slot 0, zeros in the others."""
    count, slots, size = shape
    if slots == 1:
        return numbers("initial_state", shape)
    initial = numbers.take("initial", shape)
    initial[:, :1] = numbers.host("initial_state", (count, 1, size))
    initial[:, 1:] = 0
    return numbers.place.put("initial_state", initial)


def _unit_loss(numbers: _Numbers, shape: tuple[int, int, int]) -> Array:
    """dL/dh of every loss: a random direction over all sequences and units of a network."""
    v = numbers("readout_gradient", shape)
    numbers.place.to_unit_length(v)
    return v
