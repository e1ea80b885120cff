"""Q R of a frame that is not close to singular: blocked modified Gram-Schmidt.

A frame's columns are tangent vectors, of which only Q and diag(R) are wanted. It is (M, width), and
its rows may be longer; `width` is a multiple of `LANES`, columns that nobody asked for are zero,
and zero columns stay zero. Nearly all of it is products of matrices.

R_ii has a relative error of eps times the condition of the columns, each divided by its length, and
Q is as far from orthogonal (Bjorck 1967; by blocks, Jalby and Philippe 1991).
"""

from __future__ import annotations

from .collective import fill, scale
from .precision import MANTISSA_BITS, real
from .targets.cpu import barrier, lanes, multiply, orthonormalise_panel, sqrt
from .targets.vectors import VECTOR_BYTES

LANES = VECTOR_BYTES // 8
"""Columns of a panel; frames are float64."""


def gram_schmidt(frame, diagonal, overlap):
    """Blocked modified Gram-Schmidt: each panel is taken out of all later columns at once.

    Parameters
    ----------
    frame : (M, width)
        Receives Q.
    diagonal : (width,)
        Receives R_ii.
    overlap : (LANES, width)
        Work space.
    """
    width = diagonal.size
    for low in range(0, width, LANES):
        high = low + LANES
        panel, rest = frame[:, low:high], frame[:, high:width]
        orthonormalise_panel(panel, diagonal[low:high])
        if high < width:
            found = overlap[:, high:]
            for j in range(LANES):
                fill(overlap[j], real(0.0))
            multiply(panel.T, rest, found)
            for j in range(LANES):
                scale(overlap[j], real(-1.0))
            multiply(panel, found, rest)


def orthogonality_loss(q, diagonal, total):
    """How far Q^T Q is from the identity, in eps; at least 1.

    Gram-Schmidt loses orthogonality as it loses digits of R (Bjorck 1967): this is what the
    condition of a frame really cost, whichever of its columns are nearly dependent. It is tried on
    one unit vector, (1, ..., 1) / sqrt(width).

    Parameters
    ----------
    q : (M, width)
    diagonal : (width,)
        R_ii; columns with 0 are zero.
    total : (width,)
        Work space.
    """
    for c in lanes(total.size):
        total[c] = real(0.0)
    for r in range(q.shape[0]):
        row, across = q[r], real(0.0)
        for c in range(total.size):
            across += row[c]
        for c in lanes(total.size):
            total[c] += across * row[c]
    barrier()
    worst = real(0.0)
    for c in range(total.size):
        if diagonal[c] != real(0.0):
            worst = max(worst, abs(total[c] - real(1.0)))
    worst *= real(2.0**MANTISSA_BITS) / sqrt(real(total.size))
    return max(real(1.0), worst)
