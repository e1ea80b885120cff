"""Exact and mean-field theory of gradient propagation, beside which the measurements are set.

Networks follow net_t = W h_{t-1} + U x_t + b, h_t = phi(a net_t), with W_ij ~ N(0, weight_scale^2
/ n). Rates are of a norm (not of its square), in nats per step; negative means vanishing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isclose, isfinite, isnan, log, nan, sqrt, tanh
from typing import NamedTuple

import numpy as np

from .expectations import (
    Activation,
    Array,
    activation_named,
    gaussian_expectation,
    gaussian_pair_expectation,
)
from .ranges import check_not_negative, check_positive


class MeanField(NamedTuple):
    """Stationary state of an infinitely wide network.

    Attributes
    ----------
    q : float
        Variance of a pre-activation; inf where it diverges, nan where every value is stationary
        (a homogeneous activation at its critical weight scale, without bias or input).
    chi_1 : float
        Growth per step of the squared norm of a gradient.
    rate : float
        1/2 ln chi_1: growth of the norm, nats per step; the leading Lyapunov exponent.
    """

    q: float
    chi_1: float
    rate: float


class DepthScales(NamedTuple):
    """Numbers of steps over which a wide untied network forgets by a factor e.

    Attributes
    ----------
    xi_grad : float
        The squared gradient's: 1/|ln chi_1|, whether it shrinks or grows.
    xi_q : float
        The distance of the pre-activation variance from its fixed point.
    xi_c : float
        The distance of the correlation of two inputs from its fixed point.
    fixed_correlation : float
        That fixed point, c*: 1 where nearby inputs converge.
    """

    xi_grad: float
    xi_q: float
    xi_c: float
    fixed_correlation: float


@dataclass(frozen=True)
class _Layer:
    """One step of the mean-field recursion: how variance, correlation and gradient pass it."""

    activation: Activation
    slope: float
    weight_variance: float
    drive: float  # variance that bias and input add

    @classmethod
    def of(
        cls,
        activation: str,
        slope: float,
        weight_scale: float,
        bias_scale: float,
        input_variance: float,
    ) -> _Layer:
        check_positive(slope=slope)
        check_not_negative(
            weight_scale=weight_scale, bias_scale=bias_scale, input_variance=input_variance
        )
        drive = bias_scale**2 + input_variance
        return cls(activation_named(activation), slope, weight_scale**2, drive)

    def expectation(self, function: Callable[[Array], Array], q: float) -> float:
        return gaussian_expectation(function, self.activation, self.slope**2 * q)

    def variance(self, q: float) -> float:
        """Return the pre-activation variance one step on."""
        return (
            self.weight_variance * self.expectation(lambda u: self.activation.value(u) ** 2, q)
            + self.drive
        )

    def growth(self, q: float) -> float:
        """Return the growth of the squared gradient, chi_1; at q = inf, that of straight tails."""
        at = min(q, 1e30 / self.slope**2)
        steepness = self.expectation(lambda u: self.activation.derivative(u) ** 2, at)
        return self.weight_variance * self.slope**2 * steepness

    def variance_multiplier(self, q: float) -> float:
        """Return d variance / dq: chi_1 + weight_variance a^2 E phi phi'', by Stein's lemma.

        E[phi phi' u] / q needs no phi'', which is not a function for kinked activations.
        """
        unit = self.activation
        product = self.expectation(lambda u: unit.value(u) * unit.derivative(u) * u, q)
        return self.weight_variance * product / q

    def correlation(self, q: float, c: float) -> tuple[float, float]:
        """Return the correlation one step on of two states of variance q, and its derivative."""
        unit, variance = self.activation, self.slope**2 * q
        overlap = gaussian_pair_expectation(unit.value, unit, variance, c)
        slopes = gaussian_pair_expectation(unit.derivative, unit, variance, c)
        chi = self.weight_variance * self.slope**2 * slopes
        return (self.weight_variance * overlap + self.drive) / q, chi


def mean_field(
    activation: str,
    *,
    slope: float = 1.0,
    weight_scale: float = 1.0,
    bias_scale: float = 0.0,
    input_variance: float = 0.0,
    skip: float = 0.0,
    branch: float = 1.0,
    initial_variance: float | None = None,
) -> MeanField:
    """Return the stationary variance, gradient growth and rate of a wide plain network.

    The variance solves q = weight_scale^2 E phi(a sqrt(q) z)^2 + bias_scale^2 + input_variance,
    z ~ N(0, 1); then chi_1 = weight_scale^2 E[(d phi(a net) / d net)^2] and rate = 1/2 ln chi_1.
    Exact as n -> infinity, tied or not (Poole et al. 2016, Schoenholz et al. 2017 for deep nets;
    Molgedey, Schuchhardt & Schuster 1992 and Engelken, Wolf & Abbott 2023 for recurrent ones).

    Parameters
    ----------
    activation : str
        Name of phi.
    slope : float
        a in phi(a net), > 0.
    weight_scale, bias_scale : float
        Standard deviations as in `NetworkSpec`.
    input_variance : float
        Variance of U x_t: input_scale^2 for inputs N(0, 1).
    skip, branch : float
        As in `NetworkSpec`; only the plain net (0, 1) has this theory.
    initial_variance : float, optional
        Pre-activation variance that the iteration starts from. It matters only where there are
        several stationary states (gelu and silu without input have 0 and inf for weight scales
        between sqrt 2 and 2). By default the state reached from large variances.

    Returns
    -------
    MeanField

    Raises
    ------
    ValueError
        For an unknown activation, a skip connection, or a scale out of range.
    """
    if (skip, branch) != (0.0, 1.0):
        raise ValueError(
            "mean-field theory here covers plain networks only, skip=0 and branch=1; "
            f"got skip={skip}, branch={branch}"
        )
    layer = _Layer.of(activation, slope, weight_scale, bias_scale, input_variance)
    q = _stationary_variance(layer, initial_variance)
    chi_1 = layer.growth(1.0 if isnan(q) else q)
    return MeanField(q, chi_1, 0.5 * _log(chi_1))


def depth_scales(
    activation: str,
    *,
    slope: float = 1.0,
    weight_scale: float = 1.0,
    bias_scale: float = 0.0,
    input_variance: float = 0.0,
) -> DepthScales:
    """Return the depths over which a wide untied network forgets gradient, norm and angle.

    xi_grad = 1/|ln chi_1|, xi_q = -1/ln(chi_1 + weight_scale^2 a^2 E phi'' phi), xi_c = -1/ln
    chi_{c*} with chi_c = weight_scale^2 a^2 E phi'(u) phi'(v) for u, v of correlation c, and c* the
    stable fixed point of the correlation map (Poole et al. 2016; Schoenholz et al. 2017).

    Parameters
    ----------
    activation, slope, weight_scale, bias_scale
        As for `mean_field`.
    input_variance : float
        Variance of an input at every step, the same for the two copies that are compared.

    Returns
    -------
    DepthScales
        In steps. Where the variance diverges, xi_q is inf, xi_c and fixed_correlation are nan;
        where it vanishes they are the limits of a weak bias.

    Raises
    ------
    ValueError
        As `mean_field`.
    """
    layer = _Layer.of(activation, slope, weight_scale, bias_scale, input_variance)
    q = _stationary_variance(layer, None)
    chi_1 = layer.growth(1.0 if isnan(q) else q)
    xi_grad = _depth(chi_1)
    if q == inf:
        return DepthScales(xi_grad, inf, nan, nan)
    if q == 0.0 or isnan(q):
        return DepthScales(xi_grad, xi_grad, xi_grad, 1.0)
    xi_q = _depth(layer.variance_multiplier(q))
    fixed_correlation, chi_c = _stationary_correlation(layer, q, chi_1)
    return DepthScales(xi_grad, xi_q, _depth(chi_c), fixed_correlation)


def critical_weight_scale(
    activation: str,
    *,
    slope: float = 1.0,
    bias_scale: float = 0.0,
    input_variance: float = 0.0,
) -> float:
    """Return the smallest weight scale at which gradients stop vanishing, chi_1 = 1.

    The edge of chaos of Poole et al. 2016 and Schoenholz et al. 2017; with input, the onset of
    chaos in driven networks (Molgedey, Schuchhardt & Schuster 1992).

    Parameters
    ----------
    activation, slope, bias_scale, input_variance
        As for `mean_field`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        As `mean_field`.
    """

    # Above an onset at q = 0, chi_1 exceeds 1 only in second order, which round-off hides; below
    # it chi_1 falls in first order. So look for a value just under 1.
    def excess(weight_scale: float) -> float:
        layer = _Layer.of(activation, slope, weight_scale, bias_scale, input_variance)
        q = _stationary_variance(layer, None)
        return layer.growth(1.0 if isnan(q) else q) - (1.0 - 1e-13)

    low = (1.0 - 1e-12) / derivative_bound(activation, slope)  # chi_1 < 1 for certain
    high = 1.2 * low
    while excess(high) < 0.0:
        low, high = high, 1.2 * high
    while True:
        root = _root(excess, low, high)
        # gelu and silu cross 1 up, down and up again within a percent: take the first.
        high = root * (1.0 - 1e-6)
        if excess(high) < 0.0:
            return root


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
    Where phi' is not monotone on either side of 0 its maximum is a root of phi'': for gelu, phi'' =
    (2 - u^2) exp(-u^2/2) / sqrt(2 pi) gives u = sqrt 2; for silu, phi'' = s (1 - s) (2 - u tanh
    (u/2)) with s the sigmoid gives u tanh(u/2) = 2. Softplus approaches its bound as u -> inf.
    """
    unit = activation_named(activation)
    return slope * float(np.max(np.abs(unit.derivative(np.array(_steepest(activation))))))


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
    return _log(2.0 * derivative_bound(activation, slope) * weight_scale)


def _stationary_variance(layer: _Layer, start: float | None) -> float:
    """Return the fixed point of the variance that iteration from `start` (default: above) reaches.

    The map increases, so iteration moves one way up to the first fixed point: search that way for
    a change of sign, and bisect.
    """
    if start is not None:
        check_not_negative(initial_variance=start)
    if layer.activation.homogeneous:
        return _homogeneous_variance(layer, start)
    unit_variance = 1.0 / layer.slope**2
    scale = unit_variance + layer.drive
    if start is None and isfinite(layer.activation.bound):
        start = layer.weight_variance * layer.activation.bound**2 + layer.drive  # bounds the map
    elif start is None:
        if layer.growth(inf) > 1.0 + 1e-12:
            return inf
        start = 1e6 * scale  # in the straight tails

    # A margin above round-off makes states that nothing moves decay, as in a hard_tanh net at
    # weight scale 1, rather than sprout fixed points.
    def excess(q: float) -> float:
        return layer.variance(q) - (1.0 + 1e-14) * q

    least = layer.variance(0.0)
    floor = 0.5 * least if least > 0.0 else 1e-12 * unit_variance
    if excess(start) > 0.0:
        return _first_root(excess, max(start, floor), 2.0, 1e12 * scale)
    return _first_root(excess, start, 0.5, floor)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function crosses zero, to a relative accuracy of 1e-14."""
    from scipy.optimize import brentq  # takes a third of a second, which not every run needs

    return float(brentq(function, low, high, xtol=1e-300, rtol=1e-14))


def _first_root(excess: Callable[[float], float], start: float, factor: float, end: float) -> float:
    """Return the first zero of `excess` from start by steps of `factor`; past the end, inf or 0."""
    rising = factor > 1.0
    near = start
    while near < end if rising else near > end:
        far = factor * near
        if (excess(far) > 0.0) != rising:
            return _root(excess, min(near, far), max(near, far))
        near = far
    return inf if rising else 0.0


def _homogeneous_variance(layer: _Layer, start: float | None) -> float:
    factor = layer.growth(1.0)
    if layer.drive == 0.0 and (start == 0.0 or isclose(factor, 1.0, rel_tol=1e-12)):
        return nan if start is None else start
    return layer.drive / (1.0 - factor) if factor < 1.0 else inf


def _stationary_correlation(layer: _Layer, q: float, chi_1: float) -> tuple[float, float]:
    """Return the stable fixed point c* of the correlation map, and chi_{c*}.

    The map is a power series in c with non-negative coefficients (Poole et al. 2016), so convex:
    below 1 it has a fixed point only if its slope at 1, chi_1, exceeds 1, and Newton's iteration
    from 0 approaches that from below.
    """
    if chi_1 <= 1.0 + 1e-9:
        return 1.0, chi_1
    c = 0.0
    for _ in range(100):
        image, slope = layer.correlation(q, c)
        step = (image - c) / (1.0 - slope)
        if step <= 1e-13 or c + step >= 1.0:
            break
        c += step
    return c, slope


def _steepest(activation: str) -> tuple[float, ...]:
    """Return points among which |phi'| attains its supremum."""
    if activation == "gelu":
        return (sqrt(2.0),)
    if activation == "silu":
        return (_root(lambda u: u * tanh(0.5 * u) - 2.0, 2.0, 3.0),)
    return (0.0, 0.5, inf) if activation != "sin" else (0.0,)


def _log(x: float) -> float:
    return log(x) if x > 0.0 else -inf


def _depth(multiplier: float) -> float:
    """Return the steps over which repeated multiplication changes a quantity by a factor e."""
    exponent = abs(_log(abs(multiplier)))
    return 1.0 / exponent if exponent > 0.0 else inf
