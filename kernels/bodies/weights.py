"""The gradient with respect to the weights: the BPTT sum, and each of its terms.

dL/dW = sum over steps t and sequences b of dL/d(W h) (x) h_{t-1}; dL/dU has U x and x_t in the
place of W h and h_{t-1}, dL/db the pre-activation and 1 (Werbos 1990). The gradients of the terms
W h and U x are dL/dnet of their rows, through the normalisation if there is one; the bias is added
after that. The sum over all steps is one matrix product, which runs at BLAS speed where rank-1
updates step by step would be bound by memory. Terms differ by hundreds of orders of magnitude: they
are brought to the exponent of the largest before they are added.
"""

from __future__ import annotations

from ..math import power_of_two
from ..norms import project
from ..precision import real
from ..targets.cpu import barrier, gemm, lanes, normalise, square_norm

NEVER = -(2**30)
"""Exponent of a term that is exactly zero."""


def weights(k, first, ensemble, wiring, tape, sweep, gradient):
    """Terms and sums of the BPTT gradient over the steps `first` and later.

    Parameters
    ----------
    k : int
        Network within the chunk.
    first : int
        First step of the measured window.
    ensemble : Ensemble
    wiring : Wiring
    tape : Tape
        After the adjoint sweep: ``tape.net`` holds dL/dnet.
    sweep : Adjoint
        Of that sweep.
    gradient : WeightGradient
        Filled for network k.
    """
    steps, units = tape.net.shape[1], ensemble.W.shape[4]
    sequences, features = ensemble.input.shape[2:]
    count = (steps - first) * sequences
    exponent = gradient.step_exponent[k]
    R = ensemble.W.shape[2]
    recurrent = wiring.every_row[:R]

    rows = gradient.rows[k, : count * units].reshape(count, units)
    for t in range(first, steps):
        exponent[t - first] = sweep.exponent[k, steps - 1 - t] + tape.exponent[k, t]
        for b in range(sequences):
            h = tape.state[k, t, 0, b * units : (b + 1) * units]
            copy_scaled(h, real(1.0), rows[(t - first) * sequences + b])
    collect(k, first, R, recurrent, recurrent, wiring.norm, tape, gradient)
    add_up(k, 0, first, rows, sequences, tape, gradient, gradient.W)

    if features > 0:
        copy_reversed(sweep.exponent[k], exponent)
        rows = gradient.rows[k, : count * features].reshape(count, features)
        inputs = ensemble.input[k, first:].reshape(count, features)
        for row in range(count):
            copy_scaled(inputs[row], real(1.0), rows[row])
        for j in range(steps - first):
            exponent[j] += normalise(rows[j * sequences : (j + 1) * sequences])
        rows_in, terms_in = wiring.input_row, wiring.term_row
        collect(k, first, R, rows_in, terms_in, wiring.norm, tape, gradient)
        add_up(k, 1, first, rows, sequences, tape, gradient, gradient.U)

    copy_reversed(sweep.exponent[k], exponent)
    rows = gradient.rows[k, :count].reshape(count, 1)
    rows[:] = real(1.0)
    collect(k, first, R, wiring.every_row, wiring.every_row, 0, tape, gradient)
    add_up(k, 2, first, rows, sequences, tape, gradient, gradient.b)


def collect(k, first, recurrent, rows, terms, norm, tape, gradient):
    """Fill `gradient.delta` by dL/d(terms), (lag B, len(rows) n).

    It is made of the gradients of the pre-activations `rows`, and needed only where what the
    adjoint sweep left is not in this form already.

    `terms` are the rows of the normalisation to pass; those below `recurrent` hold W h, in units
    of the state's power of two. A step's gradients get an exponent of their own, as they may be
    far smaller than others of the step.
    """
    if gradient.delta.shape[1] == 0:
        return
    steps, _, size = tape.net[k].shape
    window, units = steps - first, tape.work.shape[2]
    used, sequences = window * rows.size * size, size // units
    delta = gradient.delta[k, :used].reshape(window * sequences, rows.size * units)
    passed = gradient.passed[k]
    for low in range(window):
        t = first + low
        above = max(tape.exponent[k, t], 0) if norm != 0 else 0
        common = above if largest_of(terms) < recurrent else 0
        for g in range(rows.size):
            copy_scaled(tape.net[k, t, rows[g]], real(1.0), passed)
            if norm != 0:
                unit, gain = tape.normalised[k, t, terms[g]], tape.gain[k, t, terms[g]]
                project(norm, passed, unit, gain, tape.work[k])
            factor = power_of_two(common - above) if terms[g] < recurrent else real(1.0)
            for b in range(sequences):
                own = passed[b * units : (b + 1) * units]
                out = delta[low * sequences + b, g * units : (g + 1) * units]
                copy_scaled(own, factor, out)
        block = delta[low * sequences : (low + 1) * sequences]
        gradient.step_exponent[k, low] += normalise(block) - common


def largest_of(rows):
    """The largest row number."""
    largest = 0
    for g in range(rows.size):
        largest = max(largest, rows[g])
    return largest


def copy_reversed(source, out):
    """Out = source in the other order: by step instead of by lag."""
    for j in range(out.size):
        out[j] = source[out.size - 1 - j]


def copy_scaled(source, factor, out):
    """Out = factor * source."""
    for i in lanes(source.size):
        out[i] = factor * source[i]


def add_up(k, which, first, rows, sequences, tape, gradient, out):
    """Norms of the terms delta^T rows of each step, and their sum where one array holds it.

    delta is what `collect` left. Consumes `rows`. `which` is 0, 1, 2 for W, U, b; step j's terms
    carry the factor 2^exponent[j].
    """
    exponent, width = gradient.step_exponent[k], out.shape[2]
    window = exponent.size
    delta = tape.net[k, first:].reshape(window, tape.net.shape[2] * tape.net.shape[3])
    if gradient.delta.shape[1] > 0:
        used = window * sequences * width
        delta = gradient.delta[k, :used].reshape(window * sequences, width)
    largest = NEVER
    for j in range(window):
        own = slice(j * sequences, (j + 1) * sequences)
        lag = window - 1 - j
        square = outer_square(delta[own], rows[own])
        gradient.square[k, which, lag] = square
        gradient.exponent[k, which, lag] = exponent[j]
        if square > real(0.0):
            largest = max(largest, exponent[j])
    if out.shape[1] != 1:  # fresh weights at every step: each term is a gradient of its own
        for j in range(out.shape[1]):
            own = slice(j * sequences, (j + 1) * sequences)
            gemm(delta[own].T, rows[own], out[k, j])
        return
    for j in range(window):
        # a term above the largest that counts is zero itself
        factor = power_of_two(min(max(exponent[j] - largest, -2000), 0))
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
