"""Matrices whose rows differ by any number of orders of magnitude.

A product of thousands of Jacobians has singular values from 1e-5000 to 1e5000. It is kept as
diag(2^e) X with an integer exponent per row and rows X[i] of size about 1.
"""

from __future__ import annotations

import numpy as np

from .math import exponent_of, power_of_two
from .precision import MANTISSA_BITS, real
from .targets.cpu import normalise_row, spectral_norm

NEGLIGIBLE = -4000
"""2^NEGLIGIBLE is zero in every format; exponents are clamped here before they are used."""

EMPTY = -(2**30)
"""Exponent of a row that is exactly zero."""


def permute(rows, swaps):
    """Apply swaps of rows, in order."""
    for k in range(swaps.size):
        other = swaps[k]
        if other != k:
            for c in range(rows.shape[1]):
                rows[k, c], rows[other, c] = rows[other, c], rows[k, c]


def multiply_rows(R, rows, exponent, out):
    """diag(2^e) X <- R diag(2^e) X for an upper triangular R, in place; `out` is work space."""
    n = rows.shape[0]
    for i in range(n):  # row i of the product needs rows j >= i only, so i can be overwritten
        top = leading_exponent(R[i], exponent, i)
        out[i] = real(0.0)
        for j in range(i, n):
            if R[i, j] != real(0.0):  # else the exponent may be out of every range
                factor = R[i, j] * power_of_two(max(exponent[j] - top, NEGLIGIBLE))
                for c in range(n):
                    out[i, c] += factor * rows[j, c]
        rows[i] = out[i]
        exponent[i] = top + normalise_row(rows[i]) if rows[i].any() else EMPTY


def leading_exponent(row, exponent, start):
    """The largest exponent among row[j] 2^exponent[j], j >= start."""
    top = EMPTY
    for j in range(start, row.size):
        if row[j] != real(0.0):
            top = max(top, exponent[j] + exponent_of(abs(row[j])))
    return top


def frobenius_square(rows, exponent):
    """(s, e): the squared Frobenius norm is s 4^e."""
    common = exponent.max()
    total = real(0.0)
    for i in range(rows.shape[0]):
        factor = power_of_two(max(exponent[i] - common, NEGLIGIBLE))
        for c in range(rows.shape[1]):
            total += (factor * rows[i, c]) * (factor * rows[i, c])
    return total, common


def top_singular(rows, exponent, common, scratch):
    """Largest singular value divided by 2^common."""
    for i in range(rows.shape[0]):
        scratch[i] = rows[i] * power_of_two(max(exponent[i] - common, NEGLIGIBLE))
    return spectral_norm(scratch)


def singular_squares(rows, exponent, square, out_exponent):
    """Singular values of diag(2^e) X as square 4^out_exponent, in no order; consumes `rows`.

    One-sided Jacobi rotations of the rows (Hestenes 1958), which find every singular value of a
    graded matrix to high relative accuracy (Demmel and Veselic 1992); the rotation angle of two
    rows is computed from the difference of their exponents, so that nothing under- or overflows.
    """
    n = rows.shape[0]
    tolerance = real(2.0) * power_of_two(-MANTISSA_BITS)
    for _ in range(40):
        rotations = 0
        for i in range(n - 1):
            for j in range(i + 1, n):
                rotations += rotate(rows, exponent, i, j, tolerance)
        if rotations == 0:
            break
    for i in range(n):
        square[i] = np.dot(rows[i], rows[i])
        out_exponent[i] = exponent[i]


def rotate(rows, exponent, i, j, tolerance):
    """Make rows i and j orthogonal; returns 1 if they were not."""
    if exponent[i] < exponent[j]:
        i, j = j, i
    x, y = rows[i], rows[j]
    alpha, beta, gamma = np.dot(x, x), np.dot(y, y), np.dot(x, y)
    if abs(gamma) <= tolerance * np.sqrt(alpha * beta):
        return 0
    apart = exponent[i] - exponent[j]
    if apart > MANTISSA_BITS // 2 + 5:  # what the small row changes in the large one is lost
        y -= (gamma / alpha) * x
    else:
        ratio = power_of_two(-apart)
        zeta = (ratio * ratio * beta - alpha) / (real(2.0) * ratio * gamma)
        tangent = real(1.0) / (abs(zeta) + np.sqrt(real(1.0) + zeta * zeta))
        tangent = tangent if zeta > real(0.0) else -tangent
        cosine = real(1.0) / np.sqrt(real(1.0) + tangent * tangent)
        sine = cosine * tangent
        for c in range(x.size):
            a, b = x[c], y[c]
            x[c] = cosine * a - sine * ratio * b
            y[c] = sine / ratio * a + cosine * b
        exponent[i] += normalise_row(x)
    exponent[j] += normalise_row(y)
    return 1
