"""Tied networks at the state 0, where every step has the Jacobian a I + b W: exact at every lag.

Without biases that move it the state 0 stays, W is the recurrent block of one gate, and gradients
are powers of one matrix. In the eigenbasis V of W^T, with lambda the eigenvalues of a I + b W^T,

    dL/dnet(T - lag) = V diag(lambda^lag) V^-1 dL/dnet(T),     b > 0,

up to rounding times the condition of V.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from ...engine import Array, NetworkSpec
from .check import Exact
from .draws import Draws

Eigenvalues = Callable[[Array], Array]
"""From W, (network, n, n), to the eigenvalues of a I + b W, (network, n)."""

ROUNDING = 1e-13
"""Error of ln |gradient| per step, beside the condition of the eigenbasis: some hundred eps."""

STEPS, NETWORKS = 1000, 20
LAGS = np.array([1, 2, 5, 10, 20, 50, 100, 200, 500, STEPS - 1])


def at_zero(draws: Draws, spec: NetworkSpec, networks: int, steps: int) -> xr.Dataset:
    """Undriven networks in the state 0, with no biases but those of `gate_bias`."""
    ensemble = draws.sample(spec, networks, steps, inputs="zero", burn_in=0)
    for name in ("initial_state", "initial_cell_state"):
        if name in ensemble:
            ensemble[name][:] = 0.0
    return ensemble


def recurrent_block(ensemble: xr.Dataset, gate: int) -> Array:
    """W of one gate, (network, n, n)."""
    W: Array = ensemble.W.values[:, gate].astype(np.float64)
    return W


def gradient_at_every_lag(
    oracle: str, statement: str, source: str, spec: NetworkSpec, gate: int, eigenvalues: Eigenvalues
) -> Exact:
    """Check that growth per step of the gradient is that of the eigenvalues' powers, at ten lags.

    Parameters
    ----------
    oracle, statement, source : str
    spec : NetworkSpec
    gate : int
        Position of the gate whose recurrent block is W.
    eigenvalues : callable
        The theory: those of the step Jacobian, in any order.
    """

    def draw(draws: Draws) -> xr.Dataset:
        return at_zero(draws, spec, NETWORKS, STEPS)

    def theory(ensemble: xr.Dataset) -> Array:
        W = recurrent_block(ensemble, gate)
        losses = ensemble.readout_gradient.values[:, 0]
        return np.stack(
            [growth(*network) for network in zip(W, losses, eigenvalues(W), strict=True)]
        )

    def measured(draws: Draws, ensemble: xr.Dataset) -> Array:
        return np.asarray(draws.measure_given(ensemble).log_gradient.values[:, LAGS] / LAGS)

    def tolerance(ensemble: xr.Dataset) -> Array:
        basis = np.linalg.eig(recurrent_block(ensemble, gate).swapaxes(1, 2))[1]
        return np.asarray(ROUNDING * np.linalg.cond(basis)[:, None])

    return Exact(oracle, statement, source, draw, theory, measured, tolerance)


def growth(W: Array, loss: Array, eigenvalues: Array) -> Array:
    """Growth of ln |gradient| per step over each of `LAGS`, for one network."""
    mu, basis = np.linalg.eig(W.T)
    ordered = np.empty(len(mu), np.complex128)
    ordered[np.argsort(mu)] = np.sort(eigenvalues)  # a + b mu has the order of mu
    largest = np.abs(ordered).max()
    share = np.linalg.solve(basis, loss.astype(np.complex128))
    powers = (ordered / largest)[:, None] ** LAGS
    rest = np.linalg.norm(basis @ (share[:, None] * powers), axis=0)
    return np.asarray(np.log(largest) + np.log(rest / np.linalg.norm(loss)) / LAGS)


def sum_of_exponents(
    oracle: str,
    statement: str,
    source: str,
    spec: NetworkSpec,
    gate: int,
    log_determinant: Callable[[Array], Array],
    unit: float = 1.0,
) -> Exact:
    """Check that all Lyapunov exponents sum to ln |det| of the step Jacobian.

    Parameters
    ----------
    oracle, statement, source, spec, gate
        As for `gradient_at_every_lag`.
    log_determinant : callable
        The theory: from W, (network, n, n), to the sum per unit of time, (network,).
    unit : float
        Steps times this are units of time.
    """
    steps = 200

    def draw(draws: Draws) -> xr.Dataset:
        return at_zero(draws, spec, NETWORKS, steps)

    def theory(ensemble: xr.Dataset) -> Array:
        return log_determinant(recurrent_block(ensemble, gate))

    def measured(draws: Draws, ensemble: xr.Dataset) -> Array:
        data = draws.measure_given(ensemble, products=("lyapunov",))
        total: Array = data.lyapunov_exponent.values.sum(axis=1)
        return total / unit

    def tolerance(ensemble: xr.Dataset) -> Array:
        return np.array(spec.hidden_size * ACCURACY / unit)

    return Exact(oracle, statement, source, draw, theory, measured, tolerance)


ACCURACY = 1e-8
"""Of an exponent at least, by the limit that `kernels.bodies.lyapunov` sets to its frames."""
