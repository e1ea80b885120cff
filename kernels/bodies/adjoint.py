"""The backward sweep of one network: the gradient of the loss, step by step into the past.

With L the gradient with respect to the state after a step, (dz, ds) the step's linearisation and N
the (symmetric) Jacobian of the normalisation, if there is one,

    dL/dz = dz^T L,    L' = ds^T L + W^T N dL/dz  (the last term into slot 0, which W reads).

Every cell's back-propagation through time (Werbos 1990) is this, and names no cell. L is kept as
L 2^k with an exponent for each group of sequences, so that a chain of any length neither under- nor
overflows; powers of two make the rescaling exact.
"""

from __future__ import annotations

import numpy as np

from ..collective import (
    fill,
    magnitude,
    normalise_part,
    scale_part,
    square_of_part,
    surely_in_range,
)
from ..math import power_of_two
from ..norms import project
from ..precision import RESCALE_AT, real
from ..targets.cpu import add_product, barrier, hold, lanes, own_magnitude, section, total


def adjoint(setting, network):
    """Back-propagate through the measured window; overwrites ``tape.net`` by dL/dnet.

    Parameters
    ----------
    setting : Setting
    network : Chunk
        After the forward sweep.
    """
    ensemble, wiring = network.ensemble, setting.wiring
    tape, sweep = network.tape, network.adjoint
    cotangent, previous = sweep.cotangent[0], sweep.cotangent[1]
    fill(cotangent, real(0.0))
    steps, own = tape.net.shape[0], tape.dz.shape[2]
    window, size = steps - setting.burn_in, cotangent.shape[1] // sweep.group_exponent.shape[1]
    W = hold(ensemble.W)
    last = W.shape[0] - 1
    for c in range(sweep.group_exponent.shape[1]):
        sweep.group_exponent[0, c] = 0
    least, most = real(np.inf), real(0.0)
    for lag in range(window):
        t = steps - 1 - lag
        if lag < ensemble.readout_gradient.shape[0]:
            add_loss(ensemble.readout_gradient[lag], size, cotangent, sweep.group_exponent[lag])
        net = tape.net[t, :own]
        pull_to_net(tape.dz[t], cotangent, net)
        pull_to_state(tape.ds[t], cotangent, previous)
        barrier()
        delta = net
        if wiring.norm != 0:
            delta = sweep.delta
            pull_through_norm(t, size, wiring, tape, delta)
        pull_to_sources(t, W[min(t, last)], delta, previous[0])
        rescale(lag, min(lag + 1, window - 1), size, previous, sweep)
        square = record_norm(lag, size, net, wiring.input_row, sweep)
        least, most = smaller(square, least), larger(square, most)
        cotangent, previous = previous, cotangent
    sweep.extremes[0], sweep.extremes[1] = least, most


def rescale(lag, following, size, cotangent, sweep):
    """Divide the cotangent of every group by a power of two where it has left the safe range."""
    groups, every = sweep.group_exponent.shape[1], real(np.inf)
    if groups > 1:
        every = magnitude(cotangent)
    for c in range(groups):
        k = 0
        if not surely_in_range(cotangent, c * size, every):
            k, _ = normalise_part(cotangent, c * size, size)
        if following > lag:
            sweep.group_exponent[following, c] = sweep.group_exponent[lag, c] + k


def smaller(x, y):
    """The smaller one of two numbers; NaN if either is."""
    return x if x <= y or x != x else y


def larger(x, y):
    """The larger one of two numbers; NaN if either is."""
    return x if x >= y or x != x else y


def pull_to_sources(t, W, delta, previous):
    """Previous += sum over the gates g that read h of W[g]^T delta[g], for every sequence."""
    for g in range(W.shape[0]):
        add_product(delta[g], W[g], previous, t % 2 == 1)


def pull_through_norm(t, size, wiring, tape, delta):
    """Gradient with respect to the recurrent terms, of which there are as many as rows of delta."""
    for g in range(delta.shape[0]):
        for i in lanes(delta.shape[1]):
            delta[g, i] = tape.net[t, g, i]
        barrier()
        unit, gain = tape.normalised[t, g], tape.gain[t, g]
        project(wiring.norm, delta[g], unit, gain, tape.work)
    for c in range(tape.exponent.shape[1]):
        if tape.exponent[t, c] > 0:  # the gain is that of terms in units of 2^exponent
            scale_part(delta, c * size, size, power_of_two(-tape.exponent[t, c]))


def record_norm(lag, size, net, input_row, sweep):
    """Store the norm of dL/dnet of all groups together; returns its square, without its exponent.

    Counted are the rows that an input term enters: the arguments of the cell's nonlinearities.
    """
    square, exponent = real(0.0), 0
    for c in range(sweep.group_exponent.shape[1]):
        before = sweep.group_exponent[lag, c]  # read before the barriers of what follows
        own, shift = safe_square_norm(net, c * size, size, input_row)
        place = before + shift
        sweep.group_exponent[lag, c] = place
        square, exponent = joined(square, exponent, own, place)
    sweep.square[lag] = square
    sweep.exponent[lag] = exponent
    return square


def joined(square, exponent, other, place):
    """(s, k) with s 4^k = square 4^exponent + other 4^place; k is that of one that is not 0."""
    if place == exponent:
        return square + other, place
    if square == real(0.0):
        return other, place
    if other == real(0.0):
        return square, exponent
    top = max(exponent, place)
    low, high = power_of_two(exponent - top), power_of_two(place - top)
    return square * low * low + other * high * high, top


def safe_square_norm(net, low, size, input_row):
    """(s, k): the squared norm is s 4^k; dL/dnet is divided by 2^k where s would leave the format.

    Of the columns low, ..., low + size - 1.
    """
    square = rows_square(net, low, size, input_row)
    limit = power_of_two(2 * RESCALE_AT)
    if square * limit < real(1.0) or square > limit:
        k, _ = normalise_part(net, low, size)
        return rows_square(net, low, size, input_row), k
    return square, 0


def rows_square(net, low, size, rows):
    """Sum of squares of some rows, in the columns low, ..., low + size - 1."""
    total = real(0.0)
    for g in range(rows.size):
        total += square_of_part(net[rows[g]], low, size)
    return total


def add_loss(gradient, size, cotangent, exponent):
    """Add dL/dh of one step to slot 0 of the cotangent; sets the exponents of the sum."""
    barrier()  # a lane has other units here than in a loop over all sequences
    for c in range(exponent.size):
        before, low = exponent[c], c * size
        if before < 0 and total(own_magnitude(gradient, low, size)) == real(0.0):
            continue
        common = max(before, 0)
        if before != common:
            scale_part(cotangent, low, size, power_of_two(before - common))
            exponent[c] = common  # which all lanes have read before the barriers
        factor = power_of_two(-common)
        own, part = section(gradient, low, size), section(cotangent[0], low, size)
        for i in lanes(size):
            part[i] += factor * own[i]
    barrier()


def pull_to_net(dz, cotangent, delta):
    """Delta[p] = sum over slots a of dz[a, p] cotangent[a]."""
    slots, rows, units = dz.shape
    for p in range(rows):
        for i in lanes(units):
            delta[p, i] = dz[0, p, i] * cotangent[0, i]
        for a in range(1, slots):
            for i in lanes(units):
                delta[p, i] += dz[a, p, i] * cotangent[a, i]


def pull_to_state(ds, cotangent, previous):
    """Previous[b] = sum over slots a of ds[a, b] cotangent[a]."""
    slots, _, units = ds.shape
    for b in range(slots):
        for i in lanes(units):
            previous[b, i] = ds[0, b, i] * cotangent[0, i]
        for a in range(1, slots):
            for i in lanes(units):
                previous[b, i] += ds[a, b, i] * cotangent[a, i]
