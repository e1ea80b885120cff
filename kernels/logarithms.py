"""Logarithms of what the sweeps leave as square * 4^exponent."""

from __future__ import annotations

import numpy as np

from .math import log_positive, power_of_two
from .precision import EXPONENT_BIAS, MANTISSA_BITS, real

LN2 = 0.6931471805599453


def log_norms(square, exponent, out):
    """Out = ln sqrt(square * 4^exponent), -inf for zero; flat arrays, `out` in float64."""
    normal = power_of_two(1 - EXPONENT_BIAS)
    up = power_of_two(MANTISSA_BITS)
    for i in range(out.size):
        x = real(square[i])
        low = x < normal
        log = log_positive(x * up if low else x) - (real(MANTISSA_BITS * LN2) if low else real(0.0))
        log = x if not x < real(np.inf) else log  # infinite, or NaN
        log = real(-np.inf) if x == real(0.0) else log
        out[i] = real(0.5) * log + real(LN2) * real(exponent[i])
