"""Activations one number at a time, and Gaussian expectations by adaptive quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.integrate import quad

Scalar = Callable[[float], float]


def _sigmoid(u: float) -> float:
    return 1.0 / (1.0 + math.exp(-u)) if u >= 0.0 else math.exp(u) / (1.0 + math.exp(u))


def _normal_cdf(u: float) -> float:
    return 0.5 * math.erfc(-u / math.sqrt(2.0))


def normal_density(u: float) -> float:
    return math.exp(-0.5 * u * u) / math.sqrt(2.0 * math.pi)


def _silu_derivative(u: float) -> float:
    return _sigmoid(u) + u * _sigmoid(u) * _sigmoid(-u)


# (phi, phi') written again with the math module, one number at a time.
SCALAR: dict[str, tuple[Scalar, Scalar]] = {
    "linear": (lambda u: u, lambda u: 1.0),
    "tanh": (math.tanh, lambda u: 1.0 / math.cosh(min(abs(u), 300.0)) ** 2),
    "sigmoid": (_sigmoid, lambda u: _sigmoid(u) * _sigmoid(-u)),
    "relu": (lambda u: max(u, 0.0), lambda u: float(u > 0.0)),
    "leaky_relu": (lambda u: max(u, 0.01 * u), lambda u: 1.0 if u > 0.0 else 0.01),
    "softplus": (lambda u: max(u, 0.0) + math.log1p(math.exp(-abs(u))), _sigmoid),
    "elu": (
        lambda u: u if u > 0.0 else math.expm1(u),
        lambda u: 1.0 if u > 0.0 else math.exp(u),
    ),
    "gelu": (
        lambda u: u * _normal_cdf(u),
        lambda u: _normal_cdf(u) + u * normal_density(u),
    ),
    "silu": (lambda u: u * _sigmoid(u), _silu_derivative),
    "erf": (math.erf, lambda u: 2.0 / math.sqrt(math.pi) * math.exp(-u * u)),
    "hard_tanh": (lambda u: min(max(u, -1.0), 1.0), lambda u: float(abs(u) < 1.0)),
    "sin": (math.sin, math.cos),
}


def adaptive_expectation(function: Scalar, variance: float) -> float:
    """E f(sqrt(variance) z) by adaptive quadrature, split at kinks and along the tails."""
    spread = math.sqrt(variance)
    places = {s * u / spread for s in (-1, 1) for u in (0.0, 1.0, 4.0, 16.0, 40.0)}
    cuts = sorted({-10.0, 10.0, *np.arange(-9.0, 10.0, 3.0), *(p for p in places if abs(p) < 10)})
    return math.fsum(
        quad(
            lambda z: function(spread * z) * normal_density(z),
            float(cuts[i]),
            float(cuts[i + 1]),
            epsabs=1e-15,
            epsrel=1e-12,
            limit=400,
        )[0]
        for i in range(len(cuts) - 1)
    )
