"""Q R of a frame: columns that are tangent vectors, of which only Q and diag(R) are wanted.

A frame is (M, width), and its rows may be longer; `width` is a multiple of `LANES`, columns that
nobody asked for are zero, and zero columns stay zero. Two ways:

* `gram_schmidt` for frames that are not close to singular, nearly all of it products of matrices.
  With r = |x_i| / R_ii for column x_i before it is orthogonalised, ln R_ii is accurate to about
  r eps (Bjorck 1967; by blocks, Jalby and Philippe 1991).
* `householder` for the rest. One step's Jacobian may have rows of any size, as the derivative of a
  saturated unit is e^-100: with the largest entry of a column brought to the top, the error of
  every row is relative to that row (Powell and Reid 1969; Cox and Higham 1998).
"""

from __future__ import annotations

import numpy as np

from .precision import real
from .targets.cpu import multiply, orthonormalise_panel, scale
from .targets.vectors import VECTOR_BYTES

LANES = VECTOR_BYTES // 8
"""Columns of a panel; frames are float64."""

NOISE = 2.0**-40
"""What is left of a column counts as rounding error if it is smaller than this in every row,
relative to the row: rounding errors of one eps grow by the condition of the earlier columns."""


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
                overlap[j] = real(0.0)
            multiply(panel.T, rest, found)
            for j in range(LANES):
                scale(overlap[j], real(-1.0))
            multiply(panel, found, rest)


def householder(frame, q, diagonal, reflections, swaps, noise, overlap):
    """Reflections with pivoting of rows; columns that depend on earlier ones become zero.

    Dependent: what the earlier columns leave of it is rounding error, in every row.

    Parameters
    ----------
    frame : (M, width)
        Consumed.
    q : (M, width)
        Receives Q.
    diagonal : (width,)
        Receives R_ii; 0 for a dependent column.
    reflections : (M or width, M)
        Work space: a vector in every row.
    swaps : (2, M), integers
        Work space: the column that a reflection is made of, and the row swapped for it.
    noise : (M,), overlap : (LANES, width)
        Work space.
    """
    rows, width = frame.shape[0], diagonal.size
    note_noise(frame, width, noise)
    used = 0
    for j in range(width):
        diagonal[j] = real(0.0)
        top = largest_entry(frame, j, used, noise)
        if top == rows:
            continue
        swap_rows(frame, used, top)
        noise[used], noise[top] = noise[top], noise[used]
        swaps[0, used], swaps[1, used] = j, top
        v = reflections[used : used + 1]
        diagonal[j] = make_reflection(frame, j, used, v[0])
        reflect(v, used, frame, j + 1, overlap)
        used += 1
    for r in range(rows):
        q[r, :width] = real(0.0)
    for k in range(used - 1, -1, -1):
        j = swaps[0, k]
        q[k, j] = real(1.0)
        reflect(reflections[k : k + 1], k, q, j, overlap)
        swap_rows(q, k, swaps[1, k])


def note_noise(frame, width, noise):
    """Of every row, how large an entry that is nothing but rounding error may be."""
    for r in range(frame.shape[0]):
        largest = real(0.0)
        row = frame[r]
        for c in range(width):
            largest = max(largest, abs(row[c]))
        noise[r] = real(NOISE) * largest


def largest_entry(frame, j, start, noise):
    """Where column j is largest from row `start` on; the number of rows if all of it is noise."""
    rows = frame.shape[0]
    best, more = start, False
    for r in range(start, rows):
        size = abs(frame[r, j])
        more = more or size > noise[r]
        if size > abs(frame[best, j]):
            best = r
    return best if more else rows


def swap_rows(matrix, i, j):
    """Swap two rows."""
    if i != j:
        upper, lower = matrix[i], matrix[j]
        for c in range(upper.size):
            upper[c], lower[c] = lower[c], upper[c]


def make_reflection(frame, j, start, v):
    """Write v so that 1 - v v^T takes column j, from row `start` on, to that row; returns |x|.

    The column is divided by its first entry, which is its largest: no square under- or overflows.
    """
    top = frame[start, j]
    square = real(0.0)
    for r in range(start, frame.shape[0]):
        v[r] = frame[r, j] / top
        square += v[r] * v[r]
    norm = np.sqrt(square)
    v[start] += norm
    factor = real(1.0) / np.sqrt(square + norm)  # |v|^2 = 2 (square + norm)
    for r in range(start, frame.shape[0]):
        v[r] *= factor
    return norm * abs(top)


def reflect(v, start, matrix, first, overlap):
    """Matrix <- (1 - v v^T) matrix from column `first` on, where v is zero before row `start`.

    `v` is (1, M). From the start of a vector on: the columns before `first` are done with, or zero
    in these rows.
    """
    low = first - first % LANES
    own, rest, found = v[:, start:], matrix[start:, low : overlap.shape[1]], overlap[:1, low:]
    overlap[0] = real(0.0)
    multiply(own, rest, found)
    scale(overlap[0], real(-1.0))
    multiply(own.T, found, rest)
