"""The explicit product of step Jacobians, at any length.

The product ds_{t+k}/ds_t is kept as Q R with R in rows of their own scale (`graded`). Columns are
re-orthonormalised after every step, so that small singular values are not drowned by the large
ones, with pivoting, so that they are not drowned within a step either (the discrete QR method;
Benettin et al. 1980, Dieci, Russell and Van Vleck 1997).
"""

from __future__ import annotations

import numpy as np

from ..collective import fill, magnitude
from ..graded import frobenius_square, multiply_rows, permute, singular_squares, top_singular
from ..pivoted_qr import pivoted_qr
from ..precision import real
from ..targets.cpu import barrier, lanes
from .tangent import push


def jacobian(setting, network):
    """Norms of ds_{first+1+lag}/ds_{first+1} for every lag, singular values at the largest.

    `first` is the first step of the measured window. Sequences have a product each, unless a
    normalisation over the batch couples them.

    Parameters
    ----------
    setting : Setting
    network : Chunk
        After the forward sweep.
    """
    ensemble, tape, product = network.ensemble, network.tape, network.jacobian
    groups, lags = product.spectral.shape
    fill(product.spectral, real(np.nan))  # what an overflow leaves
    fill(product.frobenius_square, real(np.nan))
    fill(product.singular_square, real(np.nan))
    fill(product.exponent, 0)
    fill(product.singular_exponent, 0)
    size = product.product.shape[0] // ensemble.W.shape[1]
    group = size // ensemble.W.shape[3]
    last = ensemble.W.shape[0] - 1
    for c in range(groups):
        tangent, other = product.tangent[0], product.tangent[1]
        rows, scratch, exponent = product.rows[0], product.rows[1], product.row_exponent[0]
        qr, swaps = product.qr, product.swaps
        set_identity(rows)
        set_identity(tangent)
        fill(exponent, 0)
        record(c, 0, rows, exponent, scratch, product)
        for lag in range(1, lags):
            t = setting.burn_in + lag
            push(
                t,
                c * group,
                ensemble.W[min(t, last)],
                setting.wiring,
                tape,
                tangent,
                product.product,
                product.column,
                other,
            )
            tangent, other = other, tangent
            if not magnitude(tangent) < real(np.inf):  # NaN, too
                fill(product.spectral[c, lag:], real(np.inf))
                break
            copy_transposed(tangent, qr[0])  # which wants a tangent as a row
            pivoted_qr(qr[0], exponent, qr[1], qr[2], qr[3, 0], swaps)
            copy_transposed(qr[1], tangent)
            permute(rows, swaps[0])
            multiply_rows(qr[2], rows, exponent, scratch)
            record(c, lag, rows, exponent, scratch, product)
        singular_squares(rows, exponent, product.singular_square[c], product.singular_exponent[c])


def set_identity(matrix):
    """Matrix = I."""
    fill(matrix, real(0.0))
    for i in lanes(matrix.shape[0]):
        matrix[i, i] = real(1.0)
    barrier()


def copy_transposed(matrix, out):
    """Out = matrix^T."""
    barrier()
    for i in range(out.shape[0]):
        for j in lanes(out.shape[1]):
            out[i, j] = matrix[j, i]
    barrier()


def record(c, lag, rows, exponent, scratch, product):
    """Store the norms of the product at one lag."""
    square, common = frobenius_square(rows, exponent)
    product.frobenius_square[c, lag] = square
    spare = product.row_exponent[1]
    product.spectral[c, lag] = top_singular(rows, exponent, common, scratch, spare)
    product.exponent[c, lag] = common
