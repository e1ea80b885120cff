"""The forward sweep of one network: states, and the linearisation of every step.

Here alone the cell's equations are evaluated. The backward and the tangent sweeps are linear and
run on the coefficients dz, ds that this sweep leaves on the tape.

Over- and underflow. The state is kept as h 2^k. For |k| up to `SCALE_LIMIT` the cell is evaluated
at its true scale; beyond, at 2^+-SCALE_LIMIT times the stored state, where every activation is
homogeneous of degree one to rounding (phi(c z) = c phi(z), c > 0), or bounded and lost beside a
state of that size, or has left zero at once (phi(0) != 0). Powers of two are exact, so that a
network that never needs a scale is not changed by one bit.
"""

from __future__ import annotations

from ..cells.rnn import linearise, step
from ..math import power_of_two
from ..precision import RESCALE_AT, SCALE_LIMIT, real
from ..targets.cpu import barrier, gemm, lanes, magnitude, matvec, normalise, scale


def forward(k, ensemble, tape, case, parameters, skip, branch):
    """Run network k through all its steps and fill its part of the tape.

    Parameters
    ----------
    k : int
        Network within the chunk.
    ensemble : Ensemble
    tape : Tape
    case : int
        Position of the activation among those of the cell.
    parameters : tuple of real
        The cell's own constants.
    skip, branch : real
        h' = skip h + branch f(net, h).
    """
    steps, sequences, gates, units = tape.net[k].shape
    net = tape.net[k].reshape(steps, sequences, gates * units)
    project_inputs(k, ensemble, net)
    tape.state[k, 0] = ensemble.initial_state[k]
    tape.exponent[k, 0] = 0
    last = ensemble.W.shape[1] - 1
    for t in range(steps):
        W = ensemble.W[k, min(t, last)]
        for b in range(sequences):
            if tape.exponent[k, t, b] != 0:
                match_scales(k, t, b, tape, net[t, b])
            matvec(W, tape.state[k, t, b, 0], net[t, b])
            barrier()
            advance(k, t, b, tape, case, parameters, skip, branch)
            barrier()


def project_inputs(k, ensemble, net):
    """Net[t, b] = U x[t, b] + bias, for all steps at once where U is the same at all."""
    steps, sequences, rows = net.shape
    tied = ensemble.U.shape[1] == 1
    features = ensemble.input.shape[3]
    span = steps if tied else 1
    for t in range(0, steps, span):
        block = net[t : t + span].reshape(span * sequences, rows)
        if features > 0:
            x = ensemble.input[k, t : t + span].reshape(span * sequences, features)
            gemm(x, ensemble.U[k, 0 if tied else t].T, block)
        else:
            block[:] = real(0.0)
        bias = ensemble.b[k, 0 if tied else t]
        for row in range(span * sequences):
            for i in lanes(rows):
                block[row, i] += bias[i]


def match_scales(k, t, b, tape, drive):
    """Bring the state and the drive U x + b of a step to one scale."""
    exponent = tape.exponent[k, t, b]
    if exponent > 0:
        scale(drive, power_of_two(-exponent))
    elif magnitude(drive) > real(0.0):
        scale(tape.state[k, t, b], power_of_two(exponent))
        tape.exponent[k, t, b] = 0


def advance(k, t, b, tape, case, parameters, skip, branch):
    """One step of one sequence from its complete pre-activations."""
    exponent = tape.exponent[k, t, b]
    z, s, new = tape.net[k, t, b], tape.state[k, t, b], tape.state[k, t + 1, b]
    dz, ds = tape.dz[k, t, b], tape.ds[k, t, b]
    effective = min(max(exponent, -SCALE_LIMIT), SCALE_LIMIT)
    if effective != 0:
        scale(z, power_of_two(effective))
        scale(s, power_of_two(effective))
    apply_cell(case, z, s, parameters, new, dz, ds)
    if skip != real(0.0) or branch != real(1.0):
        add_skip(s, skip, branch, new, dz, ds)
    if effective != 0:
        scale(z, power_of_two(-effective))
        scale(s, power_of_two(-effective))
        if exponent < -SCALE_LIMIT and magnitude(new) > power_of_two(-RESCALE_AT):
            exponent = 0  # f(0) is not 0: one step leads back from any tiny state
        else:
            scale(new, power_of_two(-effective))
    tape.exponent[k, t + 1, b] = exponent + normalise(new)


def apply_equations(z, s, parameters, out, dz, ds):
    """The cell's equations and their derivatives, for all units."""
    for i in lanes(z.shape[1]):
        step(z, s, i, parameters, out)
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
