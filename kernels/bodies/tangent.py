"""The tangent sweep: how perturbations of the state travel forward, many at a time.

With V[a] a perturbation of slot a, (dz, ds) the step's linearisation and N the Jacobian of the
normalisation, if there is one,

    V' = dz . N (W V[0]) + ds . V

for every cell. Perturbations are the columns of a frame, whose rows are slot by slot the units of
all sequences: they pass W in one matrix product per gate and sequence.
"""

from __future__ import annotations

from ..collective import fill
from ..math import power_of_two
from ..norms import BATCH, project
from ..precision import real
from ..targets.cpu import barrier, lanes, multiply


def push(t, first, W, wiring, tape, frame, product, column, out):
    """Carry the tangents of a group of sequences through one step.

    Parameters
    ----------
    t : int
        Step.
    first : int
        First sequence of the group.
    W : (R, n, n)
    wiring : Wiring
    tape : Tape
    frame, out : (S D n, columns or more)
        Perturbations of the D sequences before and after the step.
    product : (R D n, columns)
        Work space.
    column : (3, D n)
        Work space; empty without a norm.
    """
    gates, units, _ = W.shape
    slots = tape.ds.shape[1]
    size, columns = frame.shape[0] // slots, product.shape[1]
    low = first * units
    fill(product, real(0.0))
    for g in range(gates):
        for d in range(0, size, units):
            below = g * size + d
            multiply(W[g], frame[d : d + units, :columns], product[below : below + units])
    if wiring.norm != 0:
        push_through_norm(t, first, wiring, tape, product, column)
    for a in range(slots):
        for i in range(size):
            row = out[a * size + i]
            set_scaled(tape.dz[t, a, 0, low + i], product[i], row)
            for g in range(1, gates):
                add_scaled(tape.dz[t, a, g, low + i], product[g * size + i], row)
            for s in range(slots):
                add_scaled(tape.ds[t, a, s, low + i], frame[s * size + i, :columns], row)
    barrier()


def push_through_norm(t, first, wiring, tape, product, column):
    """Multiply the perturbations of the recurrent terms by the Jacobian of the norm."""
    size = column.shape[1]
    units = tape.work.shape[1]
    low, group = first * units, size // units
    gains = units if wiring.norm == BATCH else group  # of all sequences together, or of each
    gradient, work = column[0], column[1:, :units]
    # the gain is that of terms in units of 2^exponent
    factor = power_of_two(-max(tape.exponent[t, first // group], 0))
    for g in range(product.shape[0] // size):
        unit = tape.normalised[t, g, low : low + size]
        gain = tape.gain[t, g, first : first + gains]
        terms = product[g * size : (g + 1) * size]
        for c in range(terms.shape[1]):
            for i in lanes(size):
                gradient[i] = terms[i, c] * factor
            barrier()
            project(wiring.norm, gradient, unit, gain, work)
            barrier()
            for i in lanes(size):
                terms[i, c] = gradient[i]
            barrier()


def set_scaled(factor, x, out):
    """Out = factor x; `out` may be longer."""
    for c in lanes(x.size):
        out[c] = factor * x[c]


def add_scaled(factor, x, out):
    """Out += factor x."""
    if factor != real(0.0):
        for c in lanes(x.size):
            out[c] += factor * x[c]
