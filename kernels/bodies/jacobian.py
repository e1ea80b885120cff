"""The explicit product of step Jacobians, at any length.

The product ds_{t+k}/ds_t is kept as Q R with R in rows of their own scale (`graded`): columns are
re-orthonormalised after every step, so that small singular values are not drowned by the large
ones (the discrete QR method; Benettin et al. 1980, Dieci, Russell and Van Vleck 1997).
"""

from __future__ import annotations

import numpy as np

from ..graded import frobenius_square, multiply_rows, singular_squares, top_singular
from ..precision import real
from ..targets.cpu import magnitude, orthonormalise
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
            factor = orthonormalise(tangent.reshape(size, size))
            multiply_rows(factor, rows, exponent, scratch)
            record(k, b, lag, rows, exponent, scratch, product)
        singular_squares(
            rows, exponent, product.singular_square[k, b], product.singular_exponent[k, b]
        )


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
