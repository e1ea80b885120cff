"""The explicit product of step Jacobians, at any length.

The product ds_{t+k}/ds_t is kept as Q R with R in rows of their own scale (`graded`). Columns are
re-orthonormalised after every step, so that small singular values are not drowned by the large
ones, with pivoting, so that they are not drowned within a step either (the discrete QR method;
Benettin et al. 1980, Dieci, Russell and Van Vleck 1997).
"""

from __future__ import annotations

import numpy as np

from ..graded import frobenius_square, multiply_rows, permute, singular_squares, top_singular
from ..pivoted_qr import pivoted_qr
from ..precision import real
from ..targets.cpu import magnitude
from .tangent import push


def jacobian(k, first, ensemble, wiring, tape, product):
    """Norms of ds_{first+1+lag}/ds_{first+1} for every lag, singular values at the largest.

    Sequences have a product each, unless a normalisation over the batch couples them.

    Parameters
    ----------
    k : int
        Network within the chunk.
    first : int
        First step of the measured window.
    ensemble : Ensemble
    wiring : Wiring
    tape : Tape
    product : JacobianProduct
        Filled for network k.
    """
    groups, lags = product.spectral.shape[1:]
    group = product.tangent.shape[4] // ensemble.W.shape[4]
    last = ensemble.W.shape[1] - 1
    for c in range(groups):
        tangent, other = product.tangent[k, 0], product.tangent[k, 1]
        rows, scratch, exponent = product.rows[k, 0], product.rows[k, 1], product.row_exponent[k]
        qr, swaps = product.qr[k], product.swaps[k]
        set_identity(rows)
        unpack(rows, tangent)
        exponent[:] = 0
        record(k, c, 0, rows, exponent, scratch, product)
        for lag in range(1, lags):
            t = first + lag
            W = ensemble.W_transposed[k, min(t, last)]
            push(k, t, c * group, W, wiring, tape, tangent, product.product[k], other)
            tangent, other = other, tangent
            if not np.isfinite(magnitude(tangent)):
                product.spectral[k, c, lag:] = real(np.inf)
                break
            pack(tangent, qr[0])
            pivoted_qr(qr[0], exponent, qr[1], qr[2], qr[3, 0], swaps)
            unpack(qr[1], tangent)
            permute(rows, swaps[0])
            multiply_rows(qr[2], rows, exponent, scratch)
            record(k, c, lag, rows, exponent, scratch, product)
        singular_squares(
            rows, exponent, product.singular_square[k, c], product.singular_exponent[k, c]
        )


def pack(tangent, columns):
    """Tangents (S, M, D n) as an array (M, S D n): one perturbation of the whole state a row."""
    slots, count, size = tangent.shape
    split = columns.reshape(count, slots, size)
    for a in range(slots):
        for c in range(count):
            split[c, a] = tangent[a, c]


def unpack(columns, tangent):
    """Inverse of `pack`."""
    slots, count, size = tangent.shape
    split = columns.reshape(count, slots, size)
    for a in range(slots):
        for c in range(count):
            tangent[a, c] = split[c, a]


def set_identity(matrix):
    """Matrix = I."""
    matrix[:] = real(0.0)
    for i in range(matrix.shape[0]):
        matrix[i, i] = real(1.0)


def record(k, c, lag, rows, exponent, scratch, product):
    """Store the norms of the product at one lag."""
    square, common = frobenius_square(rows, exponent)
    product.frobenius_square[k, c, lag] = square
    product.spectral[k, c, lag] = top_singular(rows, exponent, common, scratch)
    product.exponent[k, c, lag] = common
