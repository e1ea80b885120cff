"""The activation functions of the ``rnn`` cell: value and derivative, once each.

Every function takes a scalar z and returns (phi(z), phi'(z)) in the bound format. At a kink the
derivative is the smaller of the two sides, as automatic differentiation libraries take it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .math import (
    erf_small,
    erfc_and_gauss,
    exp_and_expm1,
    log1p_unit,
    sine_cosine,
)
from .precision import real


def linear(z):
    """Phi(z) = z."""
    return z, real(1.0)


def tanh(z):
    """Phi(z) = tanh z; phi' = 1 - phi^2, written so that it keeps its accuracy when it is tiny."""
    e, m = exp_and_expm1(real(-2.0) * abs(z))
    d = real(1.0) + e
    return math.copysign(m / d, z), real(4.0) * e / (d * d)


def sigmoid(z):
    """Phi(z) = 1 / (1 + exp(-z)); phi' = phi (1 - phi)."""
    e, _ = exp_and_expm1(-abs(z))
    d = real(1.0) / (real(1.0) + e)
    return (e * d if z < real(0.0) else d), e * d * d


def complement(value, derivative):
    """1 - sigmoid from `sigmoid`'s results, to full relative accuracy where it is tiny."""
    return derivative / value if value > real(0.5) else real(1.0) - value


def relu(z):
    """Phi(z) = max(z, 0)."""
    return (real(0.0) if z < real(0.0) else z), (real(1.0) if z > real(0.0) else real(0.0))


def leaky_relu(z):
    """Phi(z) = z for z > 0, else z / 100 (Maas, Hannun and Ng 2013)."""
    slope = real(1.0) if z > real(0.0) else real(0.01)
    return slope * z, slope


def softplus(z):
    """Phi(z) = ln(1 + exp z); phi' is the sigmoid."""
    e, _ = exp_and_expm1(-abs(z))
    d = real(1.0) / (real(1.0) + e)
    rectified = real(0.0) if z < real(0.0) else z
    return rectified + log1p_unit(e), (e * d if z < real(0.0) else d)


def elu(z):
    """Phi(z) = z for z > 0, else exp(z) - 1 (Clevert, Unterthiner and Hochreiter 2016)."""
    e, m = exp_and_expm1(real(0.0) if z > real(0.0) else z)
    return (z if z > real(0.0) else m), e


def gelu(z):
    """Phi(z) = z P(z), P the normal distribution function (Hendrycks and Gimpel 2016)."""
    tail, gauss = erfc_and_gauss(abs(z) * real(0.7071067811865476))
    p = real(0.5) * tail if z < real(0.0) else real(1.0) - real(0.5) * tail
    return z * p, p + (z * real(0.3989422804014327)) * gauss


def silu(z):
    """Phi(z) = z sigmoid(z) (Elfwing, Uchibe and Doya 2018)."""
    s, ds = sigmoid(z)
    return z * s, s + z * ds


def erf(z):
    """Phi(z) = erf z; phi' = 2 exp(-z^2) / sqrt(pi)."""
    x = abs(z)
    tail, gauss = erfc_and_gauss(x)
    value = erf_small(x) if x < real(1.0) else real(1.0) - tail
    return math.copysign(value, z), real(1.1283791670955126) * gauss


def hard_tanh(z):
    """Phi(z) = z clipped to [-1, 1]; phi'(+-1) = 0."""
    clipped = real(-1.0) if z < real(-1.0) else (real(1.0) if z > real(1.0) else z)
    inside = (z > real(-1.0)) & (z < real(1.0))
    return clipped, (real(1.0) if inside else real(0.0))


def sin(z):
    """Phi(z) = sin z."""
    s, c = sine_cosine(z)
    return s, c


ACTIVATIONS: dict[str, Callable[[Any], tuple[Any, Any]]] = {
    f.__name__: f
    for f in (
        linear,
        tanh,
        sigmoid,
        relu,
        leaky_relu,
        softplus,
        elu,
        gelu,
        silu,
        erf,
        hard_tanh,
        sin,
    )
}
"""Registry; the position of a name is the integer a compiled kernel selects it by."""
