"""The gradient with respect to the weights: the BPTT sum, and each of its terms.

dL/dW = sum over steps t and sequences b of dL/dnet_t (x) h_{t-1}; dL/dU has x_t and dL/db has 1 in
the place of h_{t-1} (Werbos 1990). The sum over all steps is one matrix product, which runs at
BLAS speed where rank-1 updates step by step would be bound by memory. Terms differ by hundreds of
orders of magnitude: they are brought to the exponent of the largest before they are added.
"""

from __future__ import annotations

from ..math import power_of_two
from ..precision import real
from ..targets.cpu import barrier, gemm, lanes, square_norm

NEVER = -(2**30)
"""Exponent of a term that is exactly zero."""


def weights(k, first, ensemble, tape, sweep, gradient):
    """Terms and sums of the BPTT gradient over the steps `first` and later.

    Parameters
    ----------
    k : int
        Network within the chunk.
    first : int
        First step of the measured window.
    ensemble : Ensemble
    tape : Tape
        After the adjoint sweep: ``tape.net`` holds dL/dnet.
    sweep : Adjoint
        Of that sweep.
    gradient : WeightGradient
        Filled for network k.
    """
    steps, sequences, gates, units = tape.net[k].shape
    features = ensemble.input.shape[3]
    count = (steps - first) * sequences
    delta = tape.net[k, first:].reshape(count, gates * units)
    exponent = gradient.step_exponent[k]

    rows = gradient.rows[k, : count * units].reshape(count, units)
    for t in range(first, steps):
        common = tape.exponent[k, t].max()
        for b in range(sequences):
            factor = power_of_two(tape.exponent[k, t, b] - common)
            copy_scaled(tape.state[k, t, b, 0], factor, rows[(t - first) * sequences + b])
        exponent[t - first] = sweep.exponent[k, steps - 1 - t] + common
    add_up(k, 0, delta, rows, exponent, sequences, gradient, gradient.W)

    for t in range(first, steps):
        exponent[t - first] = sweep.exponent[k, steps - 1 - t]
    if features > 0:
        rows = gradient.rows[k, : count * features].reshape(count, features)
        inputs = ensemble.input[k, first:].reshape(count, features)
        for row in range(count):
            copy_scaled(inputs[row], real(1.0), rows[row])
        add_up(k, 1, delta, rows, exponent, sequences, gradient, gradient.U)

    rows = gradient.rows[k, :count].reshape(count, 1)
    rows[:] = real(1.0)
    add_up(k, 2, delta, rows, exponent, sequences, gradient, gradient.b)


def copy_scaled(source, factor, out):
    """Out = factor * source."""
    for i in lanes(source.size):
        out[i] = factor * source[i]


def add_up(k, which, delta, rows, exponent, sequences, gradient, out):
    """Norms of the terms delta^T rows of each step, and their sum where one array holds it.

    Consumes `rows`. `which` is 0, 1, 2 for W, U, b; step j's terms carry the factor
    2^exponent[j].
    """
    window = exponent.size
    largest = NEVER
    for j in range(window):
        own = slice(j * sequences, (j + 1) * sequences)
        lag = window - 1 - j
        square = outer_square(delta[own], rows[own])
        gradient.square[k, which, lag] = square
        gradient.exponent[k, which, lag] = exponent[j]
        if square > real(0.0):
            largest = max(largest, exponent[j])
    if out.shape[1] == 0:  # fresh weights at every step: each term is a gradient of its own
        return
    for j in range(window):
        factor = power_of_two(max(exponent[j] - largest, -2000))
        for row in range(j * sequences, (j + 1) * sequences):
            copy_scaled(rows[row], factor, rows[row])
    barrier()
    gemm(delta.T, rows, out[k, 0])
    barrier()
    gradient.sum_square[k, which] = square_norm(out[k, 0])
    gradient.sum_exponent[k, which] = largest


def outer_square(delta, rows):
    """Squared Frobenius norm of sum_b delta_b (x) rows_b, from the two Gram matrices."""
    total = real(0.0)
    for b in range(delta.shape[0]):
        for c in range(delta.shape[0]):
            total += dot(delta[b], delta[c]) * dot(rows[b], rows[c])
    return max(total, real(0.0))


def dot(x, y):
    """Inner product."""
    total = real(0.0)
    for i in range(x.size):
        total += x[i] * y[i]
    return total
