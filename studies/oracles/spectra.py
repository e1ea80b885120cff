"""Oracle A: whole Lyapunov spectra of wide networks, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

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
    quantity: Callable[[xr.Dataset], Array], networks: int, steps: int, **fields: Any
) -> Callable[[Draws], Estimate]:
    """A quantity of the spectrum, extrapolated from a width and twice that."""

    def measure(draws: Draws) -> Estimate:
        def values(n: int, count: int) -> Array:
            spec = NetworkSpec(hidden_size=n, weight_scale=SCALE, **fields)
            data = draws.measure(spec, count, steps, burn_in=SETTLED, products=("lyapunov",))
            return quantity(data)

        return extrapolated(values, WIDTH * draws.size.width, networks)

    return measure


def mean_exponent(data: xr.Dataset) -> Array:
    """Sum of all exponents over N."""
    found: Array = data.lyapunov_exponent.values.mean(axis=1)
    return found


def middle_exponent(data: xr.Dataset) -> Array:
    """Mean of the two exponents in the middle, which is at t = 1/2."""
    n = data.sizes["index"]
    found: Array = data.lyapunov_exponent.values[:, n // 2 - 1 : n // 2 + 1].mean(axis=1)
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
        of_spectrum(middle_exponent, 60, 200, tied=False, weights=weights),
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
        of_spectrum(middle_exponent, 100, 300),
        EXTRAPOLATED,
    ),
    Statistical(
        "A",
        "share of unstable directions, driven tanh, g = 3",
        ENGELKEN,
        lambda: theory().unstable_fraction,
        of_spectrum(per_unit("unstable_count"), 100, 300),
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
