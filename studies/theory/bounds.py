"""The textbook's bounds on derivative and rate."""

from __future__ import annotations

from math import inf

import numpy as np

from .activations import activation_named
from .scalars import logarithm
from .turns import steepest_points


def derivative_bound(activation: str, slope: float = 1.0) -> float:
    """Return gamma = a sup|phi'|, the bound on the derivative of phi(a net) at any state.

    Parameters
    ----------
    activation : str
        Name of phi.
    slope : float
        a.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For an unknown activation.

    Notes
    -----
    Where phi' is not monotone on either side of 0 its maximum is a root of phi'' (see
    `steepest_points`). Softplus approaches its bound as u -> inf.
    """
    unit = activation_named(activation)
    return slope * float(np.max(np.abs(unit.derivative(np.array(_candidates(activation))))))


def certified_rate(activation: str, *, slope: float = 1.0, weight_scale: float = 1.0) -> float:
    """Return the rate that no gradient exceeds, by the textbook argument, for Gaussian weights.

    ||D W|| <= gamma ||W|| at every state (Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio
    2013), and ||W|| -> 2 weight_scale as n -> infinity (Geman 1980): the bound is
    ln(2 gamma weight_scale). Below 0 it certifies vanishing; it is far from sharp.

    Parameters
    ----------
    activation, slope
        As for `derivative_bound`.
    weight_scale : float
        Scale of the recurrent weights.

    Returns
    -------
    float
        Nats per step.

    Raises
    ------
    ValueError
        For an unknown activation.
    """
    return logarithm(2.0 * derivative_bound(activation, slope) * weight_scale)


def _candidates(activation: str) -> tuple[float, ...]:
    """Return points among which |phi'| attains its supremum."""
    if activation == "sin":
        return (0.0,)
    return steepest_points(activation) or (0.0, 0.5, inf)
