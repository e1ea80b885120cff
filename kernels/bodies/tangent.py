"""The tangent sweep: how perturbations of the state travel forward, many at a time.

With V[a] a perturbation of slot a and (dz, ds) the step's linearisation,

    V' = dz . (W V[0]) + ds . V

for every cell. Columns are perturbations; one step is a matrix product with W.
"""

from __future__ import annotations

from ..targets.cpu import gemm, lanes


def push(W, dz, ds, tangent, product, out):
    """Carry the tangents of one sequence through one step.

    Parameters
    ----------
    W : (G n, n)
    dz : (S, G, n)
    ds : (S, S, n)
    tangent, out : (S, n, c)
        Perturbations before and after the step.
    product : (G n, c)
        Work space.
    """
    slots, gates, units = dz.shape
    gemm(W, tangent[0], product)
    for a in range(slots):
        for i in lanes(units):
            row = out[a, i]
            row[:] = dz[a, 0, i] * product[i]
            for g in range(1, gates):
                row += dz[a, g, i] * product[g * units + i]
            for b in range(slots):
                row += ds[a, b, i] * tangent[b, i]
