"""Where the derivative of an activation is 0 or steepest; in between, |phi'| is monotone."""

from __future__ import annotations

from math import ceil, pi, sqrt, tanh
from typing import NamedTuple

from .activations import activation_named
from .scalars import find_root


class Branch(NamedTuple):
    """An interval from `anchor`, `length` long to the `side` -1 or 1, where |phi'| is monotone."""

    anchor: float
    side: int
    length: float


def steepest_points(activation: str) -> tuple[float, ...]:
    """Return where phi' has its maximum, if that is at neither 0 nor infinity.

    A root of phi'': for gelu, phi'' = (2 - u^2) exp(-u^2/2) / sqrt(2 pi) gives u = sqrt 2; for
    silu, phi'' = s (1 - s) (2 - u tanh(u/2)) with s the sigmoid gives u tanh(u/2) = 2.
    """
    if activation == "gelu":
        return (sqrt(2.0),)
    if activation == "silu":
        return (find_root(lambda u: u * tanh(0.5 * u) - 2.0, 2.0, 3.0),)
    return ()


def zeros_of_derivative(activation: str, reach: float) -> tuple[float, ...]:
    """Return the isolated points within [-reach, reach] at which phi' changes sign."""
    if activation == "sin":
        count = ceil(reach / pi)
        return tuple((k + 0.5) * pi for k in range(-count, count))
    derivative = activation_named(activation).derivative
    return tuple(
        find_root(lambda u: float(derivative(u)), -peak, 0.0)  # type: ignore[arg-type]
        for peak in steepest_points(activation)
    )


def monotone_branches(activation: str, reach: float) -> list[Branch]:
    """Return the intervals that make up [-reach, reach] and on which |phi'| is monotone.

    Of straight pieces there are none. Where phi' has a zero, that is the anchor. The maximum and
    the minimum of a one-sided phi' mirror each other, as phi'(u) + phi'(-u) = 1.
    """
    unit = activation_named(activation)
    if not unit.curved and unit.wavelength == float("inf"):
        return []
    zeros = zeros_of_derivative(activation, reach)
    if activation == "sin":
        return [Branch(zero, side, 0.5 * pi) for zero in zeros for side in (-1, 1)]
    peak = max(steepest_points(activation), default=0.0)
    tails = [Branch(side * peak, side, reach - peak) for side in (-1, 1) if reach > peak]
    return tails + [Branch(z, side, peak - side * z) for z in zeros for side in (-1, 1)]
