"""The backward sweep of one network: the gradient of the loss, step by step into the past.

With L the gradient with respect to the state after a step, (dz, ds) the step's linearisation and N
the (symmetric) Jacobian of the normalisation, if there is one,

    dL/dz = dz^T L,    L' = ds^T L + W^T N dL/dz  (the last term into slot 0, which W reads).

Every cell's back-propagation through time (Werbos 1990) is this, and names no cell. L is kept as
L 2^k with a common exponent for all sequences, so that a chain of any length neither under- nor
overflows; powers of two make the rescaling exact.
"""

from __future__ import annotations

import numpy as np

from ..collective import fill, normalise, scale, square_norm
from ..math import power_of_two
from ..norms import project
from ..precision import RESCALE_AT, real
from ..targets.cpu import add_product, barrier, hold, lanes


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
    W = hold(ensemble.W)
    last = W.shape[0] - 1
    exponent = 0
    least, most = real(np.inf), real(0.0)
    for lag in range(steps - setting.burn_in):
        t = steps - 1 - lag
        if lag < ensemble.readout_gradient.shape[0]:
            exponent = add_loss(ensemble.readout_gradient[lag], cotangent, exponent)
        net = tape.net[t, :own]
        pull_to_net(tape.dz[t], cotangent, net)
        pull_to_state(tape.ds[t], cotangent, previous)
        barrier()
        delta = net
        if wiring.norm != 0:
            delta = sweep.delta
            pull_through_norm(t, wiring, tape, delta)
        pull_to_sources(t, W[min(t, last)], delta, previous[0])
        square, shift = safe_square_norm(net, wiring.input_row)
        sweep.square[lag] = square
        sweep.exponent[lag] = exponent + shift
        least, most = smaller(square, least), larger(square, most)
        cotangent, previous = previous, cotangent
        exponent += normalise(cotangent)
    sweep.extremes[0], sweep.extremes[1] = least, most


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


def pull_through_norm(t, wiring, tape, delta):
    """Gradient with respect to the recurrent terms, of which there are as many as rows of delta."""
    for g in range(delta.shape[0]):
        for i in lanes(delta.shape[1]):
            delta[g, i] = tape.net[t, g, i]
        barrier()
        unit, gain = tape.normalised[t, g], tape.gain[t, g]
        project(wiring.norm, delta[g], unit, gain, tape.work)
    if tape.exponent[t] > 0:  # the gain is that of terms in units of 2^exponent
        scale(delta, power_of_two(-tape.exponent[t]))


def safe_square_norm(net, input_row):
    """(s, k): the squared norm is s 4^k; dL/dnet is divided by 2^k where s would leave the format.

    Counted are the rows that an input term enters: the arguments of the cell's nonlinearities.
    """
    square = rows_square(net, input_row)
    limit = power_of_two(2 * RESCALE_AT)
    if square * limit < real(1.0) or square > limit:
        k = normalise(net)
        return rows_square(net, input_row), k
    return square, 0


def rows_square(net, rows):
    """Sum of squares of some rows."""
    total = real(0.0)
    for g in range(rows.size):
        total += square_norm(net[rows[g]])
    return total


def add_loss(gradient, cotangent, exponent):
    """Add dL/dh of one step to slot 0 of the cotangent; returns the exponent of the sum."""
    common = max(exponent, 0)
    if exponent != common:
        scale(cotangent, power_of_two(exponent - common))
    factor = power_of_two(-common)
    for i in lanes(gradient.size):
        cotangent[0, i] += factor * gradient[i]
    return common


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
