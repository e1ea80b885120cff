"""Oracle E, and B below the onset of chaos: tied networks that are linear, or linear about 0."""

from __future__ import annotations

from dataclasses import replace
from math import log

import numpy as np
import xarray as xr

from ...engine import Array, NetworkSpec
from ..theory import leaky_fixed_point_exponents, spectral_radius_rate
from .chain import at_zero, gradient_at_every_lag, recurrent_block, sum_of_exponents
from .check import Check, Exact
from .draws import Draws

LEAK, SLOW = 0.5, 1e-3
GAUSSIAN = NetworkSpec(activation="linear", hidden_size=16)
ORTHOGONAL = NetworkSpec(
    activation="linear", hidden_size=24, weights="orthogonal", weight_scale=1.1
)
ROUNDING = 1e-12
"""Of a rate, where eigenvectors are orthogonal: some thousand eps."""


def symmetric(draws: Draws) -> xr.Dataset:
    """Linear networks with symmetric Gaussian weights, whose eigenvectors are orthogonal."""
    ensemble = at_zero(draws, GAUSSIAN, 50, 4000)
    W = ensemble.W.values
    ensemble["W"][:] = (W + W.swapaxes(2, 3)) / 2.0**0.5
    return ensemble


def late_rate(draws: Draws, ensemble: xr.Dataset) -> Array:
    """Growth of the gradient over the second half of the lags."""
    found: Array = draws.measure_given(ensemble).log_gradient.values
    half = found.shape[1] // 2
    return np.asarray((found[:, -1] - found[:, half]) / (found.shape[1] - 1 - half))


def spectral_radius(ensemble: xr.Dataset) -> Array:
    """Ln rho(W), and what the directions of other eigenvalues leave of their fading.

    For orthogonal eigenvectors |gradient|^2 = sum_i c_i^2 mu_i^(2 lag), with c the components of
    the gradient at lag 0.
    """
    W, losses = recurrent_block(ensemble, 0), ensemble.readout_gradient.values[:, 0]
    mu, basis = np.linalg.eigh(W)
    last = ensemble.sizes["step"] - 1
    lag = np.array([(last + 1) // 2, last])
    component = np.einsum("kij,ki->kj", basis, losses) ** 2
    ratio = np.abs(mu) / np.abs(mu).max(axis=1, keepdims=True)
    square = np.einsum("kj,kjt->kt", component, ratio[:, :, None] ** (2 * lag))
    rest = 0.5 * np.log(square[:, 1] / square[:, 0]) / (lag[1] - lag[0])
    return np.asarray(spectral_radius_rate(W) + rest)


def orthogonal(draws: Draws) -> xr.Dataset:
    """Linear networks with orthogonal weights."""
    return draws.sample(ORTHOGONAL, 20, 500, inputs="zero", burn_in=0)


def growth_at_every_lag(draws: Draws, ensemble: xr.Dataset) -> Array:
    """Growth of the gradient per step, from lag 0 to every other."""
    found: Array = draws.measure_given(ensemble).log_gradient.values
    return found[:, 1:] / np.arange(1, found.shape[1])


def every_exponent(draws: Draws, ensemble: xr.Dataset) -> Array:
    """All Lyapunov exponents."""
    data = draws.measure_given(ensemble, products=("lyapunov",))
    exponents: Array = data.lyapunov_exponent.values
    return exponents


def log_weight_scale(ensemble: xr.Dataset) -> Array:
    """Ln g: the weights turn a vector and scale it by g."""
    return np.full((ensemble.sizes["network"], 1), log(ORTHOGONAL.weight_scale))


def rounding(ensemble: xr.Dataset) -> Array:
    """The same for all."""
    return np.array(ROUNDING)


def leaky_sum(leak: float, limit: float) -> Exact:
    """All exponents of networks with a leak at the state 0, by the theory for the leak `limit`."""
    return sum_of_exponents(
        "B",
        f"leaky tanh at 0 (leak {leak:g}, g = 0.9): sum of all exponents"
        + (f", as for leak {limit:g}" if limit != leak else ""),
        "linear algebra",
        NetworkSpec(hidden_size=16, weight_scale=0.9, skip=1.0 - leak, branch=leak),
        0,
        lambda W: leaky_fixed_point_exponents(W, limit).sum(axis=1),
        leak,
    )


def continuous_time() -> Exact:
    """A small leak by the theory of none.

    With x = leak (mu - 1) that takes x for ln(1 + x), wrong by less than |x|^2 / (2 - 2|x|).
    """
    check = leaky_sum(SLOW, 0.0)

    def tolerance(ensemble: xr.Dataset) -> Array:
        x = SLOW * abs(np.linalg.eigvals(recurrent_block(ensemble, 0)) - 1.0)
        return np.asarray(check.tolerance(ensemble) + (x**2 / (2.0 - 2.0 * x)).sum(axis=1) / SLOW)

    return replace(check, tolerance=tolerance)


CHECKS: tuple[Check, ...] = (
    gradient_at_every_lag(
        "E",
        "tied linear: gradient at lags 1 ... 999 from eigenvalues of W",
        "linear algebra",
        GAUSSIAN,
        0,
        np.linalg.eigvals,
    ),
    Exact(
        "E",
        "tied linear, symmetric W: late rate is ln of the spectral radius",
        "Gelfand 1941",
        symmetric,
        spectral_radius,
        late_rate,
        rounding,
    ),
    Exact(
        "E",
        "orthogonal W: the gradient grows as g^lag",
        "linear algebra",
        orthogonal,
        log_weight_scale,
        growth_at_every_lag,
        rounding,
    ),
    Exact(
        "E",
        "orthogonal W: all Lyapunov exponents are ln g",
        "linear algebra",
        orthogonal,
        log_weight_scale,
        every_exponent,
        rounding,
    ),
    leaky_sum(LEAK, LEAK),
    continuous_time(),
)
