"""The quantities that can be measured: each a function from a chunk that was run to arrays.

A product names its variables (dims, units, long name) and fills them for one chunk. Norms arrive
from the kernels as square * 4^exponent and leave as float64 logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ..kernels.cells import CELLS
from ..kernels.contract import (
    Adjoint,
    Array,
    Ensemble,
    JacobianProduct,
    Tape,
    Visited,
    WeightGradient,
)
from ..kernels.library import forward_kernel, kernel
from .ensemble import Source, Window
from .spec import NetworkSpec
from .workspace import Workspace

Arrays = dict[str, Array]


class Variable(NamedTuple):
    """What a measured variable is."""

    dims: tuple[str, ...]
    units: str
    long_name: str


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
            (run.real(spec.slope),),
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


def log_norm(square: Array, exponent: Array) -> Array:
    """Ln of sqrt(square * 4^exponent), in float64; -inf for zero."""
    with np.errstate(divide="ignore"):
        return 0.5 * np.log(square.astype(np.float64)) + math.log(2) * exponent


def trajectory(run: Run) -> Arrays:
    """Activation derivatives at the visited states, and the variance of the state."""
    T, B = run.window.steps, run.spec.batch_size
    visited = Visited(
        derivative=run.take("visited.derivative", 3),
        variance=run.take("visited.variance", T, B),
        exponent=run.take("visited.exponent", T, B, dtype=np.int32),
    )
    run.launch("trajectory", run.window.burn_in, run.tape, run.real(run.spec.branch), visited)
    with np.errstate(over="ignore"):  # the variance itself may exceed float64: inf then
        variance = np.ldexp(visited.variance.astype(np.float64), 2 * visited.exponent)
    mean, mean_square, largest = visited.derivative.astype(np.float64).T
    return {
        "mean_derivative": mean,
        "mean_square_derivative": mean_square,
        "max_derivative": largest,
        "activation_variance": variance.mean(axis=2),
    }


def gradient(run: Run) -> Arrays:
    """Norm of the gradient against lag, its rate and its horizon."""
    log = log_norm(run.adjoint.square, run.adjoint.exponent)
    with np.errstate(invalid="ignore"):  # a gradient that is zero throughout: status says so
        log = log - log[:, :1]
        skipped = run.window.burn_in
        rate = (log[:, -1] - log[:, skipped]) / (run.window.steps - 1 - skipped)
    with np.errstate(divide="ignore"):
        horizon = np.where(rate < 0, -1 / rate, np.where(rate >= 0, np.inf, np.nan))
    return {"log_gradient": log, "rate": rate, "horizon": horizon}


def weights(run: Run) -> Arrays:
    """Norms of the BPTT gradient and of its terms."""
    result = run.weight_gradient
    terms = log_norm(result.square, result.exponent)
    if run.spec.tied:
        total = log_norm(result.sum_square, result.sum_exponent)
    else:  # gradients of different weights: the square norms add
        total = 0.5 * np.logaddexp.reduce(2 * terms, axis=2)
    return {
        "log_grad_W": total[:, 0],
        "log_grad_U": total[:, 1],
        "log_grad_b": total[:, 2],
        "contribution_W": terms[:, 0],
        "contribution_U": terms[:, 1],
    }


def jacobian(run: Run) -> Arrays:
    """Norms of the explicit product of step Jacobians, and its singular values."""
    T, B = run.window.steps, run.spec.batch_size
    S, n = run.ensemble.initial_state.shape[2:]
    size, rows = S * n, run.ensemble.W.shape[2]
    product = JacobianProduct(
        frobenius_square=run.take("jacobian.frobenius", B, T),
        spectral=run.take("jacobian.spectral", B, T),
        exponent=run.take("jacobian.exponent", B, T, dtype=np.int32),
        singular_square=run.take("jacobian.singular", B, size),
        singular_exponent=run.take("jacobian.singular_exponent", B, size, dtype=np.int32),
        tangent=run.take("jacobian.tangent", 2, S, n, size),
        work=run.take("jacobian.work", rows, size),
        rows=run.take("jacobian.rows", 2, size, size),
        row_exponent=run.take("jacobian.row_exponent", size, dtype=np.int32),
    )
    run.launch("jacobian", run.window.burn_in, run.ensemble, run.tape, product)
    frobenius = log_norm(product.frobenius_square, product.exponent)
    spectral = log_norm(product.spectral.astype(np.float64) ** 2, product.exponent)
    singular = log_norm(product.singular_square, product.singular_exponent)
    norms = (0.5 * np.logaddexp.reduce(2 * frobenius, axis=1), spectral.max(axis=1))
    return {
        "log_jacobian_norm": np.stack(norms, axis=1),
        "log_singular_value": -np.sort(-singular.reshape(run.count, B * size), axis=1),
    }


class Product(NamedTuple):
    """A function that measures, and the variables that it returns."""

    measure: Callable[[Run], Arrays]
    variables: dict[str, Variable]


_NETWORK, _LAG = ("network",), ("network", "lag")

PRODUCTS: dict[str, Product] = {
    "trajectory": Product(
        trajectory,
        {
            "mean_derivative": Variable(_NETWORK, "1", "mean of f' at the visited states"),
            "mean_square_derivative": Variable(_NETWORK, "1", "mean of f'^2 at the visited states"),
            "max_derivative": Variable(_NETWORK, "1", "largest |f'| at the visited states"),
            "activation_variance": Variable(
                ("network", "step"), "1", "variance of the state over units"
            ),
        },
    ),
    "gradient": Product(
        gradient,
        {
            "log_gradient": Variable(_LAG, "nats", "ln of |dL/dnet(T - lag)| / |dL/dnet(T)|"),
            "rate": Variable(_NETWORK, "nats per step", "gradient growth rate"),
            "horizon": Variable(_NETWORK, "steps", "gradient horizon, -1 / rate"),
        },
    ),
    "weights": Product(
        weights,
        {
            "log_grad_W": Variable(_NETWORK, "nats", "ln of the Frobenius norm of dL/dW"),
            "log_grad_U": Variable(_NETWORK, "nats", "ln of the Frobenius norm of dL/dU"),
            "log_grad_b": Variable(_NETWORK, "nats", "ln of the norm of dL/db"),
            "contribution_W": Variable(_LAG, "nats", "ln of the norm of the BPTT term of W"),
            "contribution_U": Variable(_LAG, "nats", "ln of the norm of the BPTT term of U"),
        },
    ),
    "jacobian": Product(
        jacobian,
        {
            "log_jacobian_norm": Variable(
                ("network", "norm", "lag"),
                "nats",
                "ln of the norm of the product of step Jacobians",
            ),
            "log_singular_value": Variable(
                ("network", "index"), "nats", "ln of the singular values at the largest lag"
            ),
        },
    ),
}


def product_variables(products: Iterable[str]) -> dict[str, Variable]:
    """The variables of several products."""
    return {name: v for product in products for name, v in PRODUCTS[product].variables.items()}
