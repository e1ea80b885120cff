"""Theory of gradients through normalised networks, at large width.

Networks follow `NetworkSpec`: net = gamma N(W h + U x) + b with the normalisation N (training mode,
differentiated through; its epsilon is neglected), h' = phi(a net), W_ij ~ N(0, weight_scale^2 / n).
Rates are of a norm, in nats per step; negative means vanishing.
"""

from __future__ import annotations

from math import log, sqrt

import numpy as np

from .activations import Activation, Array, activation_named
from .batch_sphere import BatchSphere, CosinePower, graded
from .expectations import gaussian_expectation, gaussian_pair_expectation
from .plain import MeanField
from .ranges import check_not_negative, check_positive

NORMALIZATIONS = ("batch", "batch-separate", "layer")


def normalized_mean_field(
    activation: str,
    *,
    normalization: str = "batch",
    slope: float = 1.0,
    weight_scale: float = 1.0,
    bias_scale: float = 0.0,
    input_variance: float = 0.0,
    norm_scale: float = 1.0,
) -> MeanField:
    """Return pre-activation variance, gradient growth and rate of a wide normalised network.

    A unit's pre-activation is net = gamma z + b over the batch, z ~ N(0, 1), and the norm divides
    by the standard deviation of W h + U x, so that (Yang et al. 2019, for deep nets with batch
    normalisation, gamma = 1, b = 0: chi = E phi'^2 / Var phi >= 1)

        chi = gamma^2 weight_scale^2 E phi'(net)^2 / (weight_scale^2 V + input_variance).

    V is what of E phi^2 the norm sees. ``batch`` takes the mean over the batch away: V is the
    variance of phi over the batch at given b, averaged over b. ``layer`` takes the mean over units
    away, which is 0 as the weights are centred: V = E phi^2. ``batch-separate`` normalises W h by
    itself: net has variance 2 gamma^2 + bias_scale^2 if there is input, which cannot dilute
    the gradient, and the input variance drops out of the denominator (Cooijmans et al. 2017, with
    the same gamma for both terms).

    Exact for 1 << batch size << n (``layer``: n -> infinity), weights tied or not, given that
    inputs are independent over sequences and steps; `finite_batch_mean_field` is for small batches.

    Parameters
    ----------
    activation : str
        Name of phi.
    normalization : {"batch", "batch-separate", "layer"}
    slope : float
        a in phi(a net), > 0.
    weight_scale : float
        > 0. It matters only beside an input in the same norm.
    bias_scale : float
        sd of b, which is added after the norm.
    input_variance : float
        Variance of U x_t over sequences and steps: input_scale^2 for inputs N(0, 1).
    norm_scale : float
        gamma > 0.

    Returns
    -------
    MeanField
        With q the variance of net, bias included.

    Raises
    ------
    ValueError
        For an unknown activation or normalisation, or a scale out of range.
    """
    if normalization not in NORMALIZATIONS:
        allowed = ", ".join(NORMALIZATIONS)
        raise ValueError(f"normalization={normalization!r} is not one of: {allowed}")
    check_positive(slope=slope, weight_scale=weight_scale, norm_scale=norm_scale)
    check_not_negative(bias_scale=bias_scale, input_variance=input_variance)
    unit = activation_named(activation)
    separate = normalization == "batch-separate"
    terms = 2.0 if separate and input_variance > 0.0 else 1.0
    q = terms * norm_scale**2 + bias_scale**2
    u_variance = slope**2 * q
    seen = gaussian_expectation(lambda u: unit.value(u) ** 2, unit, u_variance)
    if normalization != "layer":
        seen -= gaussian_pair_expectation(unit.value, unit, u_variance, bias_scale**2 / q)
    steepness = slope**2 * gaussian_expectation(lambda u: unit.derivative(u) ** 2, unit, u_variance)
    normed = weight_scale**2 * seen + (0.0 if separate else input_variance)
    chi = (norm_scale * weight_scale) ** 2 * steepness / normed
    return MeanField(q, chi, 0.5 * log(chi))


def finite_batch_mean_field(
    activation: str,
    batch_size: int,
    *,
    normalization: str = "batch",
    slope: float = 1.0,
    weight_scale: float = 1.0,
    input_variance: float = 0.0,
    norm_scale: float = 1.0,
) -> MeanField:
    """Return the same as `normalized_mean_field` for a batch of B sequences, without bias.

    As n -> infinity the pre-activations of a unit over the batch are Gaussian with covariance
    A (I - 11^T/B) up to a common part, the symmetric fixed point of Yang et al. 2019: normalised,
    y is uniform on the sphere |y|^2 = B, sum y = 0, and its radius before, of which 1/chi^2_{B-1}
    enters the gradient, is independent of it. With f(y) = phi(a gamma y), the projection onto
    both constraints and W^T g independent of y,

        chi = s^2 [(B-1) E f_1'^2 - E y_1^2 f_1'^2 + E f_1' f_2' + E y_1 f_1' y_2 f_2'] / (B-3) A,
        A = s^2 (E f_1^2 - E f_1 f_2) + input_variance,    s = weight_scale,

    for two members 1 and 2 of the batch: (B-2)/(B-3) for the identity (Yang et al. 2019), and that
    of `normalized_mean_field` as B -> infinity. Growth of the mean square; single networks scatter
    about it by O(1/sqrt n), the more the smaller B.

    Of two terms normalised apart, f is taken at their sum y + x, x another point of the sphere.
    The sum has a direction uniform on the sphere and, independently, |y + x|^2 = 2 B (1 + t), with
    t like y_1 / sqrt(B-1); given the sum, y is half of it and a uniform rest at right angles.

    Parameters
    ----------
    activation : str
        Name of phi.
    batch_size : int
        B >= 4: at 3 the mean square growth is infinite.
    normalization : {"batch", "batch-separate"}
    slope, weight_scale, input_variance, norm_scale
        As for `normalized_mean_field`.

    Returns
    -------
    MeanField

    Raises
    ------
    ValueError
        For an unknown activation or normalisation, a batch size below 4, or a scale out of range.
    """
    if normalization not in NORMALIZATIONS[:2]:
        allowed = ", ".join(NORMALIZATIONS[:2])
        raise ValueError(f"normalization={normalization!r} is not one of: {allowed}")
    if batch_size < 4:
        raise ValueError(f"batch_size={batch_size} must be >= 4")
    check_positive(slope=slope, weight_scale=weight_scale, norm_scale=norm_scale)
    check_not_negative(input_variance=input_variance)
    unit, gain = activation_named(activation), slope * norm_scale
    if normalization == "batch-separate" and input_variance > 0.0:
        q, added, moments = 2.0 * norm_scale**2, 0.0, _sum_moments(unit, gain, batch_size)
    else:
        q, added = norm_scale**2, input_variance
        moments = _batch_moments(unit, gain, batch_size)
    spread, square, y_square, pair, y_pair = moments
    passed = gain**2 * ((batch_size - 1) * square - y_square + pair + y_pair)
    chi = weight_scale**2 * passed / ((batch_size - 3) * (weight_scale**2 * spread + added))
    return MeanField(q, chi, 0.5 * log(chi))


def _batch_moments(unit: Activation, gain: float, size: int) -> Array:
    """E phi_1^2 - E phi_1 phi_2, E phi_1'^2, E y_1^2 phi_1'^2, E phi_1' phi_2', E y_1 y_2 ...

    phi_b and phi_b' are taken at gain y_b.
    """

    def value(y: Array) -> Array:
        return unit.value(gain * y)

    def derivative(y: Array) -> Array:
        return unit.derivative(gain * y)

    def weighted(y: Array) -> Array:
        return y * derivative(y)

    sphere = BatchSphere(size, unit, gain)
    value_square, square, y_square = (sphere.expectation(f) for f in (value, derivative, weighted))
    value_pair, pair, y_pair = sphere.pair_expectations((value, derivative, weighted))
    return np.array([value_square - value_pair, square, y_square, pair, y_pair])


def _sum_moments(unit: Activation, gain: float, size: int) -> Array:
    """Return those of `_batch_moments` with phi taken at gain (y_b + x_b)."""
    kinks = np.array([kink for kink in unit.kinks if kink != 0.0])
    turns = np.arcsin(np.clip(0.5 * kinks**2 / (gain**2 * (size - 1)) - 1.0, -1.0, 1.0))
    # from where on a coordinate of the sum can pass a kink
    cosines = CosinePower(size - 3, panels=3)
    total = np.zeros(5)
    for t, weight in zip(*cosines.rule(graded(turns)), strict=True):
        spread, square, y_square, pair, y_pair = _batch_moments(
            unit, gain * sqrt(2.0 * (1.0 + t)), size
        )
        # E y_b y_c given the sum: along it, and (I - 11^T/B) less that, for the rest
        rest = (1.0 - t) / (2.0 * (size - 2))
        along = 0.5 * (1.0 + t) - rest
        given = (along * y_square + rest * (size - 1) * square, along * y_pair - rest * pair)
        total += weight * np.array([spread, square, given[0], pair, given[1]])
    return total
