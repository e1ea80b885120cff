"""Oracle A: whole Lyapunov spectra of wide networks, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import xarray as xr

from ...engine import Array, NetworkSpec
from ..theory import LyapunovSpectrum, lyapunov_spectrum
from .check import EXTRAPOLATED, Check, Statistical
from .draws import Draws
from .estimates import Estimate, extrapolated

ENGELKEN = "Engelken et al. 2023"
FREE = "Haagerup & Larsen 2000"

SCALE = 3.0
"""Driven by N(0, 1): without input some networks of this size settle on a cycle."""

WIDTH = 64
SETTLED = 100
"""Steps that turn the frame: some e-foldings by the gaps between exponents."""


@cache
def theory(weights: str = "gaussian") -> LyapunovSpectrum:
    """The spectrum of infinitely wide networks."""
    return lyapunov_spectrum("tanh", weight_scale=SCALE, input_variance=1.0, weights=weights)


def of_spectrum(
    quantity: Callable[[xr.Dataset], Array],
    networks: int,
    steps: int,
    inputs: str = "gaussian",
    weight_scale: float = SCALE,
    **fields: Any,
) -> Callable[[Draws], Estimate]:
    """A quantity of the spectrum, extrapolated from a width and twice that."""
    options: dict[str, Any] = {"burn_in": SETTLED, "inputs": inputs, "products": ("lyapunov",)}

    def measure(draws: Draws) -> Estimate:
        def values(n: int, count: int) -> Array:
            spec = NetworkSpec(hidden_size=n, weight_scale=weight_scale, **fields)
            return quantity(draws.measure(spec, count, steps, **options))

        return extrapolated(values, WIDTH * draws.size.width, networks)

    return measure


def mean_exponent(data: xr.Dataset) -> Array:
    """Sum of all exponents over N."""
    found: Array = data.lyapunov_exponent.values.mean(axis=1)
    return found


def exponent_at(place: float) -> Callable[[xr.Dataset], Array]:
    """The mean of the two exponents that t = `place` lies between."""

    def values(data: xr.Dataset) -> Array:
        below = round(place * data.sizes["index"])
        found: Array = data.lyapunov_exponent.values[:, below - 1 : below + 1].mean(axis=1)
        return found

    return values


def unstable_share(data: xr.Dataset) -> Array:
    """The t at which the exponents pass 0, between two of them.

    Not their number over n, which is one of two or three values in all networks of this size: of
    such a mean the standard error is uncertain, and its expectation follows no power of 1/n.
    """
    exponents, n = data.lyapunov_exponent.values, data.sizes["index"]
    number = data.unstable_count.values.astype(np.intp)
    last, first = np.take_along_axis(exponents, number[:, None] + np.array([-1, 0]), axis=1).T
    found: Array = (number - 0.5 + last / (last - first)) / n
    return found


def per_unit(name: str) -> Callable[[xr.Dataset], Array]:
    """A variable over N."""
    return lambda data: data[name].values / data.sizes["index"]


def fresh(weights: str, statement: str, source: str) -> Statistical:
    """The middle exponent of networks whose weights are fresh at every step."""
    return Statistical(
        "A",
        statement,
        source,
        lambda: float(theory(weights).exponents(0.5)),
        of_spectrum(exponent_at(0.5), 60, 200, tied=False, weights=weights),
        EXTRAPOLATED,
    )


CHECKS: tuple[Check, ...] = (
    Statistical(
        "A",
        "mean Lyapunov exponent, driven tanh, g = 3",
        ENGELKEN,
        lambda: theory().mean,
        of_spectrum(mean_exponent, 100, 300),
        EXTRAPOLATED,
    ),
    Statistical(
        "A",
        "middle Lyapunov exponent, driven tanh, g = 3",
        ENGELKEN,
        lambda: float(theory().exponents(0.5)),
        of_spectrum(exponent_at(0.5), 100, 300),
        EXTRAPOLATED,
    ),
    Statistical(
        "A",
        "share of unstable directions, driven tanh, g = 3",
        ENGELKEN,
        lambda: theory().unstable_fraction,
        of_spectrum(unstable_share, 100, 300),
        EXTRAPOLATED,
    ),
    Statistical(
        "A",
        "Kaplan-Yorke dimension / N, driven tanh, g = 3",
        ENGELKEN,
        lambda: theory().kaplan_yorke_dimension,
        of_spectrum(per_unit("kaplan_yorke_dimension"), 100, 300),
        EXTRAPOLATED,
    ),
    Statistical(
        "A",
        "entropy rate / N, driven tanh, g = 3",
        ENGELKEN,
        lambda: theory().entropy_rate,
        of_spectrum(per_unit("entropy_rate"), 100, 300),
        EXTRAPOLATED,
    ),
    fresh("gaussian", "middle exponent, driven tanh, fresh Gaussian weights", FREE),
    fresh("orthogonal", "middle exponent, driven tanh, fresh orthogonal weights", FREE),
)
