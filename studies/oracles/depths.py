"""Oracle F: the depths over which wide deep tanh nets forget the norm and the angle of inputs.

Two sequences in the same net start slightly to either side of the fixed point. The difference of
their variances, or of their covariances with a third sequence, shrinks by e^(-1/xi) a layer on
average; where a finite net has its own fixed point is the same for both, and cancels.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, sqrt
from typing import Any

import numpy as np

from ...engine import Array
from ..theory import DepthScales, depth_scales, mean_field
from .check import EXTRAPOLATED, Check, Statistical
from .deep import BIAS, CHAOTIC, ORDERED, SCHOENHOLZ, nets, of_layers
from .draws import Draws

WIDTH, NETWORKS, GROUPS = 64, 100, 20
"""Groups of sequences start in planes orthogonal to each other, which makes them as good as nets of
their own for the few layers, and cheaper to draw."""

NEAR = 1e-3
"""Distance of the starts from the fixed point, over its value. What is not linear in it is of its
square."""

NORM_DEPTH, ANGLE_DEPTH = 2, 4
"""Layers. Later the random part of a difference, which shrinks as the gradient does, hides the
mean."""


def scales(weight_scale: float) -> dict[str, Any]:
    """Fields of the nets, by their name in the theory."""
    return {"weight_scale": weight_scale, "bias_scale": BIAS}


def theory(weight_scale: float) -> DepthScales:
    """The depths of infinitely wide nets."""
    return depth_scales("tanh", **scales(weight_scale))


def overlap(weight_scale: float, correlation: float) -> float:
    """<h h'> of states whose pre-activations have the stationary variance and this correlation."""
    q = mean_field("tanh", **scales(weight_scale)).q
    return (q * correlation - BIAS**2) / weight_scale**2


def states(draws: Draws, weight_scale: float, shape: tuple[int, int, int], starts: Array) -> Array:
    """States after the last layer, of groups of sequences that each start in a plane of two units.

    Parameters
    ----------
    draws : Draws
    weight_scale : float
    shape : tuple of int
        Width, networks, layers.
    starts : ndarray, shape (member, 2)
        Of a group, over sqrt n: what weights and biases make of it is Gaussian, wherever it is.

    Returns
    -------
    ndarray, shape (member, network, group, unit)
    """
    n, networks, layers = shape
    spec = nets(n, batch_size=GROUPS * len(starts), **scales(weight_scale))
    ensemble = draws.sample(spec, networks, layers, inputs="zero", burn_in=0)
    begin = np.zeros((len(starts), GROUPS, n))
    for group in range(GROUPS):
        begin[:, group, 2 * group : 2 * group + 2] = sqrt(n) * starts
    ensemble["initial_state"][:] = begin.reshape(-1, n)
    data = draws.measure_given(ensemble, products=(), keep=("states",))
    last: Array = data.state.isel(step=-1).transpose("sequence", "network", "unit").values
    return last.reshape(len(starts), GROUPS, -1, n).swapaxes(1, 2)


def norm_left(weight_scale: float) -> Callable[[Draws, int, int], Array]:
    """Share of a difference of variances that `NORM_DEPTH` layers leave."""

    def values(draws: Draws, n: int, networks: int) -> Array:
        square = overlap(weight_scale, 1.0) * np.array([1.0 + NEAR, 1.0 - NEAR])
        starts = np.stack([np.sqrt(square), np.zeros(2)], axis=1)
        first, second = states(draws, weight_scale, (n, networks, NORM_DEPTH), starts)
        left: Array = (first**2 - second**2).mean(axis=(1, 2)) / (square[0] - square[1])
        return left

    return values


def angle_left(draws: Draws, n: int, networks: int) -> Array:
    """Share of a difference of covariances that `ANGLE_DEPTH` layers leave, chaotic nets."""
    fixed = theory(CHAOTIC).fixed_correlation
    square = overlap(CHAOTIC, 1.0)
    shared = [overlap(CHAOTIC, fixed * (1.0 + side)) for side in (NEAR, -NEAR)]
    cosines = np.array([square, *shared]) / square
    starts = sqrt(square) * np.stack([cosines, np.sqrt(1.0 - cosines**2)], axis=1)
    third, first, second = states(draws, CHAOTIC, (n, networks, ANGLE_DEPTH), starts)
    left: Array = (third * (first - second)).mean(axis=(1, 2)) / (shared[0] - shared[1])
    return left


def norm_check(phase: str, weight_scale: float) -> Statistical:
    """How the variance of pre-activations relaxes."""
    return Statistical(
        "F",
        f"share of a small change of variance left after {NORM_DEPTH} layers, {phase}",
        SCHOENHOLZ,
        lambda: exp(-NORM_DEPTH / theory(weight_scale).xi_q),
        of_layers(norm_left(weight_scale), WIDTH, NETWORKS),
        EXTRAPOLATED,
    )


CHECKS: tuple[Check, ...] = (
    norm_check("ordered", ORDERED),
    norm_check("chaotic", CHAOTIC),
    Statistical(
        "F",
        f"share of a small change of correlation left after {ANGLE_DEPTH} layers, chaotic",
        SCHOENHOLZ,
        lambda: exp(-ANGLE_DEPTH / theory(CHAOTIC).xi_c),
        of_layers(angle_left, WIDTH, NETWORKS),
        EXTRAPOLATED,
    ),
)
