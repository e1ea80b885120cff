"""Eigenvalues of single steps: what the textbook tells vanishing from exploding gradients by.

They bound no product of Jacobians. Beside rates and Lyapunov exponents they show how good a guess
they are. LAPACK finds them, for networks without a normalisation, whose step is

    ds'_a / ds_b = diag(ds[a, b]) + [b = 0] sum_r diag(dz[a, r]) W_r

with (dz, ds) the linearisation that the forward sweep left, and r the gates that read h.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from ..kernels.contract import Array
from .chunk import Run
from .errors import InputError
from .spec import NetworkSpec
from .variable import Arrays, Variable

VISITS = 5
"""Steps whose Jacobians are looked at; a matrix of 64 units takes LAPACK 3 ms."""


def eigenvalue(run: Run) -> Arrays:
    """Spectral radii of the Jacobians of a few steps, and radius, norm and scale of W."""
    ensemble, window = run.arrays.ensemble, run.window
    times = window.burn_in + visited_lags(window.steps)
    drawn = np.minimum(times, ensemble.W.shape[1] - 1)
    W = ensemble.W.astype(np.float64, copy=False)
    steps = [step_jacobians(run, t, W[:, k]) for t, k in zip(times, drawn, strict=True)]
    radius = np.stack([log_radius(step).max(axis=1) for step in steps], axis=1)
    W = W[:, np.unique(drawn)]  # fresh weights: the mean over those of the same steps
    found = {
        "log_weight_radius": log_radius(W),
        "log_weight_norm": log_of(lambda a: np.linalg.norm(a, 2, axis=(-2, -1)), W),
        "log_weight_scale": log_of(lambda a: np.linalg.norm(a, axis=(-2, -1)), W)
        - 0.5 * np.log(W.shape[-1]),
    }
    silent = len(run.setting.wiring.input_row) - W.shape[2]  # gates that do not read h
    pad = ((0, 0), (0, silent))
    means = {name: values.mean(axis=1) for name, values in found.items()}
    padded = {name: np.pad(v, pad, constant_values=-np.inf) for name, v in means.items()}
    return {"log_step_radius": radius, **padded}


def visited_lags(steps: int) -> Array:
    """Steps that are looked at, evenly over the measured window after its first."""
    lags: Array = np.unique(np.linspace(1, steps - 1, VISITS).astype(int))
    return lags


def step_jacobians(run: Run, t: int, W: Array) -> Array:
    """ds_{t+1} / ds_t of every sequence, (network, sequence, S n, S n); W is (network, R, n, n)."""
    gates, n = W.shape[1:3]
    dz, ds = (a[:, t].astype(np.float64) for a in (run.arrays.tape.dz, run.arrays.tape.ds))
    count, slots, rows, size = dz.shape
    sequences = size // n
    dz = dz.reshape(count, slots, rows, sequences, n)[:, :, :gates]
    step = np.zeros((count, sequences, slots, n, slots, n))
    step[:, :, :, :, 0] = np.einsum("carbi,crij->cbaij", dz, W)
    unit = np.arange(n)
    direct = ds.reshape(count, slots, slots, sequences, n)
    step[:, :, :, unit, :, unit] += np.einsum("casbi->icbas", direct)
    return step.reshape(count, sequences, slots * n, slots * n)


def log_radius(matrices: Array) -> Array:
    """Ln of the largest |eigenvalue| of matrices (..., n, n)."""
    return log_of(lambda a: np.abs(np.linalg.eigvals(a)).max(axis=-1), matrices)


def log_of(size: Callable[[Array], Array], matrices: Array) -> Array:
    """Ln of a size of matrices; NaN where one is not finite, which LAPACK refuses.

    The size is that of multiples as well: of those whose squares a float can hold.
    """
    finite: Array = np.asarray(np.isfinite(matrices).all(axis=(-2, -1)))
    matrices = np.where(finite[..., None, None], matrices, 0.0)
    exponent = np.frexp(np.abs(matrices).max(axis=(-2, -1)))[1]
    with np.errstate(divide="ignore"):
        found = np.log(size(np.ldexp(matrices, -exponent[..., None, None])))
    return np.where(finite, found + math.log(2) * exponent, np.nan)


def check_normalization(spec: NetworkSpec, products: Iterable[str]) -> None:
    """Refuse the product for networks whose step has a normalisation in it."""
    if "eigenvalue" in products and spec.normalization != "none":
        allowed = "'none', for the product 'eigenvalue'"
        raise InputError("normalization", spec.normalization, allowed)


VARIABLES = {
    "log_step_radius": Variable(
        ("network", "visit"), "nats per step", "ln of the spectral radius of a step's Jacobian"
    ),
    "log_weight_radius": Variable(
        ("network", "gate"), "nats per step", "ln of the spectral radius of W"
    ),
    "log_weight_norm": Variable(
        ("network", "gate"), "nats per step", "ln of the spectral norm of W"
    ),
    "log_weight_scale": Variable(
        ("network", "gate"), "nats per step", "ln of |W| / sqrt n, |W| the Frobenius norm"
    ),
}
