"""Mean-field theory of wide plain networks: stationary variance, growth of gradients, rate.

Networks follow net_t = W h_{t-1} + U x_t + b, h_t = phi(a net_t), with W_ij ~ N(0, weight_scale^2
/ n). Rates are of a norm (not of its square), in nats per step; negative means vanishing.
"""

from __future__ import annotations

from math import inf, isclose, isfinite, nan
from typing import NamedTuple

from .layer import Layer
from .ranges import check_not_negative
from .scalars import first_root, logarithm


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
    layer = Layer.of(activation, slope, weight_scale, bias_scale, input_variance)
    q = stationary_variance(layer, initial_variance)
    chi_1 = layer.growth(q)
    return MeanField(q, chi_1, 0.5 * logarithm(chi_1))


def stationary_variance(layer: Layer, start: float | None) -> float:
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
        return first_root(excess, max(start, floor), 2.0, 1e12 * scale)
    return first_root(excess, start, 0.5, floor)


def _homogeneous_variance(layer: Layer, start: float | None) -> float:
    factor = layer.growth(1.0)
    if layer.drive == 0.0 and (start == 0.0 or isclose(factor, 1.0, rel_tol=1e-12)):
        return nan if start is None else start
    return layer.drive / (1.0 - factor) if factor < 1.0 else inf
