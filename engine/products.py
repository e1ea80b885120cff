"""The quantities that can be measured: each a function from a chunk that was run to arrays.

A product names its variables (dims, units, long name) and fills them from what the sweeps of
`layout.SWEEPS` left of a chunk. Norms arrive from the kernels as square * 4^exponent and leave as
float64 logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..kernels.cells import CELLS
from ..kernels.library import log_norms_kernel
from .chunk import Run
from .clip import VARIABLES as CLIP_VARIABLES
from .eigenvalue import VARIABLES as EIGENVALUE_VARIABLES
from .eigenvalue import eigenvalue, visited_lags
from .ensemble import Source
from .layout import Sizes, block_count
from .spectrum import VARIABLES as SPECTRUM_VARIABLES
from .spectrum import lyapunov
from .variable import Arrays, OnDevice, Results, Variable


def log_norm(square: Any, exponent: Any, relative: bool = False) -> Any:
    """Ln of sqrt(square * 4^exponent), in float64; -inf for zero. Where the squares are.

    `relative`: to the first of (network, lag).
    """
    if isinstance(square, OnDevice):
        return square.log_norms(exponent, relative)
    out = np.empty(square.shape)
    log_norms_kernel()(square.reshape(-1), exponent.reshape(-1), out.reshape(-1))
    if relative:
        with np.errstate(invalid="ignore"):  # a gradient that is zero throughout: status says so
            out -= out[:, :1].copy()
    return out


def state_variance(variance: Any, exponent: Any) -> Any:
    """Mean over sequences of variance * 4^exponent, where the numbers are.

    variance : (network, step, sequence); exponent : (network, step, group), one group or as many.
    """
    if isinstance(variance, OnDevice):
        return variance.mean_variances(exponent)
    with np.errstate(over="ignore"):  # the variance itself may exceed float64: inf then
        found = np.ldexp(variance.astype(np.float64), 2 * exponent)
        return found.mean(axis=2)


def trajectory(run: Run) -> Results:
    """Activation derivatives at the visited states, and the variance of the state."""
    visited = run.arrays.visited
    mean, mean_square, largest = visited.derivative.astype(np.float64).T
    return {
        "mean_derivative": mean,
        "mean_square_derivative": mean_square,
        "max_derivative": largest,
        "activation_variance": state_variance(visited.variance, visited.exponent),
    }


def gradient(run: Run) -> Results:
    """Norm of the gradient against lag, its rate and its horizon."""
    sweep, skipped = run.arrays.adjoint, run.window.burn_in
    log = log_norm(sweep.square, sweep.exponent, relative=True)
    steps, last = run.window.steps - 1 - skipped, log[:, -1]
    with np.errstate(invalid="ignore"):
        rate = (last - log[:, skipped]) / steps
        if np.isnan(rate).any():  # zeros: those of lag 0, to which the others are relative, or more
            norm = log_norm(np.asarray(sweep.square), np.asarray(sweep.exponent))
            vanished = (last == -np.inf) & (norm[:, -1] == -np.inf)
            growth = np.where(vanished, -np.inf, (norm[:, -1] - norm[:, skipped]) / steps)
            rate = np.where(np.isnan(rate), growth, rate)
    with np.errstate(divide="ignore"):
        horizon = np.where(rate < 0, -1 / rate, np.where(rate >= 0, np.inf, np.nan))
    return {"log_gradient": log, "rate": rate, "horizon": horizon}


def weights(run: Run) -> Results:
    """Norms of the BPTT gradient and of its terms."""
    result = run.arrays.gradient
    terms = log_norm(result.square, result.exponent)
    if run.spec.tied:
        total = log_norm(result.sum_square, result.sum_exponent)
    else:  # gradients of different weights: the square norms add
        with np.errstate(invalid="ignore"):  # NaN: a bad network, which its status tells
            total = 0.5 * np.logaddexp.reduce(2 * np.asarray(terms), axis=2)
    return {
        "log_grad_W": total[:, 0],
        "log_grad_U": total[:, 1],
        "log_grad_b": total[:, 2],
        "contribution_W": terms[:, 0],
        "contribution_U": terms[:, 1],
    }


def jacobian(run: Run) -> Arrays:
    """Norms of the explicit product of step Jacobians, and its singular values."""
    product = run.arrays.jacobian
    frobenius = log_norm(product.frobenius_square, product.exponent)
    spectral = log_norm(product.spectral.astype(np.float64) ** 2, product.exponent)
    singular = log_norm(product.singular_square, product.singular_exponent)
    with np.errstate(invalid="ignore"):  # NaN: a bad network, which its status tells
        frobenius = 0.5 * np.logaddexp.reduce(2 * frobenius, axis=1)
    return {
        "log_jacobian_norm": np.stack((frobenius, spectral.max(axis=1)), axis=1),
        "log_singular_value": -np.sort(-singular.reshape(run.count, -1), axis=1),
    }


class Product(NamedTuple):
    """A function that measures, and the variables that it returns."""

    measure: Callable[[Run], Results]
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
    "lyapunov": Product(lyapunov, SPECTRUM_VARIABLES),
    "eigenvalue": Product(eigenvalue, EIGENVALUE_VARIABLES),
}


def product_variables(
    products: Iterable[str], clip: Mapping[str, Any] | None = None
) -> dict[str, Variable]:
    """The variables of several products, and of clipping if there is any."""
    table = {name: v for product in products for name, v in PRODUCTS[product].variables.items()}
    return table | (CLIP_VARIABLES if clip else {})


def axis_lengths(source: Source, clips: int = 0, exponents: int | None = None) -> dict[str, int]:
    """Length of every axis of a network's results, by the name of the dimension.

    Parameters
    ----------
    source : Source
    clips : int
        Thresholds of clipping.
    exponents : int, optional
        Leading Lyapunov exponents that are asked for; None: all.
    """
    spec, T = source.spec, source.window.steps
    n, m, B = spec.hidden_size, spec.input_size, spec.batch_size
    cell, size = CELLS[spec.cell], Sizes(spec, source.window)
    directions = size.C * min(exponents or size.M, size.M)
    lengths = {"lag": T, "step": T, "norm": 2, "visit": len(visited_lags(T)), "clip": clips}
    lengths |= {"block": block_count(size.counted), "direction": directions}
    lengths["index"] = min(exponents or directions, directions)
    lengths |= {"sequence": B, "unit": n, "source": n, "feature": m}
    return lengths | {"gate": len(cell.gates), "own_gate": len(cell.apart)}


def result_bytes(
    source: Source, variables: Iterable[Variable], clips: int = 0, exponents: int | None = None
) -> int:
    """Memory of one network's results, twice over: chunks are joined."""
    lengths = {"network": 1} | axis_lengths(source, clips, exponents)
    return 8 + sum(16 * math.prod(lengths[dim] for dim in v.dims) for v in variables)
