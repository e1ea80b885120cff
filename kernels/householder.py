"""Q R of a frame that is close to singular: reflections with pivoting of rows.

One step's Jacobian may have rows of any size, as the derivative of a saturated unit is e^-100: with
the largest entry of a column brought to the top, and rows whose size is that of all their entries,
the error of every row is relative to that row (Powell and Reid 1969; Cox and Higham 1998, who pivot
columns too; here their order is that of the exponents).
"""

from __future__ import annotations

from .collective import exchange, fill, scale
from .gram_schmidt import LANES, gram_schmidt, orthogonality_loss
from .precision import real
from .targets.cpu import barrier, lanes, multiply, sqrt

NOISE = 2.0**-43
"""What is left of an entry counts as rounding error if it is smaller than this relative to its row,
512 eps: errors of an eps grow by the condition of the columns before. Were it 64 eps, directions
that a normalisation takes out would come back as noise."""


def equilibrate(frame, width, out):
    """Out = the frame with every row divided by its largest entry."""
    for r in lanes(frame.shape[0]):
        largest = real(0.0)
        for c in range(width):
            largest = max(largest, abs(frame[r, c]))
        for c in range(width):
            out[r, c] = frame[r, c] / largest if largest > real(0.0) else real(0.0)
    barrier()


def row_condition(equilibrated, kept, diagonal, overlap):
    """What errors relative to the rows are multiplied by: Gram-Schmidt's loss without row sizes.

    Parameters
    ----------
    equilibrated : (M, width)
        Consumed.
    kept : (width,)
        R_ii of the frame; columns with 0 have been found to depend on earlier ones.
    diagonal : (width,), overlap : (LANES, width)
        Work space.
    """
    for r in range(equilibrated.shape[0]):
        for c in lanes(kept.size):
            if kept[c] == real(0.0):
                equilibrated[r, c] = real(0.0)
    gram_schmidt(equilibrated, diagonal, overlap)
    return orthogonality_loss(equilibrated, diagonal, overlap[0])


def householder(frame, q, diagonal, reflections, swaps, overlap):
    """Reflections with pivoting of rows; columns that depend on earlier ones become zero.

    Parameters
    ----------
    frame : (M, width)
        Consumed.
    q : (M, width)
        Receives Q.
    diagonal : (width,)
        Receives R_ii; 0 for a column of which earlier columns leave nothing but rounding errors.
    reflections : (M or width, M)
        Work space: a vector in every row.
    swaps : (2, M), integers
        Work space: the column that a reflection is made of, and the row swapped for it.
    overlap : (LANES, width)
        Work space.

    Returns
    -------
    real
        By how much the worst R_ii is smaller than the row it stands in was, the column that was
        lost included.
    """
    rows, width = frame.shape[0], diagonal.size
    set_row_sizes(frame, width, q)
    used, worst = 0, real(1.0)
    for j in range(width):
        diagonal[j] = real(0.0)
        top, condition = choose_pivot(frame, q, j, used)
        worst = max(worst, condition)
        if top == rows:
            continue
        exchange(frame, used, top)
        exchange(q, used, top)
        swaps[0, used], swaps[1, used] = j, top
        v = reflections[used : used + 1]
        diagonal[j] = make_reflection(frame, j, used, v[0])
        reflect(v, used, frame, j + 1, overlap)
        used += 1
    for r in range(rows):
        for c in lanes(width):
            q[r, c] = real(0.0)
    barrier()
    for k in range(used - 1, -1, -1):
        j = swaps[0, k]
        q[k, j] = real(1.0)
        reflect(reflections[k : k + 1], k, q, j, overlap)
        exchange(q, k, swaps[1, k])
    return worst


def set_row_sizes(frame, width, sizes):
    """Sizes[r, c] = the largest entry of a row up to column c."""
    for r in lanes(frame.shape[0]):
        largest = real(0.0)
        for c in range(width):
            largest = max(largest, abs(frame[r, c]))
            sizes[r, c] = largest
    barrier()


def choose_pivot(frame, sizes, j, start):
    """(row, condition): where column j is largest from row `start` on, and relative to that row.

    Entries that are rounding errors of their row become zero; the number of rows if all are.
    """
    rows = frame.shape[0]
    best, largest, lost = rows, real(0.0), False
    for r in range(start, rows):
        size = abs(frame[r, j])
        if size <= real(NOISE) * sizes[r, j]:
            lost = lost or size > real(0.0)
        elif size > largest:
            best, largest = r, size
    barrier()
    for r in lanes(rows):
        if r >= start and abs(frame[r, j]) <= real(NOISE) * sizes[r, j]:
            frame[r, j] = real(0.0)
    barrier()
    if best == rows:
        return rows, real(1.0 / NOISE) if lost else real(1.0)
    return best, sizes[best, j] / largest


def make_reflection(frame, j, start, v):
    """Write v so that 1 - v v^T takes column j, from row `start` on, to that row; returns |x|.

    The column is divided by its first entry, which is its largest: no square under- or overflows.
    """
    top, rows = frame[start, j], frame.shape[0]
    square = real(0.0)
    for r in range(start, rows):
        entry = frame[r, j] / top
        square += entry * entry
    norm = sqrt(square)
    factor = real(1.0) / sqrt(square + norm)  # |v|^2 = 2 (square + norm)
    for r in lanes(rows):
        if r >= start:
            entry = frame[r, j] / top
            v[r] = factor * (entry + norm if r == start else entry)
    barrier()
    return norm * abs(top)


def reflect(v, start, matrix, first, overlap):
    """Matrix <- (1 - v v^T) matrix from column `first` on, where v is zero before row `start`.

    `v` is (1, M). From the start of a vector on: the columns before `first` are done with, or zero
    in these rows.
    """
    low = first - first % LANES
    own, rest, found = v[:, start:], matrix[start:, low : overlap.shape[1]], overlap[:1, low:]
    fill(overlap[0], real(0.0))
    multiply(own, rest, found)
    scale(overlap[0], real(-1.0))
    multiply(own.T, found, rest)
