"""The forward sweep of one network: states, and the linearisation of every step.

Here, and in `forward_scaled`, the cell's equations are evaluated. The backward and the tangent
sweeps are linear and run on the coefficients dz, ds that these leave on the tape. A cell is applied
to all units of all sequences in one loop.

A state that leaves the safe range of its number format ends this sweep: `forward_scaled` takes the
steps from there on.
"""

from __future__ import annotations

from ..cells.rnn import linearise, step
from ..collective import fill, magnitude, scale
from ..contract import UNFINISHED
from ..norms import normalise as apply_norm
from ..precision import real
from ..targets.cpu import add_product, barrier, hold, lanes, largest_integer, multiply, reshaped
from .scales import check_range, starts_in_range


def forward(setting, network):
    """Run a network through its steps and fill its tape, as long as no state needs a power of two.

    Where one does, `forward_scaled` has to go on.

    Parameters
    ----------
    setting : Setting
    network : Chunk
    """
    ensemble, tape = network.ensemble, network.tape
    project_inputs(ensemble, setting.wiring, tape)
    copy_state(ensemble.initial_state, tape.state[0])
    W_transposed = hold(ensemble.W_transposed)
    recurrent, last = W_transposed.shape[1], W_transposed.shape[0] - 1
    steps, size = tape.net.shape[0], tape.state.shape[2] // tape.exponent.shape[1]
    in_range, mixed = starts_in_range(tape.state[0], tape.exponent[0], size), 0
    first = steps if in_range else 0
    for t in range(first):
        which, s, new = min(t, last), tape.state[t], tape.state[t + 1]
        z, dz, ds = tape.net[t], tape.dz[t], tape.ds[t]
        complete_net(t, W_transposed[which], ensemble.b[which], setting.wiring, tape)
        apply_cell(setting.activation, z, s, setting.parameters, new, dz, ds)
        add_skip(s, setting.skip, setting.branch, new, dz, ds)
        barrier()
        exponent, kink = tape.exponent[t + 1], setting.scaling.kink
        in_range, found = check_range(z[:recurrent], new, exponent, size, kink)
        mixed = max(mixed, found)
        if not in_range:
            first = t + 1
            break
    tape.scaled_from[0] = -1 if in_range else first
    tape.largest_exponent[0] = 0 if in_range else UNFINISHED
    tape.mixed[0] = largest_integer(mixed)
    tape.end[0] = magnitude(tape.state[-1])


def complete_net(t, W_transposed, b, wiring, tape):
    """Add W h to the terms; with a norm, normalise them before input terms and biases are added."""
    net = tape.net[t]
    add_recurrent_terms(t, W_transposed, tape.state[t, 0], net)
    if wiring.norm != 0:
        normalise_terms(t, W_transposed.shape[0], wiring, tape)
        barrier()
        add_input_terms(wiring, net)
        barrier()
        add_rows(b, net)
        barrier()


def copy_state(source, out):
    """Out = source, both (S, B n)."""
    for a in range(source.shape[0]):
        for i in lanes(source.shape[1]):
            out[a, i] = source[a, i]


def project_inputs(ensemble, wiring, tape):
    """Terms that need no state: U x, at all steps at once where U is the same, and the biases.

    Biases are added after a norm, which would take them out again.
    """
    steps, rows, size = tape.net.shape
    _, sequences, features = ensemble.input.shape
    direct = tape.drive.shape[0] == 0  # rows of net are those of U x
    span = steps if ensemble.U_transposed.shape[0] == 1 else 1
    for t in range(0, steps, span):
        which = min(t, ensemble.U_transposed.shape[0] - 1)
        after = t + span
        net = tape.net[t:after]
        fill(net, real(0.0))
        if wiring.norm == 0:
            for j in range(span):
                add_rows(ensemble.b[which], net[j])
        if features > 0:
            x = reshaped(ensemble.input[t:after], (span * sequences, features))
            U = ensemble.U_transposed[which]
            if direct:
                multiply(x, U, reshaped(net, (span, rows * size)))
            else:
                drive = tape.drive[t * sequences : after * sequences]
                fill(drive, real(0.0))
                multiply(x, U, drive)
                for j in range(span):
                    add_drive(wiring, drive[j * sequences :], net[j])


def add_drive(wiring, drive, net):
    """Add U x of one step, (B, G n), to the rows of the gates."""
    gates = wiring.term_row.size
    units = drive.shape[1] // gates
    for g in range(gates):
        row = net[wiring.term_row[g]]
        for b in range(row.size // units):
            for i in lanes(units):
                row[b * units + i] += drive[b, g * units + i]


def add_rows(bias, net):
    """Add b to the pre-activations of every sequence."""
    rows, units = bias.shape
    for p in range(rows):
        for b in range(0, net.shape[1], units):
            for i in lanes(units):
                net[p, b + i] += bias[p, i]


def add_recurrent_terms(t, W_transposed, h, net):
    """Net[g] += W[g] h for every gate that reads h, and every sequence."""
    for g in range(W_transposed.shape[0]):
        add_product(h, W_transposed[g], net[g], t % 2 == 1)


def normalise_terms(t, recurrent, wiring, tape):
    """Normalise every row of terms; keeps what the derivative needs."""
    for q in range(tape.net.shape[1]):
        apply_norm(
            wiring.norm,
            tape.net[t, q],
            tape.exponent[t] if q < recurrent else wiring.no_exponent,
            wiring.norm_scale,
            tape.normalised[t, q],
            tape.gain[t, q],
            tape.work,
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
    """The cell's equations and their derivatives; `specialise.switch` puts the activation here."""
    apply_equations(z, s, parameters, out, dz, ds)


def add_skip(s, skip, branch, out, dz, ds):
    """Turn f into skip h + branch f for slot 0, and its derivatives with it."""
    if skip == real(0.0) and branch == real(1.0):
        return
    scale(out[0], branch)
    scale(dz[0], branch)
    scale(ds[0], branch)
    for i in lanes(s.shape[1]):
        out[0, i] += skip * s[0, i]
        ds[0, 0, i] += skip
