"""Oracles A and B: leading exponents of wide tied networks, with leak and with input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...engine import Array, NetworkSpec
from ..theory import leaky_rate, mean_field
from .check import EXTRAPOLATED, Check, Statistical
from .draws import Draws
from .estimates import Estimate, extrapolated

ENGELKEN = "Molgedey et al. 1992; Engelken et al. 2023"
SOMPOLINSKY = "Sompolinsky et al. 1988"

AUTONOMOUS = {"weight_scale": 3.0}
DRIVEN = {"weight_scale": 2.0}
LEAKY_SCALE = 5.0
"""So far above the onset, fluctuations of the state are those of a wide network at some hundred
units already."""
SLOW = 0.25
"""Steps are units of time times 1/leak. A smaller leak takes more steps than there is time for:
already here the rate per unit of time is within 8 % of its limit for leak 0."""


def rate_of(
    width: int, networks: int, steps: int, inputs: str, **fields: Any
) -> Callable[[Draws], Estimate]:
    """The gradient's rate, extrapolated from a width and twice that; a tenth of the lags settle.

    Parameters
    ----------
    width, networks, steps : int
        Of the narrower networks.
    inputs : {"gaussian", "zero"}
    **fields
        Of `NetworkSpec`.
    """

    def measure(draws: Draws) -> Estimate:
        def rates(n: int, count: int) -> Array:
            spec = NetworkSpec(hidden_size=n, **fields)
            found: Array = draws.measure(spec, count, steps, inputs=inputs).rate.values
            return found

        return extrapolated(rates, width * draws.size.width, networks)

    return measure


def leaky(leak: float, width: int, networks: int) -> Statistical:
    """The rate per unit of time of networks with a leak, over a thousand units."""
    fields = {"weight_scale": LEAKY_SCALE, "skip": 1.0 - leak, "branch": leak}
    per_step = rate_of(width, networks, round(1000 / leak), "zero", **fields)

    def measure(draws: Draws) -> Estimate:
        found = per_step(draws)
        return found._replace(value=found.value / leak, standard_error=found.standard_error / leak)

    return Statistical(
        "B",
        f"leading exponent per unit of time, leaky tanh, leak {leak:g}, g = {LEAKY_SCALE:g}",
        SOMPOLINSKY,
        lambda: leaky_rate("tanh", leak, weight_scale=LEAKY_SCALE),
        measure,
        EXTRAPOLATED,
    )


CHECKS: tuple[Check, ...] = (
    Statistical(
        "A",
        "leading exponent, chaotic tanh, g = 3",
        ENGELKEN,
        lambda: mean_field("tanh", **AUTONOMOUS).rate,
        rate_of(256, 60, 1500, "zero", **AUTONOMOUS),
        EXTRAPOLATED,
    ),
    Statistical(
        "A",
        "leading exponent, tanh with inputs N(0, 1), g = 2",
        ENGELKEN,
        lambda: mean_field("tanh", input_variance=1.0, **DRIVEN).rate,
        rate_of(64, 200, 400, "gaussian", **DRIVEN),
        EXTRAPOLATED,
    ),
    Statistical(
        "A",
        "leading exponent, sigmoid with inputs N(0, 1), g = 2",
        ENGELKEN,
        lambda: mean_field("sigmoid", input_variance=1.0, **DRIVEN).rate,
        rate_of(64, 200, 400, "gaussian", activation="sigmoid", **DRIVEN),
        EXTRAPOLATED,
    ),
    leaky(0.5, 256, 40),
    leaky(SLOW, 128, 60),
)
