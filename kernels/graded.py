"""Matrices whose rows differ by any number of orders of magnitude.

A product of thousands of Jacobians has singular values from 1e-5000 to 1e5000. It is kept as
diag(2^e) X with an integer exponent per row and rows X[i] of size about 1.
"""

from __future__ import annotations

from .collective import magnitude
from .math import exponent_of, power_of_two
from .precision import EXPONENT_BIAS, MANTISSA_BITS, real
from .rows import dot, rescale
from .targets.cpu import barrier, lanes, largest_integer, spectral_norm, sqrt, total

NEGLIGIBLE = -4000
"""2^NEGLIGIBLE is zero in every format; exponents are clamped here before they are used."""

EMPTY = -(2**30)
"""Exponent of a row that is exactly zero."""


def permute(rows, swaps):
    """Apply swaps of rows, in order."""
    barrier()
    for k in range(swaps.size):
        other = swaps[k]
        if other != k:
            for c in lanes(rows.shape[1]):
                rows[k, c], rows[other, c] = rows[other, c], rows[k, c]
    barrier()


def multiply_rows(R, rows, exponent, out):
    """diag(2^e) X <- R diag(2^e) X for an upper triangular R, in place; `out` is work space."""
    n = rows.shape[0]
    for i in range(n):  # row i of the product needs rows j >= i only, so i can be overwritten
        top = leading_exponent(R[i], exponent, i)
        for c in lanes(n):
            out[i, c] = real(0.0)
        for j in range(i, n):
            if R[i, j] != real(0.0):  # else the exponent may be out of every range
                factor = R[i, j] * power_of_two(max(exponent[j] - top, NEGLIGIBLE))
                for c in lanes(n):
                    out[i, c] += factor * rows[j, c]
        for c in lanes(n):
            rows[i, c] = out[i, c]
        size = magnitude(rows[i])
        exponent[i] = top + normalise_row(rows[i], size) if size != real(0.0) else EMPTY
    barrier()


def normalise_row(row, size):
    """Divide a row of a size by 2^k so that it is between 1 and 2; returns k."""
    k = exponent_of(size)
    if k > EXPONENT_BIAS:  # an infinite or NaN row stays what it is
        return 0
    k = min(k, EXPONENT_BIAS - 1)  # 2^-EXPONENT_BIAS is 0 in `power_of_two`
    factor = power_of_two(-k)
    for c in lanes(row.size):
        row[c] *= factor
    return k


def leading_exponent(row, exponent, start):
    """The largest exponent among row[j] 2^exponent[j], j >= start."""
    top = EMPTY
    for j in range(start, row.size):
        if row[j] != real(0.0):
            top = max(top, exponent[j] + exponent_of(abs(row[j])))
    return top


def frobenius_square(rows, exponent):
    """(s, e): the squared Frobenius norm is s 4^e."""
    common = exponent[0]
    for i in range(exponent.size):
        common = max(common, exponent[i])
    own = real(0.0)
    for i in range(rows.shape[0]):
        factor = power_of_two(max(exponent[i] - common, NEGLIGIBLE))
        for c in lanes(rows.shape[1]):
            own += (factor * rows[i, c]) * (factor * rows[i, c])
    return total(own), common


def top_singular(rows, exponent, common, scratch, scratch_exponent):
    """Largest singular value divided by 2^common."""
    for i in range(rows.shape[0]):
        factor = power_of_two(max(exponent[i] - common, NEGLIGIBLE))
        for c in lanes(rows.shape[1]):
            scratch[i, c] = rows[i, c] * factor
    return spectral_norm(scratch, scratch_exponent)


def singular_squares(rows, exponent, square, out_exponent):
    """Singular values of diag(2^e) X as square 4^out_exponent, in no order; consumes `rows`."""
    make_orthogonal(rows, exponent)
    for i in lanes(rows.shape[0]):
        square[i] = dot(rows[i], rows[i])
        out_exponent[i] = exponent[i]
    barrier()


def make_orthogonal(rows, exponent):
    """Rotate the rows of diag(2^e) X until they are orthogonal: their lengths are singular values.

    One-sided Jacobi rotations (Hestenes 1958), which find every singular value of a graded matrix
    to high relative accuracy (Demmel and Veselic 1992); the rotation angle of two rows is that of
    the difference of their exponents, so that nothing under- or overflows. In a round every row
    meets one other, so that all pairs of a round can be rotated at once (Brent and Luk 1985).
    """
    n = rows.shape[0]
    players = n + n % 2
    tolerance = real(2.0) * power_of_two(-MANTISSA_BITS)
    barrier()
    for _ in range(40):
        rotations = 0
        for turn in range(players - 1):
            for pair in lanes(players // 2):
                i, j = opponents(turn, pair, players)
                if i < n and j < n:
                    rotations += rotate(rows, exponent, i, j, tolerance)
            barrier()
        if largest_integer(rotations) == 0:
            break


def opponents(turn, pair, players):
    """Who meets whom: the last one stays, all others move round a circle."""
    circle = players - 1
    if pair == 0:
        return turn, circle
    return (turn + pair) % circle, (turn - pair + circle) % circle


def rotate(rows, exponent, i, j, tolerance):
    """Make rows i and j orthogonal; returns 1 if they were not."""
    if exponent[i] < exponent[j]:
        i, j = j, i
    x, y = rows[i], rows[j]
    alpha, beta, gamma = dot(x, x), dot(y, y), dot(x, y)
    if abs(gamma) <= tolerance * sqrt(alpha * beta):
        return 0
    apart = exponent[i] - exponent[j]
    if apart > MANTISSA_BITS // 2 + 5:  # what the small row changes in the large one is lost
        ratio = gamma / alpha
        for c in range(x.size):
            y[c] -= ratio * x[c]
    else:
        ratio = power_of_two(-apart)
        zeta = (ratio * ratio * beta - alpha) / (real(2.0) * ratio * gamma)
        tangent = real(1.0) / (abs(zeta) + sqrt(real(1.0) + zeta * zeta))
        tangent = tangent if zeta > real(0.0) else -tangent
        cosine = real(1.0) / sqrt(real(1.0) + tangent * tangent)
        sine = cosine * tangent
        for c in range(x.size):
            a, b = x[c], y[c]
            x[c] = cosine * a - sine * ratio * b
            y[c] = sine / ratio * a + cosine * b
        exponent[i] += rescale(x)
    exponent[j] += rescale(y)
    return 1
