"""The forward sweep of a network from where its states have left the safe range.

A group of sequences keeps its state as h 2^k, see `scales`. Normalised pre-activations are at their
true scale whatever the state's; gates then do not saturate beside a state of that size, and the
engine reports an overflow. A state that decays while biases or inputs act on more than gates is
kept at its true size, and ends as zero. Powers of two are exact, so that a network that never needs
a scale is not changed by one bit.

Few networks come here. The sweep is one of its own so that others need not wait for its compiler,
and as the loop of `forward` is a quarter faster without this code.
"""

from __future__ import annotations

from ..collective import magnitude
from ..targets.cpu import barrier, flat, hold, lanes, largest_integer
from .forward import add_skip, apply_cell, complete_net
from .mixed import lost_deviation
from .scales import (
    enter_scale,
    leave_scale,
    match_scales,
    normalise_states,
    off_scale,
)


def forward_scaled(setting, network):
    """Go on where `forward` has stopped, if it has, with a power of two for each group.

    Parameters
    ----------
    setting : Setting
    network : Chunk
        After `forward`.
    """
    tape = network.tape
    first = tape.scaled_from[0]
    if first < 0:
        return
    size = tape.state.shape[2] // tape.exponent.shape[1]
    start, exponent, kink = tape.state[first], tape.exponent[first], setting.scaling.kink
    lost = normalise_states(tape.net[0, :0], start, exponent, size, kink)
    barrier()
    found = run_scaled(first, size, setting, network)
    exponents = flat(tape.exponent)
    largest = exponents[0]
    for i in lanes(exponents.size):
        largest = max(largest, exponents[i])
    before = tape.mixed[0]  # read before the barriers of what follows
    tape.largest_exponent[0] = largest_integer(largest)
    tape.mixed[0] = max(before, largest_integer(max(lost, found)))
    tape.end[0] = magnitude(tape.state[-1])


def run_scaled(first, size, setting, network):
    """Run the steps from `first` on.

    Returns
    -------
    mixed : int
        1 if this lane has met units of mixed scales, else 0.
    """
    ensemble, tape = network.ensemble, network.tape
    W_transposed = hold(ensemble.W_transposed)
    recurrent, last = W_transposed.shape[1], W_transposed.shape[0] - 1
    wiring, scaling, mixed = setting.wiring, setting.scaling, 0
    for t in range(first, tape.net.shape[0]):
        which = min(t, last)
        s, new, z = tape.state[t], tape.state[t + 1], tape.net[t, :recurrent]
        exponent, following = tape.exponent[t], tape.exponent[t + 1]
        b = ensemble.b[which]
        found = match_scales(tape.net[t], z, b, s, exponent, size, wiring, scaling)
        mixed = max(mixed, found)
        complete_net(t, W_transposed[which], b, wiring, tape)
        if wiring.norm != 0:
            found = lost_deviation(tape.gain[t, :recurrent], wiring.norm_scale)
            mixed = max(mixed, found)
        for c in range(exponent.size):
            following[c] = exponent[c]
        scaled = scaling.homogeneous == 0 and off_scale(exponent)
        if scaled:
            found = enter_scale(z, s, exponent, size, wiring.norm, scaling)
            mixed = max(mixed, found)
        dz, ds = tape.dz[t], tape.ds[t]
        apply_cell(setting.activation, tape.net[t], s, setting.parameters, new, dz, ds)
        if scaled:
            own, norm, skip = dz[:, :recurrent], wiring.norm, setting.skip
            leave_scale(s, new, own, ds, exponent, following, size, norm, skip)
        add_skip(s, setting.skip, setting.branch, new, dz, ds)
        found = normalise_states(z, new, following, size, scaling.kink)
        mixed = max(mixed, found)
        barrier()
    return mixed
