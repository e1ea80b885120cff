"""Powers of one real Gaussian matrix, W_ij ~ N(0, weight_scale^2 / n): tied linear networks.

Exact at any size n. The gradient of such a network grows in the long run at the rate ln rho(W), rho
the spectral radius, whose law is that of real Ginibre matrices; over a few steps its mean square is
a polynomial in 1/n. With fresh weights at every step both are otherwise: see `products`.
"""

from __future__ import annotations

from math import log, pi, sqrt
from typing import NamedTuple

import numpy as np

from .activations import Array
from .ranges import check_positive

LARGEST_SIZE = 64
LARGEST_LAG = 6
"""The sum over pairings has (2 lag - 1)!! terms."""

POINTS, ANGLES = 2001, 80
"""Nodes in radius and angle: 10 digits of the distribution up to the largest size."""

BEYOND = 9.0
"""Distance from sqrt n at which the distribution of rho (entries N(0, 1)) is 1 to rounding."""

Edge = tuple[int, int]


class SpectralRadius(NamedTuple):
    """Law of ln rho over random matrices.

    Attributes
    ----------
    mean_log, sd_log : float
        Mean and standard deviation of ln rho: nats per step of a tied linear network.
    """

    mean_log: float
    sd_log: float


def ginibre_spectral_radius(n: int, weight_scale: float = 1.0) -> SpectralRadius:
    """Return mean and standard deviation of ln rho of real Gaussian matrices of a finite size.

    For even n and entries N(0, 1), P(rho < r) is the determinant of the matrix of size n/2

        A_ab(r) = <z^2a, z^(2b+1)>_r / (2 sqrt(2 pi) sqrt((2a)! (2b)!)),    a, b = 0 ... n/2 - 1,

    with the skew product of Forrester & Nagao 2007 over eigenvalues in the disc of radius r, as
    the mean of a product over all eigenvalues is a Pfaffian of such products (Sinclair 2007; Rider
    & Sinclair 2014, who find the limit of large n). Odd sizes would need another row.

    Parameters
    ----------
    n : int
        Size of the matrices: even, 2 to 64.
    weight_scale : float
        > 0.

    Returns
    -------
    SpectralRadius
        To about 1e-9.

    Raises
    ------
    ValueError
        For a size or a scale out of range.
    """
    from scipy.integrate import cumulative_simpson, simpson

    check_positive(weight_scale=weight_scale)
    if not 2 <= n <= LARGEST_SIZE or n % 2:
        raise ValueError(f"n={n} must be even and in [2, {LARGEST_SIZE}]")
    r = np.linspace(0.0, sqrt(n) + BEYOND, POINTS)
    below = np.linalg.det(cumulative_simpson(_skew_density(n, r), x=r, axis=0, initial=0.0))[1:]
    log_radius = np.log(r[1:] / sqrt(n))

    def mean(power: int) -> float:
        """E (ln rho)^power, by parts."""
        slope = power * log_radius ** (power - 1) / r[1:] * below
        return float(log_radius[-1] ** power - simpson(np.append(0.0, slope), x=r))

    return SpectralRadius(log(weight_scale) + mean(1), sqrt(mean(2) - mean(1) ** 2))


def _skew_density(n: int, r: Array) -> Array:
    """Return dA / dr, (radius, a, b).

    Of real eigenvalues 4 r^(2b+1) e^(-r^2/2) int_0^r x^2a e^(-x^2/2) dx, of complex ones

        4 r^(2a+2b+2) e^(-r^2) int_0^pi sin((2b + 1 - 2a) t) erfcx(sqrt 2 r sin t) dt,

    both over the denominator of A.
    """
    from scipy.special import erfcx, gammainc, gammaln, xlogy

    even = np.arange(0, n, 2)
    odd, half = even + 1, 0.5 * (even + 1)
    log_size = 0.5 * gammaln(even + 1)
    log_size = log_size[:, None] + log_size + log(0.5 * sqrt(2.0 * pi))
    radius = r[:, None, None]

    log_integral = (half - 1.0) * log(2.0) + gammaln(half)
    log_real = log_integral[:, None] + xlogy(odd, radius) - 0.5 * radius**2
    share = gammainc(half, 0.5 * r[:, None] ** 2)[:, :, None]

    node, weight = np.polynomial.legendre.leggauss(ANGLES)
    angle, weight = 0.25 * pi * (node + 1.0), 0.5 * pi * weight  # the second quadrant has the same
    wave = np.sin(np.outer(angle, odd)) * weight[:, None]
    turned = erfcx(sqrt(2.0) * r[:, None] * np.sin(angle)) @ wave
    order = odd - even[:, None]
    angular = np.sign(order) * turned[:, abs(order) // 2]
    log_complex = xlogy(odd + even[:, None] + 1, radius) - radius**2
    return np.asarray(
        share * np.exp(log_real - log_size) + angular * np.exp(log_complex - log_size)
    )


def power_mean_square(n: int, lag: int, weight_scale: float = 1.0) -> float:
    """Return E |W^lag v|^2 for a unit vector v, which with fresh weights were weight_scale^(2 lag).

    By Wick's theorem (Isserlis 1918): the mean of a product of Gaussian variables is the sum over
    all ways to pair them. Here each pairing identifies indices of the 2 lag weights of v^T
    (W^T)^lag W^lag v, a closed loop, and is worth n for every index that is left free. At weight
    scale 1 and lag 2 that is 1 + 2 / n^2.

    Parameters
    ----------
    n : int
        Size of the matrices, >= 1.
    lag : int
        0 to 6.
    weight_scale : float
        > 0.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For a size, lag or scale out of range.
    """
    check_positive(weight_scale=weight_scale)
    if n < 1:
        raise ValueError(f"n={n} must be >= 1")
    if not 0 <= lag <= LARGEST_LAG:
        raise ValueError(f"lag={lag} must be in [0, {LARGEST_LAG}]")
    there = [(k, k + 1) for k in range(lag)]
    back = [((2 * lag - k) % (2 * lag), 2 * lag - k - 1) for k in range(lag)]
    free = max(2 * lag, 1)
    scale = float(weight_scale) ** (2 * lag)
    return float(scale * _paired(there + back, free, n) / n ** (lag + 1))


def _paired(weights: list[Edge], free: int, n: int) -> int:
    """Return the sum over all pairings of n^(indices that are left free)."""
    if not weights:
        return int(n**free)
    (row, column), *others = weights
    total = 0
    for k, (other_row, other_column) in enumerate(others):
        rest = [(column, other_column), *others[:k], *others[k + 1 :]]
        (one, other), *rest = _renamed(rest, row, other_row)
        left = free - (row != other_row) - (one != other)
        total += _paired(_renamed(rest, one, other), left, n)
    return total


def _renamed(weights: list[Edge], index: int, name: int) -> list[Edge]:
    """Return the weights with another name for an index."""
    return [tuple(name if i == index else i for i in pair) for pair in weights]  # type: ignore[misc]
