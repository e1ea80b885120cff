"""Exact laws of products of random matrices, at any size: what the networks must reproduce.

Weights W_ij ~ N(0, weight_scale^2 / n). Rates are of a norm, in nats per step.
"""

from __future__ import annotations

from math import inf, log, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .activations import Array


class ProductExponents(NamedTuple):
    """Lyapunov exponents of a product of independent Gaussian matrices, descending.

    Attributes
    ----------
    exponent : ndarray, shape (n,)
        Nats per step.
    step_variance : ndarray, shape (n,)
        Variance of ln|R_ii| of one step; over T steps the QR average has 1/T of it.
    """

    exponent: Array
    step_variance: Array


class ReluIncrement(NamedTuple):
    """Distribution, over one layer, of the growth of ln ||J u||^2 in an untied ReLU net.

    Attributes
    ----------
    mean, variance : float
        Given that the layer is alive.
    dead_probability : float
        That no unit of the layer is active, which ends the gradient.
    """

    mean: float
    variance: float
    dead_probability: float


def gaussian_product_exponents(n: int, weight_scale: float = 1.0) -> ProductExponents:
    """Return the Lyapunov spectrum of products of independent n x n matrices N(0, scale^2 / n).

    lambda_i = 1/2 [ln(2 scale^2 / n) + psi((n - i + 1) / 2)], and the ln|R_ii| of successive steps
    are independent with variance psi'((n - i + 1) / 2) / 4, as R_ii^2 is scale^2 / n times a
    chi-squared variable of n - i + 1 degrees of freedom. Exact at every n (Newman 1986; Forrester
    2013).

    Parameters
    ----------
    n : int
        Size of the matrices, >= 1.
    weight_scale : float
        Scale of the entries.

    Returns
    -------
    ProductExponents

    Raises
    ------
    ValueError
        If n < 1.
    """
    from scipy.special import digamma, polygamma

    if n < 1:
        raise ValueError(f"n={n} must be >= 1")
    half_freedom = 0.5 * np.arange(n, 0, -1)
    exponent = 0.5 * (_log_variance(weight_scale, n) + digamma(half_freedom))
    return ProductExponents(exponent, 0.25 * polygamma(1, half_freedom))


def deep_relu_increment(n: int, weight_scale: float = sqrt(2.0)) -> ReluIncrement:
    """Return mean and variance of the growth of ln ||J u||^2 over a layer of an untied ReLU net.

    The growth is ln[(scale^2 / n) chi^2_K] with K ~ Binomial(n, 1/2) active units, independent
    across layers, without biases. Exact at every n (Hanin & Nica 2020), here given K >= 1: a layer
    is dead with probability 2^-n, which is reported and matters for small n only.

    Parameters
    ----------
    n : int
        Width of the layers, >= 1.
    weight_scale : float
        Scale of the weights; the default is that of He et al. 2015.

    Returns
    -------
    ReluIncrement

    Raises
    ------
    ValueError
        If n < 1.
    """
    from scipy.special import digamma, gammaln, polygamma

    if n < 1:
        raise ValueError(f"n={n} must be >= 1")
    active = np.arange(1, n + 1)
    log_choose = gammaln(n + 1) - gammaln(active + 1) - gammaln(n - active + 1)
    probability = np.exp(log_choose - n * log(2.0))
    probability /= probability.sum()
    given_active = digamma(0.5 * active)
    mean = float(probability @ given_active)
    variance = float(probability @ (polygamma(1, 0.5 * active) + (given_active - mean) ** 2))
    return ReluIncrement(_log_variance(weight_scale, n) + mean, variance, 0.5**n)


def spectral_radius_rate(W: NDArray[np.floating]) -> Array:
    """Return ln of the spectral radius: the exact long-time rate of a tied linear network.

    By Gelfand's formula, ||W^t||^(1/t) -> rho(W) (Gelfand 1941).

    Parameters
    ----------
    W : ndarray, shape (..., n, n)
        Recurrent weights of one network, or of several along the leading axes.

    Returns
    -------
    ndarray, shape (...)
        Nats per step; -inf for nilpotent W.
    """
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.abs(np.linalg.eigvals(W)).max(axis=-1)))


def _log_variance(weight_scale: float, n: int) -> float:
    """Ln of twice the variance of a weight; -inf for no weights at all."""
    return log(2.0 * weight_scale**2 / n) if weight_scale else -inf
