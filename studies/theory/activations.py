"""Activation functions in plain NumPy, and what quadrature must know about them.

The definitions here are independent of the compiled kernels, so that theory and measurement do not
share a mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log, pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Function = Callable[[Array], Array]


class Activation(NamedTuple):
    """An activation u -> phi(u) of slope 1, and what quadrature must know about it.

    Attributes
    ----------
    value, derivative : callable
        phi and phi' elementwise, accurate in the tails. phi' is one of its one-sided values at a
        kink.
    log_derivative : callable
        ln |phi'|, where phi' itself underflows too; -inf where it is 0.
    kinks : tuple of float
        Where phi, phi' or phi'' jumps.
    curved : bool
        Whether phi bends gradually between straight or flat tails.
    wavelength : float
        Period of an oscillating phi, else inf.
    bound : float
        sup |phi|.
    """

    value: Function
    derivative: Function
    log_derivative: Function
    kinks: tuple[float, ...] = ()
    curved: bool = True
    wavelength: float = inf
    bound: float = inf

    @property
    def edges(self) -> tuple[float, ...]:
        """Points u that separate panels on which a few Legendre nodes resolve phi."""
        return _BEND if self.curved else self.kinks

    @property
    def homogeneous(self) -> bool:
        """Whether phi(c u) = c phi(u) for every c > 0."""
        return not self.curved and self.wavelength == inf and self.bound == inf


# Bends have unit width about 0 and tails that decay like exp(-|u|) or faster; panels may double
# in width as the tail fades, and beyond |u| = 32 the tail is below 1e-13.
_BEND = (0.0, *(sign * 2.0**k for sign in (-1, 1) for k in range(6)))


def _sech2(u: Array) -> Array:
    decay = np.exp(-2.0 * np.abs(u))
    return 4.0 * decay / (1.0 + decay) ** 2


def _expit(u: Array) -> Array:
    from scipy.special import expit

    return np.asarray(expit(u))


def _erf(u: Array) -> Array:
    from scipy.special import erf

    return np.asarray(erf(u))


def _normal_cdf(u: Array) -> Array:
    from scipy.special import ndtr

    return np.asarray(ndtr(u))


def normal_density(u: Array) -> Array:
    """Return the density of N(0, 1)."""
    return np.exp(-0.5 * u * u) / sqrt(2.0 * pi)


def _log_expit(u: Array) -> Array:
    return -np.logaddexp(0.0, -u)


def _log(derivative: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.log(np.abs(derivative))


def _gelu_log_derivative(u: Array) -> Array:
    """Below -1 relative to the normal density, by the scaled complementary error function."""
    from scipy.special import erfcx

    left = np.minimum(u, -1.0)
    tail = _log(left + sqrt(0.5 * pi) * erfcx(-left / sqrt(2.0))) - 0.5 * (left**2 + log(2.0 * pi))
    right = np.maximum(u, -1.0)
    return np.where(u < -1.0, tail, _log(_normal_cdf(right) + right * normal_density(right)))


def _leaky(leak: float) -> Activation:
    return Activation(
        lambda u: np.where(u > 0.0, u, leak * u),
        lambda u: np.where(u > 0.0, 1.0, leak),
        lambda u: np.where(u > 0.0, 0.0, log(leak) if leak else -inf),
        kinks=(0.0,),
        curved=False,
    )


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda u: u, np.ones_like, np.zeros_like, curved=False),
    "tanh": Activation(
        np.tanh,
        _sech2,
        lambda u: 2.0 * (log(2.0) - np.abs(u) - np.log1p(np.exp(-2.0 * np.abs(u)))),
        bound=1.0,
    ),
    "sigmoid": Activation(
        _expit,
        lambda u: _expit(u) * _expit(-u),
        lambda u: _log_expit(u) + _log_expit(-u),
        bound=1.0,
    ),
    "relu": _leaky(0.0),
    "leaky_relu": _leaky(0.01),
    "softplus": Activation(lambda u: np.logaddexp(0.0, u), _expit, _log_expit),
    "elu": Activation(
        lambda u: np.where(u > 0.0, u, np.expm1(np.minimum(u, 0.0))),
        lambda u: np.exp(np.minimum(u, 0.0)),
        lambda u: np.minimum(u, 0.0),
        kinks=(0.0,),
    ),
    "gelu": Activation(
        lambda u: u * _normal_cdf(u),
        lambda u: _normal_cdf(u) + u * normal_density(u),
        _gelu_log_derivative,
    ),
    "silu": Activation(
        lambda u: u * _expit(u),
        lambda u: _expit(u) * (1.0 + u * _expit(-u)),
        lambda u: _log_expit(u) + _log(1.0 + u * _expit(-u)),
    ),
    "erf": Activation(
        _erf,
        lambda u: 2.0 / sqrt(pi) * np.exp(-u * u),
        lambda u: log(2.0 / sqrt(pi)) - u * u,
        bound=1.0,
    ),
    "hard_tanh": Activation(
        lambda u: np.clip(u, -1.0, 1.0),
        lambda u: np.where(np.abs(u) < 1.0, 1.0, 0.0),
        lambda u: np.where(np.abs(u) < 1.0, 0.0, -inf),
        kinks=(-1.0, 1.0),
        curved=False,
        bound=1.0,
    ),
    "sin": Activation(
        np.sin,
        np.cos,
        lambda u: _log(np.cos(u)),
        curved=False,
        wavelength=2.0 * pi,
        bound=1.0,
    ),
}
"""The activations by name, as PyTorch defines them (alpha = 1, leak 0.01, exact gelu)."""


def activation_named(name: str) -> Activation:
    """Return the activation of that name.

    Parameters
    ----------
    name : str
        A key of `ACTIVATIONS`.

    Returns
    -------
    Activation

    Raises
    ------
    ValueError
        If there is none of that name; the message lists those there are.
    """
    try:
        return ACTIVATIONS[name]
    except KeyError:
        allowed = ", ".join(ACTIVATIONS)
        raise ValueError(f"activation={name!r} is not one of: {allowed}") from None
