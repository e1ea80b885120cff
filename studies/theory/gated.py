"""Theory of gated cells at their zero fixed point, exact for every network.

Without input and with zero biases of the candidate, the state 0 is a fixed point, where the gates
stand at the sigmoids of their biases and do not react to the state in first order: a gate's
derivative multiplies the candidate, the cell or the state, which are 0. Below, mu are the
eigenvalues of the candidate's recurrent weights W_c. Rates are nats per step of a norm.

The weights of a wide Gaussian block have mu uniform in the disc of radius weight_scale (Ginibre
1965; Girko 1985), and PyTorch's default, U(-1/sqrt n, 1/sqrt n), has weight_scale 1/sqrt 3.
"""

from __future__ import annotations

from math import exp, isnan, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .ranges import check_not_negative
from .scalars import logarithm

PYTORCH_WEIGHT_SCALE = 1.0 / sqrt(3.0)
"""sigma_w of entries U(-1/sqrt n, 1/sqrt n)."""


def gru_fixed_point_eigenvalues(
    candidate_weights: ArrayLike, *, reset_bias: float = 0.0, update_bias: float = 0.0
) -> NDArray[np.complex128]:
    """Return the eigenvalues of a GRU's step Jacobian at zero, u + (1 - u) r mu_i.

    h' = (1 - u) tanh(b_n + r (W_c h + b_hn)) + u h with r = sigmoid(b_r), u = sigmoid(b_u) gives
    dh'/dh = u I + (1 - u) r W_c at h = 0, b_n = b_hn = 0 (Cho et al. 2014, in PyTorch's form).

    Parameters
    ----------
    candidate_weights : array_like, shape (..., n, n)
        W_c of one network or of several.
    reset_bias, update_bias : float
        b_r and b_u, the same for all units.

    Returns
    -------
    ndarray, shape (..., n)
    """
    u, r = _sigmoid(update_bias), _sigmoid(reset_bias)
    return u + (1.0 - u) * r * _eigenvalues(candidate_weights)


def lstm_fixed_point_eigenvalues(
    candidate_weights: ArrayLike,
    *,
    input_bias: float = 0.0,
    forget_bias: float = 0.0,
    output_bias: float = 0.0,
) -> NDArray[np.complex128]:
    """Return the eigenvalues of an LSTM's step Jacobian at zero: f + i o mu_i, and n zeros.

    c' = f c + i tanh(W_c h), h' = o tanh(c') with gates at the sigmoids of their biases gives, for
    the whole state (h, c), the Jacobian [o; 1] [i W_c, f] (Hochreiter & Schmidhuber 1997; Gers et
    al. 2000 for the forget gate): of rank n, its other eigenvalues those of [i W_c, f] [o; 1] =
    f + i o W_c. With the cell held fixed, dh'/dh = i o W_c would miss f, the whole memory.

    Parameters
    ----------
    candidate_weights : array_like, shape (..., n, n)
        W_c, the recurrent weights of the gate that PyTorch calls g, of one network or of several.
    input_bias, forget_bias, output_bias : float
        Biases of the gates, the same for all units.

    Returns
    -------
    ndarray, shape (..., 2 n)
        The zeros last.
    """
    f, through = _sigmoid(forget_bias), _sigmoid(input_bias) * _sigmoid(output_bias)
    moving = f + through * _eigenvalues(candidate_weights)
    return np.concatenate([moving, np.zeros_like(moving)], axis=-1)


def gru_fixed_point_rate(
    weight_scale: float, *, reset_bias: float = 0.0, update_bias: float = 0.0
) -> float:
    """Return the rate of a wide GRU at zero, ln[u + (1 - u) r weight_scale].

    The largest modulus of `gru_fixed_point_eigenvalues` over the disc of radius weight_scale.

    Parameters
    ----------
    weight_scale : float
        sigma_w of the candidate's weights, >= 0.
    reset_bias, update_bias : float
        Biases of the gates.

    Returns
    -------
    float
        Nats per step; the gradient's horizon is -1/rate steps where it is negative.

    Raises
    ------
    ValueError
        If weight_scale is negative or not finite.
    """
    u, r = _sigmoid(update_bias), _sigmoid(reset_bias)
    check_not_negative(weight_scale=weight_scale)
    return logarithm(u + _sigmoid(-update_bias) * r * weight_scale)


def lstm_fixed_point_rate(
    weight_scale: float,
    *,
    input_bias: float = 0.0,
    forget_bias: float = 0.0,
    output_bias: float = 0.0,
) -> float:
    """Return the rate of a wide LSTM at zero, ln(f + i o weight_scale).

    The largest modulus of `lstm_fixed_point_eigenvalues` over the disc of radius weight_scale.

    Parameters
    ----------
    weight_scale : float
        sigma_w of the candidate's weights, >= 0.
    input_bias, forget_bias, output_bias : float
        Biases of the gates.

    Returns
    -------
    float
        Nats per step.

    Raises
    ------
    ValueError
        If weight_scale is negative or not finite.
    """
    through = _sigmoid(input_bias) * _sigmoid(output_bias)
    check_not_negative(weight_scale=weight_scale)
    return logarithm(_sigmoid(forget_bias) + through * weight_scale)


def gru_stability_limit(*, reset_bias: float = 0.0) -> float:
    """Return the weight scale at which a wide GRU's zero state turns unstable, 1/r.

    The update gate changes how fast the state moves, not where it stays: u drops out.

    Parameters
    ----------
    reset_bias : float
        b_r.

    Returns
    -------
    float
    """
    return 1.0 / _sigmoid(reset_bias)


def lstm_stability_limit(
    *, input_bias: float = 0.0, forget_bias: float = 0.0, output_bias: float = 0.0
) -> float:
    """Return the weight scale at which a wide LSTM's zero state turns unstable, (1 - f) / (i o).

    Parameters
    ----------
    input_bias, forget_bias, output_bias : float
        Biases of the gates.

    Returns
    -------
    float
    """
    return _sigmoid(-forget_bias) / (_sigmoid(input_bias) * _sigmoid(output_bias))


def _eigenvalues(weights: ArrayLike) -> NDArray[np.complex128]:
    return np.linalg.eigvals(np.asarray(weights, dtype=np.float64)).astype(np.complex128)


def _sigmoid(x: float) -> float:
    if isnan(x):
        raise ValueError("a bias is NaN")
    return 1.0 / (1.0 + exp(-x)) if x >= 0.0 else exp(x) / (1.0 + exp(x))
