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


def jacobian(k, first, ensemble, tape, product):
    """Norms of ds_{first+1+lag}/ds_{first+1} for every lag, singular values at the largest.

    Every sequence has its own product; without a normalisation sequences do not act on each other.

    Parameters
    ----------
    k : int
        Network within the chunk.
    first : int
        First step of the measured window.
    ensemble : Ensemble
    tape : Tape
    product : JacobianProduct
        Filled for network k.
    """
    steps, sequences, slots, _, units = tape.dz[k].shape
    last = ensemble.W.shape[1] - 1
    size = slots * units
    for b in range(sequences):
        tangent, other = product.tangent[k, 0], product.tangent[k, 1]
        rows, scratch, exponent = product.rows[k, 0], product.rows[k, 1], product.row_exponent[k]
        set_identity(tangent.reshape(size, size))
        set_identity(rows)
        exponent[:] = 0
        record(k, b, 0, rows, exponent, scratch, product)
        for lag in range(1, steps - first):
            t = first + lag
            W = ensemble.W[k, min(t, last)]
            push(W, tape.dz[k, t, b], tape.ds[k, t, b], tangent, product.work[k], other)
            tangent, other = other, tangent
            if not np.isfinite(magnitude(tangent)):
                product.spectral[k, b, lag:] = real(np.inf)
                break
            swaps = product.swaps[k]
            orthonormalise(tangent.reshape(size, size), exponent, product.qr[k], swaps)
            permute(rows, swaps[0])
            multiply_rows(product.qr[k, 2], rows, exponent, scratch)
            record(k, b, lag, rows, exponent, scratch, product)
        singular_squares(
            rows, exponent, product.singular_square[k, b], product.singular_exponent[k, b]
        )


def orthonormalise(columns, exponent, qr, swaps):
    """Replace the columns of a matrix by their factor Q; R goes to qr[2], by rows.

    The exponents of the rows that R will be multiplied with are swapped with the columns.
    """
    by_columns, q, r = qr[0], qr[1], qr[2]
    by_columns[:] = columns.T
    pivoted_qr(by_columns, exponent, q, r, qr[3, 0], swaps)
    columns[:] = q.T


def set_identity(matrix):
    """Matrix = I."""
    matrix[:] = real(0.0)
    for i in range(matrix.shape[0]):
        matrix[i, i] = real(1.0)


def record(k, b, lag, rows, exponent, scratch, product):
    """Store the norms of the product at one lag."""
    square, common = frobenius_square(rows, exponent)
    product.frobenius_square[k, b, lag] = square
    product.spectral[k, b, lag] = top_singular(rows, exponent, common, scratch)
    product.exponent[k, b, lag] = common
