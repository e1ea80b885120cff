"""Oracle A: the spectrum of ReLU nets, 1/2 ln[g^2 (1/2 - t)] for t < 1/2, and -inf beyond."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import xarray as xr

from ...engine import Array
from ..theory import lyapunov_spectrum
from .check import EXTRAPOLATED, Check, Statistical
from .spectra import ENGELKEN, exponent_at, of_spectrum

FRESH: dict[str, Any] = {"weight_scale": sqrt(2.0), "tied": False}
PLACE = 0.125
"""The rank of a product is the least number of active units in any step: far below n/2, and less
the more steps there are. In all but one run of 10^5 it is beyond this t = i/n."""

AT_REST: dict[str, Any] = {"weight_scale": 1.0, "bias_scale": 1.0}
"""Tied, below the critical sqrt 2, without inputs: the same units are active for ever, and the rank
is their number."""


def exponent() -> float:
    """The exponent of wide nets at `PLACE`."""
    spectrum = lyapunov_spectrum("relu", weight_scale=FRESH["weight_scale"])
    return float(spectrum.exponents(PLACE))


def living() -> float:
    """The t beyond which the exponents of wide nets are -inf."""
    return lyapunov_spectrum("relu", **AT_REST).law.living


def finite_share(data: xr.Dataset) -> Array:
    """Share of the exponents that are finite."""
    return np.asarray(np.isfinite(data.lyapunov_exponent.values).mean(axis=1))


NO_INPUT: dict[str, Any] = {"activation": "relu", "inputs": "zero", "input_size": 1}

CHECKS: tuple[Check, ...] = (
    Statistical(
        "A",
        f"exponent at t = {PLACE:g}, ReLU, fresh Gaussian weights",
        ENGELKEN,
        exponent,
        of_spectrum(exponent_at(PLACE), 60, 150, **NO_INPUT, **FRESH),
        EXTRAPOLATED,
    ),
    Statistical(
        "A",
        "share of finite exponents, ReLU with biases, g = 1",
        ENGELKEN,
        living,
        of_spectrum(finite_share, 300, 105, **NO_INPUT, **AT_REST),
        EXTRAPOLATED,
    ),
)
