"""Theory of gradients through untied residual networks, at large width.

Networks follow `NetworkSpec`: net = W h + b, h' = skip h + branch phi(a net), W_ij ~ N(0,
weight_scale^2 / n), layer after layer with fresh weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .activations import Activation, Array, Function, activation_named
from .expectations import gaussian_expectation
from .ranges import check_not_negative, check_positive


class ResidualPath(NamedTuple):
    """What happens along an untied residual net, layer 1 (next to the input) to `depth`.

    Attributes
    ----------
    q : ndarray, shape (depth,)
        Variance of the pre-activations of each layer.
    chi : ndarray, shape (depth,)
        Growth of the squared norm of an incoherent dL/dh on its way down through each layer.
    coherent : ndarray, shape (depth,)
        The same for the part of dL/dh along (1, ..., 1) and h, if it is random at the loss.
    log_gradient : ndarray, shape (depth,)
        ln of |dL/dnet| of the layer `lag` below the last over that of the last, incoherent.
    """

    q: Array
    chi: Array
    coherent: Array
    log_gradient: Array


def residual_path(
    activation: str,
    depth: int,
    *,
    slope: float = 1.0,
    weight_scale: float = 1.0,
    bias_scale: float = 0.0,
    skip: float = 1.0,
    branch: float = 1.0,
    initial_variance: float = 1.0,
) -> ResidualPath:
    """Return how variance and gradient pass the layers of h' = skip h + branch phi(a net), untied.

    With m and p the mean and mean square of h over units, net = W h + b has variance
    q = weight_scale^2 p + bias_scale^2, and as n -> infinity

        p' = skip^2 p + 2 skip branch m E phi(net) + branch^2 E phi(net)^2,
        chi = skip^2 + branch^2 weight_scale^2 E phi'(net)^2

    (the reduced residual net of Yang & Schoenholz 2017, for odd phi). Another residual net is
    u' = u + W phi(u). Tied, u = W h makes it the same network; untied it is another, which no
    `NetworkSpec` realises. For odd phi its q and chi obey the same recursion.

    For other phi they differ. Here the entries of h have a mean, so that by Stein's lemma
    E J = skip + branch weight_scale^2 E phi''(net) 1 h^T / n, and the coherent part a + b h_i of
    the gradient's entries, 2/n of its square at the loss, grows on its own: after some ln n layers
    it takes over where `coherent` exceeds `chi`. For ReLU without bias h . dL/dh is the same at
    every layer (Euler), and `coherent` is p'/p: more than 1 + weight_scale^2 / 2, the growth of
    either net's incoherent gradient and of all of the gradient in u + W phi(u).

    Parameters
    ----------
    activation : str
        Name of phi.
    depth : int
        Layers, >= 1.
    slope, weight_scale, bias_scale
        As for `mean_field`.
    skip, branch : float
        As in `NetworkSpec`.
    initial_variance : float
        Of the entries of the first state, of mean 0; 1 is the engine's.

    Returns
    -------
    ResidualPath

    Raises
    ------
    ValueError
        For an unknown activation, depth < 1, a scale out of range, or a state that dies out or
        overflows.
    """
    if depth < 1:
        raise ValueError(f"depth={depth} must be >= 1")
    check_positive(slope=slope, weight_scale=weight_scale, initial_variance=initial_variance)
    check_not_negative(bias_scale=bias_scale)
    unit, mean, square = activation_named(activation), 0.0, initial_variance
    layers = []
    for _ in range(depth):
        layer = _ResidualLayer.at(
            unit, slope, (weight_scale**2, bias_scale**2), (skip, branch), (mean, square)
        )
        layers.append(layer)
        mean, square = layer.out_moments
    chi = np.array([layer.chi for layer in layers])
    log_chi = np.log(chi)
    received = np.log([layer.steepness for layer in layers])  # dL/dnet = phi'(net) dL/dh
    passed = np.concatenate([[0.0], np.cumsum(log_chi[:0:-1])])
    return ResidualPath(
        q=np.array([layer.q for layer in layers]),
        chi=chi,
        coherent=_coherent_growth(layers),
        log_gradient=0.5 * (passed + (received - received[-1])[::-1]),
    )


class _ResidualLayer(NamedTuple):
    """Moments of one layer, E over net ~ N(0, q); derivatives are with respect to net."""

    skip: float
    branch: float
    weight_variance: float
    q: float
    mean: float
    square: float
    value: float  # E phi
    value_square: float  # E phi^2
    steepness: float  # E phi'^2
    curvature: float  # E phi''
    drift: float  # E phi phi'' + E phi'^2

    @classmethod
    def at(
        cls,
        unit: Activation,
        slope: float,
        variances: tuple[float, float],
        mix: tuple[float, float],
        moments: tuple[float, float],
    ) -> _ResidualLayer:
        q = variances[0] * moments[1] + variances[1]
        if not 1e-280 < q < 1e280:
            raise ValueError(f"pre-activations of variance {q:g}: the state dies out or overflows")

        def expect(function: Function) -> float:
            return gaussian_expectation(function, unit, slope**2 * q)

        return cls(
            *mix,
            variances[0],
            q,
            *moments,
            value=expect(unit.value),
            value_square=expect(lambda u: unit.value(u) ** 2),
            steepness=slope**2 * expect(lambda u: unit.derivative(u) ** 2),
            # Stein's lemma, as phi'' is not a function for kinked activations
            curvature=expect(lambda u: unit.derivative(u) * u) / q,
            drift=expect(lambda u: unit.value(u) * unit.derivative(u) * u) / q,
        )

    @property
    def chi(self) -> float:
        return self.skip**2 + self.branch**2 * self.weight_variance * self.steepness

    @property
    def out_moments(self) -> tuple[float, float]:
        """Mean and mean square of the state that leaves the layer."""
        skipped, added = self.skip * self.mean, self.branch * self.value
        square = self.skip**2 * self.square + self.branch**2 * self.value_square
        return skipped + added, square + 2.0 * skipped * added

    @property
    def coherent_map(self) -> Array:
        """Matrix from (a, b) of dL/dh'_i = a + b h'_i + noise to that of dL/dh_i."""
        skip, branch = self.skip, self.branch
        pull = branch * self.weight_variance
        bend = self.curvature * skip * self.mean + branch * self.drift
        return np.array(
            [[skip, skip * branch * self.value], [pull * self.curvature, skip**2 + pull * bend]]
        )


def _coherent_growth(layers: Sequence[_ResidualLayer]) -> Array:
    """Growth, layer by layer, of the mean square of a + b h_i that is random at the loss."""

    def gram(mean: float, square: float) -> Array:
        return np.array([[1.0, mean], [mean, square]])

    second = np.linalg.inv(gram(*layers[-1].out_moments))  # moments of (a, b), as regression finds
    growth = np.empty(len(layers))
    power = 2.0
    for k in range(len(layers) - 1, -1, -1):
        layer = layers[k]
        second = layer.coherent_map @ second @ layer.coherent_map.T
        after = float(np.sum(gram(layer.mean, layer.square) * second))
        growth[k] = after / power
        second, power = second / after, 1.0
    return growth
