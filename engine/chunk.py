"""A chunk of networks on its way through the sweeps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..kernels.cells import CELLS
from ..kernels.contract import Adjoint, Array, Ensemble, Tape, WeightGradient, Wiring
from ..kernels.library import forward_kernel, kernel
from ..kernels.norms import LAYER, NORMALIZATIONS
from .ensemble import Source, Window
from .spec import NetworkSpec
from .workspace import Workspace


@dataclass
class Run:
    """A chunk of networks after the forward sweep; the adjoint runs when a product asks for it.

    `given` says that arrays of the ensemble came from outside and may hold NaN; `every_term`, that
    the weight gradients of fresh weights are wanted as arrays, not by their norms alone.
    """

    spec: NetworkSpec
    window: Window
    ensemble: Ensemble
    wiring: Wiring
    tape: Tape
    workspace: Workspace
    given: bool = False
    every_term: bool = False

    @classmethod
    def forward(cls, source: Source, first: int, count: int, workspace: Workspace) -> Run:
        """Draw the networks first, ..., first + count - 1 and run them forward."""
        spec = source.spec
        cell = CELLS[spec.cell]
        ensemble = source.draw(first, count, workspace)
        wiring = wiring_of(spec)
        tape = _empty_tape(spec, ensemble, wiring, workspace)
        run = cls(spec, source.window, ensemble, wiring, tape, workspace, source.given)
        names = list(cell.activations)
        forward_kernel(spec.cell, spec.precision)(
            count,
            ensemble,
            wiring,
            tape,
            names.index(spec.activation) if names else 0,
            tuple(run.real(getattr(spec, name)) for name in cell.parameters),
            run.real(spec.skip),
            run.real(spec.branch),
        )
        return run

    @property
    def count(self) -> int:
        """Networks in the chunk."""
        return len(self.ensemble.W)

    def real(self, value: float) -> Any:
        """A number in the precision of the kernels."""
        return np.dtype(self.spec.precision).type(value)

    def launch(self, name: str, *arguments: object) -> None:
        """Run a kernel for every network of the chunk."""
        kernel(name, self.spec.precision)(self.count, *arguments)

    def take(self, name: str, *shape: int, dtype: object = None) -> Array:
        """An array for every network of the chunk."""
        return self.workspace.take(name, (self.count, *shape), dtype or self.spec.precision)

    @property
    def has_adjoint(self) -> bool:
        """Whether the backward sweep has run."""
        return "adjoint" in self.__dict__

    @cached_property
    def adjoint(self) -> Adjoint:
        """The backward sweep; from here on ``tape.net`` holds dL/dnet."""
        S, size = self.ensemble.initial_state.shape[1:]
        sweep = Adjoint(
            cotangent=self.take("cotangent", 2, S, size),
            delta=self.take("adjoint.delta", self.ensemble.W.shape[2], size),
            square=self.take("adjoint.square", self.window.steps),
            exponent=self.take("adjoint.exponent", self.window.steps, dtype=np.int32),
        )
        self.launch("adjoint", self.window.burn_in, self.ensemble, self.wiring, self.tape, sweep)
        return sweep

    @cached_property
    def weight_gradient(self) -> WeightGradient:
        """The BPTT sums and their terms."""
        T, B, n = self.window.steps, self.spec.batch_size, self.spec.hidden_size
        R, m = self.ensemble.W.shape[2], self.ensemble.input.shape[3]
        G, P = len(self.wiring.input_row), len(self.wiring.every_row)
        direct = B == 1 and G == P == R and not self.wiring.norm
        K = 1 if self.spec.tied else (T if self.every_term else 0)
        gradient = WeightGradient(
            W=self.take("grad_W", K, R * n, n),
            U=self.take("grad_U", K, G * n, m),
            b=self.take("grad_b", K, P * n, 1),
            sum_square=self.take("weights.sum_square", 3),
            sum_exponent=self.take("weights.sum_exponent", 3, dtype=np.int32),
            square=self.take("weights.square", 3, T),
            exponent=self.take("weights.exponent", 3, T, dtype=np.int32),
            delta=self.take("weights.delta", 0 if direct else T * B * P * n),
            passed=self.take("weights.passed", B * n),
            rows=self.take("weights.rows", T * B * max(n, m)),
            step_exponent=self.take("weights.step_exponent", T, dtype=np.int32),
        )
        if m == 0:  # no inputs: the kernel leaves the gradient of U alone, and it is zero
            for array in (
                gradient.sum_square,
                gradient.sum_exponent,
                gradient.square,
                gradient.exponent,
            ):
                array[:, 1] = 0
        sweep = self.adjoint
        first, wiring = self.window.burn_in, self.wiring
        self.launch("weights", first, self.ensemble, wiring, self.tape, sweep, gradient)
        return gradient


def wiring_of(spec: NetworkSpec) -> Wiring:
    """How the terms of the cell's pre-activations are put together and normalised."""
    cell, norm = CELLS[spec.cell], NORMALIZATIONS[spec.normalization]
    input_row = np.array(cell.input_rows, np.int64)
    term_row = cell.recurrent + np.arange(len(cell.gates)) if norm.separate else input_row
    scale = np.dtype(spec.precision).type(spec.norm_scale)
    return Wiring(input_row, term_row, np.arange(cell.rows), norm.kind, scale)


def _empty_tape(spec: NetworkSpec, ensemble: Ensemble, wiring: Wiring, own: Workspace) -> Tape:
    cell, n, real = CELLS[spec.cell], spec.hidden_size, spec.precision
    S, G, P = len(cell.slots), len(cell.gates), cell.rows
    N, T, B = ensemble.input.shape[:3]
    Q = int(max(wiring.term_row.max() + 1, P))
    kept = T if wiring.norm else 0
    gains = B if wiring.norm == LAYER else n
    direct = B == 1 and Q == G
    return Tape(
        net=own.take("net", (N, T, Q, B * n), real),
        dz=own.take("dz", (N, T, S, P, B * n), real),
        ds=own.take("ds", (N, T, S, S, B * n), real),
        state=own.take("state", (N, T + 1, S, B * n), real),
        exponent=own.take("exponent", (N, T + 1), np.int32),
        normalised=own.take("normalised", (N, kept, Q, B * n), real),
        gain=own.take("gain", (N, kept, Q, gains), real),
        drive=own.take("drive", (N, 0 if direct else T * B, G * n), real),
        work=own.take("norm.work", (N, 2, n), real),
    )
