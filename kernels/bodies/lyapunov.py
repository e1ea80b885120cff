"""The Lyapunov spectrum: how fast each of an orthonormal frame of tangents grows.

The discrete QR method (Benettin et al. 1980): the frame is carried through some steps and
orthonormalised again, and the exponents are the mean of ln R_ii per step. What each interval finds
decides how long the next one is: by how much orthogonality it lost, which is what R_ii lost in
accuracy, and the largest ratio of a column's length before to after, |x_i| / R_ii. An interval that
ends above `LIMIT` is thrown away and repeated at half the length from the frame at its start; where
one step is too much, `householder` takes over. A bad guess costs time, never accuracy; what is left
to tell is the worst condition met.

All of it is computed in float64 for networks of either precision: in float32 the ratio would allow
an interval of one step.
"""

from __future__ import annotations

import numpy as np

from ..collective import fill, magnitude
from ..gram_schmidt import gram_schmidt, orthogonality_loss
from ..householder import equilibrate, householder, row_condition
from ..precision import real
from ..targets.cpu import log
from .frame import accumulate, largest_ratio, mark_vanished, set_column_squares, set_frame
from .tangent import push

LIMIT = 1e8
"""Largest condition of an interval: ln R_ii is good to eight digits, and its errors do not add up.
A single step may exceed it."""

SAFETY = 15.0
"""Intervals are chosen to end this much below the limit: the ratio fluctuates."""

LONGEST = 32
"""Steps of an interval at most; nothing is gained beyond."""

FARTHEST = 300.0
"""|ln R_ii| of an interval at most, so that squares of lengths stay in range."""


def lyapunov(setting, network):
    """Growth of the frame over the measured window, in blocks of steps.

    The step's Jacobians are those of the product `jacobian`: from the second step of the window on.
    The first ``setting.burn_in`` of them turn the frame and are not counted. Sequences have a
    spectrum each, unless a normalisation over the batch couples them.

    Parameters
    ----------
    setting : Setting
    network : Chunk
        After the forward sweep.
    """
    tape, spectrum = network.tape, network.spectrum
    groups, blocks, _ = spectrum.growth.shape
    first = 2 * setting.burn_in + 1
    count = tape.dz.shape[0] - first
    spectrum.report[0], intervals = real(1.0), real(0.0)
    for c in range(groups):
        set_frame(setting.frame, spectrum.basis[0])
        here, pace, t = 0, real(log(LIMIT)), setting.burn_in + 1
        for block in range(-1, blocks):  # block -1 turns the frame
            counted = max(block, 0)
            growth, exponent = spectrum.growth[c, counted], spectrum.exponent[c, counted]
            fill(growth, real(1.0))
            fill(exponent, 0)
            stop = first + count * (block + 1) // blocks
            while t < stop:
                here, span, pace = advance(t, stop - t, c, here, pace, setting, network)
                accumulate(spectrum.diagonal[1], growth, exponent)
                intervals += real(block >= 0)
                t += span
    spectrum.report[1] = intervals


def advance(t, steps, c, here, pace, setting, network):
    """One interval: (where the new frame is, steps done, ln of the ratio per step)."""
    spectrum = network.spectrum
    square, diagonal = spectrum.diagonal[0], spectrum.diagonal[1]
    span = next_span(steps, pace)
    careful = pace > log(LIMIT)
    worst = spectrum.report[0]  # before a lane writes what others have still to read
    while True:
        end = carry(t, span, c, here, setting, network)
        frame = spectrum.basis[end]
        set_column_squares(frame, square)
        if span > 1:
            mark_vanished(spectrum.basis[here], square)
        if careful:
            other = 3 - here - end
            lost = orthonormalise_carefully(
                frame, spectrum.basis[other], spectrum.basis[here], spectrum
            )
            end = other
            break
        gram_schmidt(frame, diagonal, spectrum.overlap)
        lost = orthogonality_loss(frame, diagonal, spectrum.overlap[0])
        lost = max(lost, largest_ratio(square, diagonal))
        if lost <= LIMIT:
            break
        careful = span == 1
        span = max(1, span // 2)
    spectrum.report[0] = max(worst, lost)
    found = max(log(lost), strain(square, diagonal)) / span
    return end, span, found if pace == np.inf or found == np.inf else real(0.5) * (pace + found)


def next_span(steps, pace):
    """Length of the next of equal intervals that make up some steps."""
    room = log(LIMIT / SAFETY)
    longest = max(1, int(room / max(pace, room / LONGEST)))
    intervals = (steps + longest - 1) // longest
    return (steps + intervals - 1) // intervals


def carry(t, span, c, here, setting, network):
    """Push the frame through some steps; returns where the result is. The frame itself stays."""
    ensemble, spectrum = network.ensemble, network.spectrum
    last = ensemble.W.shape[0] - 1
    group = setting.frame.shape[0] // (network.tape.ds.shape[1] * ensemble.W.shape[3])
    source, target = here, (here + 1) % 3
    for step in range(t, t + span):
        push(
            step,
            c * group,
            ensemble.W[min(step, last)],
            setting.wiring,
            network.tape,
            spectrum.basis[source],
            spectrum.product,
            spectrum.column,
            spectrum.basis[target],
        )
        source, target = target, 3 - here - target
    return source


def orthonormalise_carefully(frame, q, spare, spectrum):
    """Householder's Q R, and its condition; all of R is NaN if the frame is not finite."""
    diagonal = spectrum.diagonal[1]
    total = real(0.0)
    for r in range(frame.shape[0]):
        total += magnitude(frame[r, : diagonal.size])
    if total < real(np.inf):  # not if NaN
        equilibrate(frame, diagonal.size, spare)
        work = spectrum.reflections, spectrum.swaps, spectrum.overlap
        worst = householder(frame, q, diagonal, *work)
        return max(worst, row_condition(spare, diagonal, spectrum.diagonal[2], spectrum.overlap))
    fill(diagonal, real(np.nan))
    fill(q, real(np.nan))
    return real(1.0)


def strain(square, diagonal):
    """How near an interval came to the end of its accuracy, `LIMIT`, or of its range; a logarithm.

    Beyond the range lengths would become zero unseen.
    """
    ratio, farthest = largest_ratio(square, diagonal), real(1.0)
    if ratio == np.inf:
        return ratio
    for c in range(square.size):
        if square[c] != real(0.0):
            left = diagonal[c] * diagonal[c]
            farthest = max(farthest, left, real(1.0) / left)
    share = log(LIMIT) / (real(2.0) * FARTHEST)
    return max(log(ratio), share * log(farthest))
