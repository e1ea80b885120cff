"""The backward sweep of one network: the gradient of the loss, step by step into the past.

With L the gradient with respect to the state after a step and (dz, ds) the step's linearisation,

    dL/dz = dz^T L,    L' = ds^T L + W^T dL/dz  (the last term into slot 0, which W reads).

Every cell's back-propagation through time (Werbos 1990) is this, and names no cell. L is kept as
L 2^k with a common exponent for all sequences, so that a chain of any length neither under- nor
overflows; powers of two make the rescaling exact.
"""

from __future__ import annotations

from ..math import power_of_two
from ..precision import RESCALE_AT, real
from ..targets.cpu import barrier, lanes, matvec, normalise, scale, square_norm


def adjoint(k, first, ensemble, tape, sweep):
    """Back-propagate through the steps `first` and later; overwrites ``tape.net`` by dL/dnet.

    Parameters
    ----------
    k : int
        Network within the chunk.
    first : int
        First step of the measured window.
    ensemble : Ensemble
    tape : Tape
        Of a forward sweep.
    sweep : Adjoint
        Filled for network k.
    """
    cotangent, previous = sweep.cotangent[k, 0], sweep.cotangent[k, 1]
    cotangent[:] = real(0.0)
    steps, sequences, gates, units = tape.net[k].shape
    last = ensemble.W_transposed.shape[1] - 1
    exponent = 0
    for lag in range(steps - first):
        t = steps - 1 - lag
        if lag < ensemble.readout_gradient.shape[1]:
            exponent = add_loss(ensemble.readout_gradient[k, lag], cotangent, exponent)
        W = ensemble.W_transposed[k, min(t, last)]
        for b in range(sequences):
            delta = tape.net[k, t, b]
            pull_to_net(tape.dz[k, t, b], cotangent[b], delta)
            pull_to_state(tape.ds[k, t, b], cotangent[b], previous[b])
            barrier()
            matvec(W, delta.reshape(gates * units), previous[b, 0])
            barrier()
        square, shift = safe_square_norm(tape.net[k, t])
        sweep.square[k, lag] = square
        sweep.exponent[k, lag] = exponent + shift
        cotangent, previous = previous, cotangent
        exponent += normalise(cotangent)


def safe_square_norm(delta):
    """(s, k): the squared norm is s 4^k; delta is divided by 2^k where s would leave the format."""
    square = square_norm(delta)
    limit = power_of_two(2 * RESCALE_AT)
    if square * limit < real(1.0) or square > limit:
        k = normalise(delta)
        return square_norm(delta), k
    return square, 0


def add_loss(gradient, cotangent, exponent):
    """Add dL/dh of one step to slot 0 of the cotangent; returns the exponent of the sum."""
    common = max(exponent, 0)
    if exponent != common:
        scale(cotangent, power_of_two(exponent - common))
    factor = power_of_two(-common)
    sequences, units = gradient.shape
    for b in range(sequences):
        for i in lanes(units):
            cotangent[b, 0, i] += factor * gradient[b, i]
    return common


def pull_to_net(dz, cotangent, delta):
    """Delta[g] = sum over slots a of dz[a, g] cotangent[a]."""
    slots, gates, units = dz.shape
    for g in range(gates):
        for i in lanes(units):
            delta[g, i] = dz[0, g, i] * cotangent[0, i]
        for a in range(1, slots):
            for i in lanes(units):
                delta[g, i] += dz[a, g, i] * cotangent[a, i]


def pull_to_state(ds, cotangent, previous):
    """Previous[b] = sum over slots a of ds[a, b] cotangent[a]."""
    slots, _, units = ds.shape
    for b in range(slots):
        for i in lanes(units):
            previous[b, i] = ds[0, b, i] * cotangent[0, i]
        for a in range(1, slots):
            for i in lanes(units):
                previous[b, i] += ds[a, b, i] * cotangent[a, i]
