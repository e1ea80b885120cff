"""Logarithms of what the sweeps leave as square * 4^exponent."""

from __future__ import annotations

import numpy as np

from .math import log_positive, power_of_two
from .precision import EXPONENT_BIAS, MANTISSA_BITS, real

LN2 = 0.6931471805599453


def log_norm(square, exponent):
    """Ln sqrt(square * 4^exponent), -inf for zero; infinity and NaN stay what they are."""
    x = real(square)
    low = x < power_of_two(1 - EXPONENT_BIAS)
    raised = x * power_of_two(MANTISSA_BITS) if low else x
    log = log_positive(raised) - (real(MANTISSA_BITS * LN2) if low else real(0.0))
    log = x if not x < real(np.inf) else log
    log = real(-np.inf) if x == real(0.0) else log
    return real(0.5) * log + real(LN2) * real(exponent)


def log_norms(square, exponent, out):
    """Out = `log_norm`; flat arrays, `out` in float64."""
    for i in range(out.size):
        out[i] = log_norm(square[i], exponent[i])
