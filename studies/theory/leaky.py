"""Lyapunov exponents of leaky networks, h' = (1 - leak) h + leak (W phi(a h) + b).

Time is counted in 1/leak steps, so that leak -> 0 is the network of Sompolinsky, Crisanti & Sommers
1988, dh/dt = -h + W phi(a h) + b. `NetworkSpec` with skip = 1 - leak and branch = leak has the same
exponents: its W h + b obeys the equation of h here.
"""

from __future__ import annotations

from math import atan, cos, inf, log, sin, sqrt

import numpy as np
from numpy.typing import ArrayLike

from .activations import Array
from .autocovariance import START, autocovariance, continuous_landscape
from .layer import Layer
from .plain import stationary_variance
from .scalars import find_root, logarithm

SLOWEST = 0.01
"""Smallest leak, but 0, whose chaos is forgotten within `ENDLESS` steps."""

ENDLESS = 20_000
"""Lags on which the perturbation's correlation lives: it fades over the scale of a few paths."""


def leaky_fixed_point_exponents(weights: ArrayLike, leak: float, derivative: float = 1.0) -> Array:
    """Return all exponents of a leaky network at the state 0: ln|1 - leak + leak d mu_i| / leak.

    mu_i are the eigenvalues of W. Exact for each network of any size at the fixed point 0, where it
    is stable: for tanh without bias below the onset, spectral radius 1.

    Parameters
    ----------
    weights : array_like, shape (..., n, n)
        W of one network or of several.
    leak : float
        In [0, 1]; 0 is the limit of continuous time, Re d mu_i - 1.
    derivative : float
        d = a phi'(0).

    Returns
    -------
    ndarray, shape (..., n)
        Descending, nats per unit of time (1/leak steps).

    Raises
    ------
    ValueError
        For a leak outside [0, 1].
    """
    _check_leak(leak)
    mu = derivative * np.linalg.eigvals(np.asarray(weights, dtype=np.float64))
    if leak == 0.0:
        exponents = mu.real - 1.0
    else:
        with np.errstate(divide="ignore"):
            exponents = np.log(np.abs(1.0 - leak + leak * mu)) / leak
    return np.asarray(np.sort(exponents, axis=-1)[..., ::-1])


def leaky_rate(
    activation: str,
    leak: float,
    *,
    slope: float = 1.0,
    weight_scale: float = 1.0,
    bias_scale: float = 0.0,
) -> float:
    """Return the leading Lyapunov exponent of a wide leaky network without input.

    Below the onset of chaos, chi <= 1, the state is fixed and the rate is ln(1 - leak + leak
    sqrt chi) / leak. Beyond it, perturbations y of the state have a correlation E y(t) y(t') =
    mu^(t + t') k(t - t') that obeys the linearised recursion of the state's: with r = 1 - leak and
    the autocovariance Delta (`autocovariance`),

        r mu [k(s+1) + k(s-1)] + (leak g a)^2 E phi'phi'(Delta(s)) k(s) = (mu^2 + r^2) k(s),

    and the rate is ln(mu) / leak for the largest mu, which belongs to the largest eigenvalue on the
    left. For leak -> 0 that is the ground state of a particle in the potential -E phi'phi'
    (Sompolinsky, Crisanti & Sommers 1988; Engelken, Wolf & Abbott 2023); for leak 1 the rate of
    `mean_field`.

    Parameters
    ----------
    activation : str
        Name of phi.
    leak : float
        In [0, 1]; 0 is the limit of continuous time. In chaos below 0.01, but above 0, the
        autocovariance falls by too small a factor per step for the solution used here.
    slope, weight_scale, bias_scale
        As for `mean_field`.

    Returns
    -------
    float
        Nats per unit of time, 1/leak steps, to about 1e-7. It takes seconds where there is chaos,
        more where units saturate.

    Raises
    ------
    ValueError
        As `mean_field`, for another leak, where the variance of the state diverges, or where no
        solution is found: just above the onset of chaos, for leaks above 0.9 up to a weight scale
        a tenth above it, or units saturated beyond numbers.
    """
    _check_leak(leak)
    layer = Layer.of(activation, slope, weight_scale, bias_scale, 0.0)
    variance = stationary_variance(layer, None)
    if variance == inf:
        raise ValueError(f"the state of {activation} at weight_scale={weight_scale} diverges")
    chi = layer.growth(variance)
    if leak == 1.0:
        return 0.5 * logarithm(chi)
    if not chi > 1.0 + 1e-9:
        return logarithm(1.0 - leak + leak * sqrt(chi)) / leak if leak else sqrt(chi) - 1.0
    if 0.0 < leak < SLOWEST:
        raise ValueError(f"leak={leak} must be 0, or at least {SLOWEST}, in chaos")
    try:
        if leak == 0.0:
            return _continuous_rate(layer, variance)
        return _chaotic_rate(layer, leak, variance)
    except (IndexError, ValueError) as error:
        scales = f"slope={slope}, weight_scale={weight_scale}, bias_scale={bias_scale}"
        raise ValueError(f"no solution is found for {activation}, {scales}") from error


def _chaotic_rate(layer: Layer, leak: float, largest: float) -> float:
    from scipy.linalg import eigvalsh_tridiagonal

    landscape, delta = autocovariance(layer, leak, largest)
    well = np.full(ENDLESS, leak**2 * float(landscape.slope(landscape.floor)))
    well[: len(delta)] = leak**2 * landscape.slope(delta)
    r, last = 1.0 - leak, (ENDLESS - 1, ENDLESS - 1)

    def excess(mu: float) -> float:
        hop = np.full(ENDLESS - 1, r * mu)
        hop[0] *= sqrt(2.0)  # even in the lag
        top = eigvalsh_tridiagonal(well, hop, select="i", select_range=last)[0]
        return mu**2 + r**2 - float(top)

    return log(find_root(excess, r + sqrt(well[-1]), r + sqrt(well[0]))) / leak


def _continuous_rate(layer: Layer, largest: float) -> float:
    """Return lambda of k'' = [(1 + lambda)^2 - g^2 a^2 E phi'phi'] k, k even in the lag.

    The angle of (k, k') follows Delta from the floor to the peak, where it must be 0. At lambda = 0
    the solution is Delta', with -pi/2 there: the exponent is positive.
    """
    from scipy.integrate import solve_ivp

    landscape = continuous_landscape(layer, largest)
    start, flat = START * landscape.variance, float(landscape.slope(landscape.floor))

    def speed(_: float, state: Array) -> float:
        return float(state[1])

    speed.terminal, speed.direction = True, -1.0  # type: ignore[attr-defined]

    def angle_at_peak(growth: float) -> float:
        def flow(_: float, state: Array) -> list[float]:
            delta, speed, angle = state
            turn = (growth**2 - float(landscape.slope(delta))) * cos(angle) ** 2 - sin(angle) ** 2
            return [speed, delta - landscape.force(delta), turn]

        begin = [landscape.floor + start, sqrt(1.0 - flat) * start, atan(sqrt(growth**2 - flat))]
        path = solve_ivp(flow, (0.0, inf), begin, "DOP853", events=speed, rtol=1e-10, atol=1e-13)
        return float(path.y[2, -1])

    steepest = sqrt(layer.growth(landscape.variance))
    return find_root(angle_at_peak, 1.0, steepest, 1e-10) - 1.0


def _check_leak(leak: float) -> None:
    if not 0.0 <= leak <= 1.0:
        raise ValueError(f"leak={leak} must be in [0, 1]")
