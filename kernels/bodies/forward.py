"""The forward sweep of one network: states, and the linearisation of every step.

Here alone the cell's equations are evaluated. The backward and the tangent sweeps are linear and
run on the coefficients dz, ds that this sweep leaves on the tape. A cell is applied to all units
of all sequences in one loop.

Over- and underflow. The state is kept as h 2^k, with one k for all sequences. For |k| up to
`SCALE_LIMIT` the cell is evaluated at its true scale; beyond, at 2^+-SCALE_LIMIT times the stored
state, where every activation is homogeneous of degree one to rounding (phi(c z) = c phi(z), c > 0),
or bounded and lost beside a state of that size, or has left zero at once (phi(0) != 0). Normalised
pre-activations are at their true scale whatever the state's; gates then do not saturate beside a
state of that size, and the engine reports an overflow. A state that decays while biases or inputs
act is kept at its true size, and ends as zero. Powers of two are exact, so that a network that
never needs a scale is not changed by one bit.
"""

from __future__ import annotations

from ..cells.rnn import linearise, step
from ..math import power_of_two
from ..norms import normalise as apply_norm
from ..precision import RESCALE_AT, SCALE_LIMIT, real
from ..targets.cpu import add_product, barrier, gemm, lanes, magnitude, normalise, scale


def forward(k, ensemble, wiring, tape, case, parameters, skip, branch):
    """Run network k through all its steps and fill its part of the tape.

    Parameters
    ----------
    k : int
        Network within the chunk.
    ensemble : Ensemble
    wiring : Wiring
    tape : Tape
    case : int
        Position of the activation among those of the cell.
    parameters : tuple of real
        The cell's own constants.
    skip, branch : real
        h' = skip h + branch f(net, h).
    """
    steps = tape.net.shape[1]
    project_inputs(k, ensemble, wiring, tape)
    copy_state(ensemble.initial_state[k], tape.state[k, 0])
    tape.exponent[k, 0] = 0
    last = ensemble.W.shape[1] - 1
    recurrent = ensemble.W.shape[2]
    for t in range(steps):
        net = tape.net[k, t]
        if tape.exponent[k, t] != 0:
            match_scales(k, t, net if wiring.norm == 0 else net[:recurrent], tape)
        add_recurrent_terms(t, ensemble.W_transposed[k, min(t, last)], tape.state[k, t, 0], net)
        barrier()
        if wiring.norm != 0:
            normalise_terms(k, t, recurrent, wiring, tape)
            add_input_terms(wiring, net)
            add_rows(ensemble.b[k, min(t, last)], net)
        advance(k, t, wiring, tape, case, parameters, skip, branch)
        barrier()


def copy_state(source, out):
    """Out = source, both (S, B n)."""
    for a in range(source.shape[0]):
        for i in lanes(source.shape[1]):
            out[a, i] = source[a, i]


def project_inputs(k, ensemble, wiring, tape):
    """Terms that need no state: U x, at all steps at once where U is the same, and the biases.

    Biases are added after a norm, which would take them out again.
    """
    steps, rows, size = tape.net[k].shape
    gates, sequences = wiring.input_row.size, ensemble.input.shape[2]
    tied = ensemble.U.shape[1] == 1
    features = ensemble.input.shape[3]
    direct = rows == gates and sequences == 1
    span = steps if tied else 1
    for t in range(0, steps, span):
        if features > 0:
            x = ensemble.input[k, t : t + span].reshape(span * sequences, features)
            U = ensemble.U[k, 0 if tied else t].T
            if direct:
                gemm(x, U, tape.net[k, t : t + span].reshape(span, gates * size))
            else:
                gemm(x, U, tape.drive[k, t * sequences : (t + span) * sequences])
        for at in range(t, t + span):
            net = tape.net[k, at]
            if features == 0 or not direct:
                net[:] = real(0.0)
            if features > 0 and not direct:
                place_drive(wiring, tape.drive[k, at * sequences :], net)
            if wiring.norm == 0:
                add_rows(ensemble.b[k, 0 if tied else t], net)


def place_drive(wiring, drive, net):
    """Copy U x of one step, (B, G n), to the rows of the gates."""
    gates = wiring.term_row.size
    units = drive.shape[1] // gates
    for g in range(gates):
        row = net[wiring.term_row[g]]
        for b in range(row.size // units):
            for i in lanes(units):
                row[b * units + i] = drive[b, g * units + i]


def add_rows(bias, net):
    """Add b to the pre-activations of every sequence."""
    rows, units = bias.shape
    for p in range(rows):
        for b in range(0, net.shape[1], units):
            for i in lanes(units):
                net[p, b + i] += bias[p, i]


def match_scales(k, t, terms, tape):
    """Bring the state and the terms that meet W h, or are not normalised, to one scale."""
    exponent = tape.exponent[k, t]
    if exponent > 0:
        scale(terms, power_of_two(-exponent))
    elif magnitude(terms) > real(0.0):
        scale(tape.state[k, t], power_of_two(exponent))
        tape.exponent[k, t] = 0


def add_recurrent_terms(t, W_transposed, h, net):
    """Net[g] += W[g] h for every gate that reads h, and every sequence."""
    for g in range(W_transposed.shape[0]):
        add_product(h, W_transposed[g], net[g], t % 2 == 1)


def normalise_terms(k, t, recurrent, wiring, tape):
    """Normalise every row of terms; keeps what the derivative needs."""
    for q in range(tape.net.shape[2]):
        apply_norm(
            wiring.norm,
            tape.net[k, t, q],
            tape.exponent[k, t] if q < recurrent else 0,
            wiring.norm_scale,
            tape.normalised[k, t, q],
            tape.gain[k, t, q],
            tape.work[k],
        )


def add_input_terms(wiring, net):
    """Put input terms that were normalised apart into the rows of the pre-activations."""
    gates = wiring.term_row.size
    recurrent = net.shape[0] - gates
    for g in range(gates):
        if wiring.term_row[g] == wiring.input_row[g]:
            continue
        source, target = net[wiring.term_row[g]], net[wiring.input_row[g]]
        keep = real(1.0) if wiring.input_row[g] < recurrent else real(0.0)
        for i in lanes(source.size):
            target[i] = keep * target[i] + source[i]


def advance(k, t, wiring, tape, case, parameters, skip, branch):
    """One step of all sequences from their complete pre-activations."""
    exponent = tape.exponent[k, t]
    z, s, new = tape.net[k, t], tape.state[k, t], tape.state[k, t + 1]
    dz, ds = tape.dz[k, t], tape.ds[k, t]
    effective = min(max(exponent, -SCALE_LIMIT), SCALE_LIMIT)
    if effective != 0:
        if wiring.norm == 0:
            scale(z, power_of_two(effective))
        scale(s, power_of_two(effective))
    apply_cell(case, z, s, parameters, new, dz, ds)
    if skip != real(0.0) or branch != real(1.0):
        add_skip(s, skip, branch, new, dz, ds)
    if effective != 0:
        scale(s, power_of_two(-effective))
        if exponent < -SCALE_LIMIT and magnitude(new) > power_of_two(-RESCALE_AT):
            exponent = 0  # f(0) is not 0: one step leads back from any tiny state
        else:
            scale(new, power_of_two(-effective))
    tape.exponent[k, t + 1] = exponent + normalise(new)


def apply_equations(z, s, parameters, out, dz, ds):
    """The cell's equations and their derivatives, for all units.

    Two loops: LLVM vectorises a loop only if no more than 128 comparisons of addresses can tell
    that its rows do not overlap, and computing a nonlinearity twice costs less than finding out.
    (In one loop, a step of the plain rnn is not faster either.)
    """
    for i in lanes(z.shape[1]):
        step(z, s, i, parameters, out)
    for i in lanes(z.shape[1]):
        linearise(z, s, i, parameters, dz, ds)


def apply_cell(case, z, s, parameters, out, dz, ds):
    """Apply the equations of one activation; `specialise.switch` puts the choice here."""
    apply_equations(z, s, parameters, out, dz, ds)


def add_skip(s, skip, branch, out, dz, ds):
    """Turn f into skip h + branch f for slot 0, and its derivatives with it."""
    scale(out[0], branch)
    scale(dz[0], branch)
    scale(ds[0], branch)
    for i in lanes(s.shape[1]):
        out[0, i] += skip * s[0, i]
        ds[0, 0, i] += skip
