"""The tangent sweep: how perturbations of the state travel forward, many at a time.

With V[a] a perturbation of slot a, (dz, ds) the step's linearisation and N the Jacobian of the
normalisation, if there is one,

    V' = dz . N (W V[0]) + ds . V

for every cell. The perturbations of all columns pass W in one matrix product per gate.
"""

from __future__ import annotations

from ..math import power_of_two
from ..norms import BATCH, project
from ..precision import real
from ..targets.cpu import gemm, lanes, scale


def push(t, first, W_transposed, wiring, tape, tangent, product, out):
    """Carry the tangents of a group of sequences through one step.

    Parameters
    ----------
    t : int
        Step.
    first : int
        First sequence of the group.
    W_transposed : (R, n, n)
    wiring : Wiring
    tape : Tape
    tangent, out : (S, M, D n)
        Perturbations of the D sequences before and after the step, one per index of M.
    product : (R, M, D n)
        Work space.
    """
    slots, columns, size = tangent.shape
    gates, units, _ = W_transposed.shape
    rows = columns * size // units
    low = first * units
    for g in range(gates):
        gemm(tangent[0].reshape(rows, units), W_transposed[g], product[g].reshape(rows, units))
    if wiring.norm != 0:
        push_through_norm(t, first, wiring, tape, product)
    for a in range(slots):
        dz, ds = tape.dz[t, a, :, low : low + size], tape.ds[t, a, :, low : low + size]
        for c in range(columns):
            row = out[a, c]
            for i in lanes(size):
                row[i] = real(0.0)
            for g in range(gates):
                add_entrywise(dz[g], product[g, c], row)
            for s in range(slots):
                add_entrywise(ds[s], tangent[s, c], row)


def push_through_norm(t, first, wiring, tape, product):
    """Multiply the perturbations of the recurrent terms by the Jacobian of the norm."""
    gates, columns, size = product.shape
    units = tape.work.shape[1]
    low, group = first * units, size // units
    gains = units if wiring.norm == BATCH else group  # of all sequences together, or of each
    for g in range(gates):
        unit = tape.normalised[t, g, low : low + size]
        gain = tape.gain[t, g, first : first + gains]
        for c in range(columns):
            project(wiring.norm, product[g, c], unit, gain, tape.work)
    if tape.exponent[t] > 0:  # the gain is that of terms in units of 2^exponent
        scale(product, power_of_two(-tape.exponent[t]))


def add_entrywise(x, y, out):
    """Out += x y, entry by entry."""
    for i in lanes(out.size):
        out[i] += x[i] * y[i]
