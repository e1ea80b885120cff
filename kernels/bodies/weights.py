"""The gradient with respect to the weights: the BPTT sum, and each of its terms.

dL/dW = sum over steps t and sequences b of dL/d(W h) (x) h_{t-1}; dL/dU has U x and x_t in the
place of W h and h_{t-1}, dL/db the pre-activation and 1 (Werbos 1990). The gradients of the terms
W h and U x are dL/dnet of their rows, through the normalisation if there is one; the bias is added
after that. The sum over all steps is one matrix product, which runs at the speed of the arithmetic
where rank-1 updates step by step would be bound by memory. Terms differ by hundreds of orders of
magnitude: they are brought to the exponent of the largest before they are added.
"""

from __future__ import annotations

from ..collective import fill, square_norm
from ..math import power_of_two
from ..precision import real
from ..rows import dot
from ..targets.cpu import barrier, flat, lanes, largest_integer, multiply, reshaped
from .factors import (
    all_equal,
    bring_to_scale,
    collect,
    copy_reversed,
    copy_states,
    moderate,
    normalise_steps,
)
from .scales import clip_exponent

NEVER = -(2**30)
"""Exponent of a term that is exactly zero."""


def weights(setting, network):
    """Terms and sums of the BPTT gradient over the measured window.

    Parameters
    ----------
    setting : Setting
    network : Chunk
        After the adjoint sweep: ``tape.net`` holds dL/dnet.
    """
    sequences = network.ensemble.input.shape[1]
    gradient_of_W(sequences, setting, network)
    if network.ensemble.input.shape[2] > 0:
        gradient_of_U(sequences, setting, network)
    else:
        set_to_zero(1, network.gradient, network.gradient.U)
    gradient_of_b(sequences, setting, network)


def gradient_of_W(sequences, setting, network):
    """The gradient of W."""
    wiring, first = setting.wiring, setting.burn_in
    tape, gradient = network.tape, network.gradient
    R, units = network.ensemble.W.shape[1:3]
    steps, exponent = tape.net.shape[0], gradient.step_exponent
    count = (steps - first) * sequences
    copy_reversed(network.adjoint.group_exponent, exponent)
    for j in lanes(exponent.shape[0]):
        for c in range(exponent.shape[1]):
            own = tape.exponent[first + j, c]
            exponent[j, c] += own
            if setting.scaling.order == 2:  # dh'/d(W h) is that of the scale of the evaluation
                exponent[j, c] += own - clip_exponent(own)
    barrier()
    rows = reshaped(gradient.rows[: count * units], (count, units))
    if tape.state.shape[1] == 1:  # the states lie together
        rows = reshaped(tape.state[first:steps], (count, units))
    else:
        copy_states(tape.state[first:steps, 0], sequences, rows)
        barrier()
    apart = tape.state.shape[1] > 1 and not moderate(flat(rows))  # h may be far below its cell
    if apart or tape.scaled_from[0] >= 0:
        copy = reshaped(gradient.rows[: count * units], (count, units))
        normalise_steps(rows, sequences, exponent, copy)
        rows = copy
    own = wiring.every_row[:R]
    collect(first, R, own, own, wiring.norm, tape, gradient)
    add_up(0, first, rows, sequences, network, gradient.W)


def gradient_of_U(sequences, setting, network):
    """The gradient of U."""
    wiring, first, gradient = setting.wiring, setting.burn_in, network.gradient
    R, inputs = network.ensemble.W.shape[1], network.ensemble.input[first:]
    count, features = inputs.shape[0] * sequences, inputs.shape[2]
    copy_reversed(network.adjoint.group_exponent, gradient.step_exponent)
    barrier()
    rows = reshaped(inputs, (count, features))
    if not moderate(flat(rows)):
        copy = reshaped(gradient.rows[: count * features], (count, features))
        normalise_steps(rows, sequences, gradient.step_exponent, copy)
        rows = copy
    collect(first, R, wiring.input_row, wiring.term_row, wiring.norm, network.tape, gradient)
    add_up(1, first, rows, sequences, network, gradient.U)


def gradient_of_b(sequences, setting, network):
    """The gradient of b: every row is 1."""
    every, first, gradient = setting.wiring.every_row, setting.burn_in, network.gradient
    count = gradient.step_exponent.shape[0] * sequences
    copy_reversed(network.adjoint.group_exponent, gradient.step_exponent)
    rows = reshaped(gradient.rows[:count], (count, 1))
    fill(rows, real(1.0))
    collect(first, network.ensemble.W.shape[1], every, every, 0, network.tape, gradient)
    add_up(2, first, rows, sequences, network, gradient.b)


def set_to_zero(which, gradient, out):
    """No terms at all: the network is not driven."""
    fill(out, real(0.0))
    gradient.sum_square[which] = real(0.0)
    gradient.sum_exponent[which] = 0
    fill(gradient.square[which], real(0.0))
    fill(gradient.exponent[which], 0)


def add_up(which, first, rows, sequences, network, out):
    """Norms of the terms delta^T rows of each step, and their sum where one array holds it.

    delta is what `collect` left. `which` is 0, 1, 2 for W, U, b; the terms of group c at step j
    carry the factor 2^exponent[j, c].
    """
    tape, gradient = network.tape, network.gradient
    exponent, width = gradient.step_exponent, out.shape[1]
    window, groups = exponent.shape
    delta = reshaped(tape.net[first:], (window, tape.net.shape[1] * tape.net.shape[2]))
    if gradient.delta.shape[0] > 0:
        used = window * sequences * width
        delta = reshaped(gradient.delta[:used], (window * sequences, width))
    largest = record_terms(which, sequences, delta, rows, network.adjoint, gradient)
    fill(out, real(0.0))
    if out.shape[0] != 1:  # fresh weights at every step: each term is a gradient of its own
        for j in range(out.shape[0]):
            own = slice(j * sequences, (j + 1) * sequences)
            factor = rows[own]
            if groups > 1:  # to the scale of the step
                place, step = gradient.exponent[which, window - 1 - j], slice(j, j + 1)
                copy = reshaped(gradient.rows[: factor.size], factor.shape)
                bring_to_scale(factor, sequences, exponent[step], place, copy)
                barrier()
                factor = copy
            multiply(delta[own].T, factor, out[j])
        return
    if not all_equal(flat(exponent)):
        copy = reshaped(gradient.rows[: rows.size], rows.shape)
        bring_to_scale(rows, sequences, exponent, largest, copy)
        rows = copy
        barrier()
    if out.shape[2] == 1:  # as a row
        multiply(rows.T, delta, reshaped(out[0], (1, width)))
    else:
        multiply(delta.T, rows, out[0])
    gradient.sum_square[which] = square_norm(out[0])
    gradient.sum_exponent[which] = largest


def record_terms(which, sequences, delta, rows, sweep, gradient):
    """Squared norms of the terms; returns the largest exponent of those that are not zero."""
    exponent, top = gradient.step_exponent, NEVER
    known = gradient.delta.shape[0] == 0  # |delta|^2: delta is what the adjoint sweep left
    window = exponent.shape[0]
    for j in lanes(window):
        lag, common = window - 1 - j, exponent[j, 0]
        if known:
            square = sweep.square[lag] * dot(rows[j], rows[j])
        else:
            own = slice(j * sequences, (j + 1) * sequences)
            if not all_equal(exponent[j]):
                common = common_exponent(delta[own], rows[own], exponent[j])
            square = outer_square(delta[own], rows[own], exponent[j], common)
        gradient.square[which, lag] = square
        gradient.exponent[which, lag] = common
        if square > real(0.0):
            top = max(top, common)
    return largest_integer(top)


def common_exponent(delta, rows, exponent):
    """The largest exponent of the terms of a step that are not zero, each of a sequence."""
    top = NEVER
    for b in range(exponent.size):
        if dot(delta[b], delta[b]) * dot(rows[b], rows[b]) != real(0.0):
            top = max(top, exponent[b])
    return top if top != NEVER else exponent[0]


def outer_square(delta, rows, exponent, common):
    """Squared Frobenius norm of sum_b delta_b (x) rows_b, from the two Gram matrices.

    In units of 4^common; where sequences are groups of their own, each has an exponent.
    """
    total, apart = real(0.0), not all_equal(exponent)
    for b in range(delta.shape[0]):
        for c in range(b + 1):  # the matrices are symmetric
            product = dot(delta[b], delta[c]) * dot(rows[b], rows[c])
            if c < b:
                product *= real(2.0)
            if apart:
                low, high = min(exponent[b] - common, 0), min(exponent[c] - common, 0)
                product *= power_of_two(low) * power_of_two(high)
            total += product
    return max(total, real(0.0))
