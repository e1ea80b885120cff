"""Branch-free scalar functions that a compiler can turn into packed instructions.

libm is accurate but scalar: a tanh costs 20 ns. The functions below reach the same accuracy (a few
units in the last place in float64; the tests compare with arbitrary precision) at about a tenth of
that inside a unit loop. All take and return numbers of the bound format `real`; NaN goes in, NaN
comes out, so comparisons are written so that NaN survives them.

Sources: range reduction after Cody and Waite 1980; sine and cosine polynomials of the argument
reduced to [-pi/4, pi/4] are Taylor series; exp(x^2) erfc(x) as a Chebyshev series in
(x - 15/4)/(x + 15/4) after Shepherd and Laframboise 1981, refitted in 40-digit arithmetic.
"""

from __future__ import annotations

import numpy as np

from .precision import EXPONENT_BIAS, MANTISSA_BITS, integer, real


def power_of_two(k):
    """2^k for an integral number k; 0 below the normal range (the caller keeps k below the top)."""
    bits = integer(integer(k) + EXPONENT_BIAS) << MANTISSA_BITS
    return real(0.0) if k < 1 - EXPONENT_BIAS else integer(bits).view(real)


def exponent_of(x):
    """Floor of log2 x for a positive normal number, as an integer."""
    return integer(real(x).view(integer) >> MANTISSA_BITS) - EXPONENT_BIAS


def exp_and_expm1(x):
    """exp(x) and exp(x) - 1 for x <= 0, both with small relative error."""
    x = real(-800.0) if x < real(-800.0) else x
    k = np.floor(x * real(1.4426950408889634) + real(0.5))
    # ln 2 in two parts, the first short enough for k * part to be exact in either format
    r = (x - k * real(0.693145751953125)) - k * real(1.4286068203094173e-06)
    p = real(1 / 6227020800)
    p = p * r + real(1 / 479001600)
    p = p * r + real(1 / 39916800)
    p = p * r + real(1 / 3628800)
    p = p * r + real(1 / 362880)
    p = p * r + real(1 / 40320)
    p = p * r + real(1 / 5040)
    p = p * r + real(1 / 720)
    p = p * r + real(1 / 120)
    p = p * r + real(1 / 24)
    p = p * r + real(1 / 6)
    p = p * r + real(0.5)
    p = p * (r * r) + r
    scale = power_of_two(k)
    return scale * p + scale, scale * p + (scale - real(1.0))


def log1p_series(f):
    """ln(1 + f) for 1/sqrt 2 <= 1 + f <= sqrt 2, as 2 artanh(f / (2 + f))."""
    s = f / (real(2.0) + f)
    w = s * s
    p = real(1 / 21)
    p = p * w + real(1 / 19)
    p = p * w + real(1 / 17)
    p = p * w + real(1 / 15)
    p = p * w + real(1 / 13)
    p = p * w + real(1 / 11)
    p = p * w + real(1 / 9)
    p = p * w + real(1 / 7)
    p = p * w + real(1 / 5)
    p = p * w + real(1 / 3)
    return real(2.0) * s + real(2.0) * s * w * p


def log1p_unit(t):
    """ln(1 + t) for 0 <= t <= 1."""
    halve = t > real(0.41421356237309503)
    f = (t - real(1.0)) * real(0.5) if halve else t
    return log1p_series(f) + (real(0.6931471805599453) if halve else real(0.0))


def log_positive(x):
    """ln x for a positive normal number, by exponent split and an odd series."""
    bits = real(x).view(integer)
    # subtracting the bits of 1/sqrt 2 makes the exponent field count powers of two from there
    offset = real(0.7071067811865476).view(integer)
    k = integer(integer(bits - offset) >> MANTISSA_BITS)
    mantissa = integer(bits - integer(k << MANTISSA_BITS)).view(real)
    k = real(k)
    series = log1p_series(mantissa - real(1.0))
    return k * real(0.693145751953125) + (series + k * real(1.4286068203094173e-06))


def sine_polynomial(r):
    """sin r for |r| <= pi/4."""
    w = r * r
    p = real(1 / 355687428096000)
    p = p * w + real(-1 / 1307674368000)
    p = p * w + real(1 / 6227020800)
    p = p * w + real(-1 / 39916800)
    p = p * w + real(1 / 362880)
    p = p * w + real(-1 / 5040)
    p = p * w + real(1 / 120)
    p = p * w + real(-1 / 6)
    return r + r * w * p


def cosine_polynomial(r):
    """cos r for |r| <= pi/4."""
    w = r * r
    p = real(1 / 20922789888000)
    p = p * w + real(-1 / 87178291200)
    p = p * w + real(1 / 479001600)
    p = p * w + real(-1 / 3628800)
    p = p * w + real(1 / 40320)
    p = p * w + real(-1 / 720)
    p = p * w + real(1 / 24)
    return (real(1.0) - real(0.5) * w) + w * w * p


def rotate_quadrant(quadrant, sine, cosine):
    """Sine and cosine after adding quadrant * pi/2 to the angle; quadrant is an integral number."""
    quarter = quadrant - real(4.0) * np.floor(quadrant * real(0.25))
    odd = (quarter == real(1.0)) | (quarter == real(3.0))
    s = cosine if odd else sine
    c = sine if odd else cosine
    s = -s if quarter >= real(2.0) else s
    c = -c if (quarter == real(1.0)) | (quarter == real(2.0)) else c
    return s, c


def sine_cosine(x):
    """sin x and cos x; the absolute error grows like eps |x|, and both stay within [-1, 1]."""
    k = np.floor(x * real(0.6366197723675814) + real(0.5))
    # pi/2 in four parts, the first three of 11 bits: k * part is exact in either format
    r = ((x - k * real(1.5703125)) - k * real(0.0004837512969970703)) - k * real(
        7.549533620476723e-08
    )
    r = r - k * real(2.563344151594519e-12)
    # for angles so large that nothing is left of the reduction, a sine is still at most 1
    quarter_turn = real(0.7853981633974483)
    r = -quarter_turn if r < -quarter_turn else (quarter_turn if r > quarter_turn else r)
    return rotate_quadrant(k, sine_polynomial(r), cosine_polynomial(r))


def sine_cosine_turns(u):
    """sin(2 pi u) and cos(2 pi u) for u in [0, 1]; the reduction is exact."""
    k = np.floor(u * real(4.0) + real(0.5))
    r = (u - k * real(0.25)) * real(6.283185307179586)
    return rotate_quadrant(k, sine_polynomial(r), cosine_polynomial(r))


def erfc_and_gauss(x):
    """erfc(x) and exp(-x^2) for x >= 0."""
    # beyond 30 both are zero in float64; the bound keeps x * x finite
    x = real(30.0) if x > real(30.0) else x
    gauss, _ = exp_and_expm1(-(x * x))
    q = (x - real(3.75)) / (x + real(3.75))
    p = real(-2.7293941332533855e-09)
    p = p * q + real(-1.952790162974837e-09)
    p = p * q + real(3.256499083798513e-08)
    p = p * q + real(1.8778501156468795e-08)
    p = p * q + real(-2.4996538037405243e-07)
    p = p * q + real(-5.0816911811698186e-08)
    p = p * q + real(1.7438577411359181e-06)
    p = p * q + real(-9.79297529099823e-07)
    p = p * q + real(-1.143961526007595e-05)
    p = p * q + real(2.238759272534769e-05)
    p = p * q + real(5.164737123871838e-05)
    p = p * q + real(-0.0002901553656394713)
    p = p * q + real(0.00029371408777227685)
    p = p * q + real(0.0017556261692276722)
    p = p * q + real(-0.00974657962081509)
    p = p * q + real(0.028362277371370044)
    p = p * q + real(-0.058693398584491845)
    p = p * q + real(0.09230432116435616)
    p = p * q + real(-0.10880393014193915)
    p = p * q + real(0.08227673848999159)
    p = p * q + real(0.0035854154854663067)
    p = p * q + real(-0.14024059858554522)
    p = p * q + real(1.2375126308378275)
    return gauss * p / (real(1.0) + real(2.0) * x), gauss


def erf_small(x):
    """Erf(x) for |x| <= 1, as an odd polynomial."""
    w = x * x
    p = real(-7.795898827002142e-10)
    p = p * w + real(1.3720064546777686e-08)
    p = p * w + real(-1.6208483801871705e-07)
    p = p * w + real(1.6447424703317362e-06)
    p = p * w + real(-1.492473690741966e-05)
    p = p * w + real(0.00012055294904839707)
    p = p * w + real(-0.0008548325975389692)
    p = p * w + real(0.0052239776071164225)
    p = p * w + real(-0.02686617064323777)
    p = p * w + real(0.11283791670945006)
    p = p * w + real(-0.37612638903183543)
    p = p * w + real(1.1283791670955126)
    return x * p
