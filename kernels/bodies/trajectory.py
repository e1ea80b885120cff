"""What a network's forward sweep visited: activation derivatives and the variance of its state."""

from __future__ import annotations

from ..precision import real
from ..targets.cpu import lanes, largest, total


def trajectory(setting, network):
    """Summarise the measured window.

    Derivatives are those of h with respect to the arguments of all gates. `branch` is divided out
    of dz: the derivative reported is that of the cell's own equations.

    Parameters
    ----------
    setting : Setting
    network : Chunk
        After the forward sweep.
    """
    tape, visited, branch = network.tape, network.visited, setting.branch
    input_row, first = setting.wiring.input_row, setting.burn_in
    steps, _, size = tape.net.shape
    gates, sequences = input_row.size, visited.variance.shape[1]
    units = size // sequences
    plain = square = top = real(0.0)
    for t in range(first, steps):
        for g in range(gates):
            row = tape.dz[t, 0, input_row[g]]
            for i in lanes(size):
                d = row[i] / branch
                plain += d
                square += d * d
            for i in lanes(size):
                top = max(top, abs(row[i] / branch))
        for c in range(visited.exponent.shape[1]):
            visited.exponent[t - first, c] = tape.exponent[t + 1, c]
        for b in range(sequences):
            h = tape.state[t + 1, 0, b * units : (b + 1) * units]
            visited.variance[t - first, b] = variance(h)
    count = real((steps - first) * gates * size)
    visited.derivative[0] = total(plain) / count
    visited.derivative[1] = total(square) / count
    visited.derivative[2] = largest(top)


def variance(x):
    """Variance over units, in two passes."""
    plain = square = real(0.0)
    for i in lanes(x.size):
        plain += x[i]
    mean = total(plain) / real(x.size)
    for i in lanes(x.size):
        square += (x[i] - mean) * (x[i] - mean)
    return total(square) / real(x.size)
