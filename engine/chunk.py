"""A chunk of networks on its way through the sweeps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..kernels.cells import CELLS
from ..kernels.contract import Adjoint, Array, Ensemble, Tape, WeightGradient
from ..kernels.library import forward_kernel, kernel
from .ensemble import Source, Window
from .spec import NetworkSpec
from .workspace import Workspace


@dataclass
class Run:
    """A chunk of networks after the forward sweep; the adjoint runs when a product asks for it.

    `given` says that arrays of the ensemble came from outside and may hold NaN.
    """

    spec: NetworkSpec
    window: Window
    ensemble: Ensemble
    tape: Tape
    workspace: Workspace
    given: bool = False

    @classmethod
    def forward(cls, source: Source, first: int, count: int, workspace: Workspace) -> Run:
        """Draw the networks first, ..., first + count - 1 and run them forward."""
        spec = source.spec
        cell = CELLS[spec.cell]
        ensemble = source.draw(first, count, workspace)
        tape = _empty_tape(spec, ensemble, workspace)
        run = cls(spec, source.window, ensemble, tape, workspace, source.given)
        names = list(cell.activations)
        forward_kernel(spec.cell, spec.precision)(
            count,
            ensemble,
            run.tape,
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
        B, S, n = self.ensemble.initial_state.shape[1:]
        sweep = Adjoint(
            cotangent=self.take("cotangent", 2, B, S, n),
            square=self.take("adjoint.square", self.window.steps),
            exponent=self.take("adjoint.exponent", self.window.steps, dtype=np.int32),
        )
        self.launch("adjoint", self.window.burn_in, self.ensemble, self.tape, sweep)
        return sweep

    @cached_property
    def weight_gradient(self) -> WeightGradient:
        """The BPTT sums and their terms."""
        T, B = self.window.steps, self.spec.batch_size
        rows, n = self.ensemble.W.shape[2:]
        m = self.ensemble.input.shape[3]
        K = 1 if self.spec.tied else 0
        gradient = WeightGradient(
            W=self.take("grad_W", K, rows, n),
            U=self.take("grad_U", K, rows, m),
            b=self.take("grad_b", K, rows, 1),
            sum_square=self.take("weights.sum_square", 3),
            sum_exponent=self.take("weights.sum_exponent", 3, dtype=np.int32),
            square=self.take("weights.square", 3, T),
            exponent=self.take("weights.exponent", 3, T, dtype=np.int32),
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
        self.launch("weights", self.window.burn_in, self.ensemble, self.tape, sweep, gradient)
        return gradient


def _empty_tape(spec: NetworkSpec, ensemble: Ensemble, workspace: Workspace) -> Tape:
    cell = CELLS[spec.cell]
    S, G, n = len(cell.slots), len(cell.gates), spec.hidden_size
    N, T, B = ensemble.input.shape[:3]
    real = spec.precision
    return Tape(
        net=workspace.take("net", (N, T, B, G, n), real),
        dz=workspace.take("dz", (N, T, B, S, G, n), real),
        ds=workspace.take("ds", (N, T, B, S, S, n), real),
        state=workspace.take("state", (N, T + 1, B, S, n), real),
        exponent=workspace.take("exponent", (N, T + 1, B), np.int32),
    )
