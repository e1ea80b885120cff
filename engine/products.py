"""The quantities that can be measured: each a function from a chunk that was run to arrays.

A product names its variables (dims, units, long name) and fills them for one chunk. Norms arrive
from the kernels as square * 4^exponent and leave as float64 logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..kernels.cells import CELLS
from ..kernels.contract import Array, JacobianProduct, Visited
from ..kernels.norms import BATCH
from .chunk import Run
from .clip import VARIABLES as CLIP_VARIABLES
from .ensemble import Source
from .variable import Arrays, Variable


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
        exponent=run.take("visited.exponent", T, dtype=np.int32),
    )
    branch = run.real(run.spec.branch)
    run.launch("trajectory", run.window.burn_in, run.wiring, run.tape, branch, visited)
    with np.errstate(over="ignore"):  # the variance itself may exceed float64: inf then
        variance = np.ldexp(visited.variance.astype(np.float64), 2 * visited.exponent[..., None])
        variance = variance.mean(axis=2)
    mean, mean_square, largest = visited.derivative.astype(np.float64).T
    return {
        "mean_derivative": mean,
        "mean_square_derivative": mean_square,
        "max_derivative": largest,
        "activation_variance": variance,
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
    T, R = run.window.steps, run.ensemble.W.shape[2]
    S, B, n = run.ensemble.initial_state.shape[1], run.spec.batch_size, run.spec.hidden_size
    group = B if run.wiring.norm == BATCH else 1
    C, size = B // group, S * group * n
    product = JacobianProduct(
        frobenius_square=run.take("jacobian.frobenius", C, T),
        spectral=run.take("jacobian.spectral", C, T),
        exponent=run.take("jacobian.exponent", C, T, dtype=np.int32),
        singular_square=run.take("jacobian.singular", C, size),
        singular_exponent=run.take("jacobian.singular_exponent", C, size, dtype=np.int32),
        tangent=run.take("jacobian.tangent", 2, S, size, group * n),
        product=run.take("jacobian.product", R, size, group * n),
        rows=run.take("jacobian.rows", 2, size, size),
        row_exponent=run.take("jacobian.row_exponent", size, dtype=np.int32),
        qr=run.take("jacobian.qr", 4, size, size),
        swaps=run.take("jacobian.swaps", 2, size, dtype=np.int32),
    )
    for array in (product.frobenius_square, product.spectral, product.singular_square):
        array[:] = np.nan  # what an overflow leaves
    for array in (product.exponent, product.singular_exponent):
        array[:] = 0
    run.launch("jacobian", run.window.burn_in, run.ensemble, run.wiring, run.tape, product)
    frobenius = log_norm(product.frobenius_square, product.exponent)
    spectral = log_norm(product.spectral.astype(np.float64) ** 2, product.exponent)
    singular = log_norm(product.singular_square, product.singular_exponent)
    with np.errstate(invalid="ignore"):  # NaN: a bad network, which its status tells
        frobenius = 0.5 * np.logaddexp.reduce(2 * frobenius, axis=1)
    return {
        "log_jacobian_norm": np.stack((frobenius, spectral.max(axis=1)), axis=1),
        "log_singular_value": -np.sort(-singular.reshape(run.count, C * size), axis=1),
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
            "mean_derivative": Variable(
                _NETWORK, "1", "mean of f' = dh'/dnet, all gates, at the visited states"
            ),
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
                "ln of |ds(t + lag)/ds(t)|, t the first measured step",
            ),
            "log_singular_value": Variable(
                ("network", "index"), "nats", "ln of the singular values at the largest lag"
            ),
        },
    ),
}


def product_variables(
    products: Iterable[str], clip: Mapping[str, Any] | None = None
) -> dict[str, Variable]:
    """The variables of several products, and of clipping if there is any."""
    table = {name: v for product in products for name, v in PRODUCTS[product].variables.items()}
    return table | (CLIP_VARIABLES if clip else {})


def result_bytes(source: Source, variables: Iterable[Variable], clips: int = 0) -> int:
    """Memory of one network's results, twice over: chunks are joined."""
    spec, T = source.spec, source.window.steps
    n, m, B = spec.hidden_size, spec.input_size, spec.batch_size
    cell = CELLS[spec.cell]
    sizes = {"network": 1, "lag": T, "step": T, "norm": 2, "index": n * B * len(cell.slots)}
    sizes |= {"sequence": B, "unit": n, "source": n, "feature": m, "gate": len(cell.gates)}
    sizes |= {"own_gate": len(cell.apart), "clip": clips}
    return 8 + sum(16 * math.prod(sizes[dim] for dim in v.dims) for v in variables)
