"""What a network's forward sweep visited: activation derivatives and the variance of its state."""

from __future__ import annotations

from ..precision import real
from ..targets.cpu import lanes


def trajectory(k, first, wiring, tape, branch, visited):
    """Summarise the steps `first` and later of network k.

    Parameters
    ----------
    k : int
        Network within the chunk.
    first : int
        First step of the measured window.
    wiring : Wiring
    tape : Tape
    branch : real
        Divided out of dz: the derivative reported is that of the cell's own equations.
    visited : Visited
        Filled for network k; derivatives of h with respect to the arguments of all gates.
    """
    steps, _, size = tape.net[k].shape
    gates, sequences = wiring.input_row.size, visited.variance.shape[2]
    units = size // sequences
    total = square = largest = real(0.0)
    for t in range(first, steps):
        for g in range(gates):
            row = tape.dz[k, t, 0, wiring.input_row[g]]
            for i in lanes(size):
                d = row[i] / branch
                total += d
                square += d * d
            for i in lanes(size):
                largest = max(largest, abs(row[i] / branch))
        visited.exponent[k, t - first] = tape.exponent[k, t + 1]
        for b in range(sequences):
            h = tape.state[k, t + 1, 0, b * units : (b + 1) * units]
            visited.variance[k, t - first, b] = variance(h)
    count = real((steps - first) * gates * size)
    visited.derivative[k, 0] = total / count
    visited.derivative[k, 1] = square / count
    visited.derivative[k, 2] = largest


def variance(x):
    """Variance over units, in two passes."""
    mean = real(0.0)
    for i in lanes(x.size):
        mean += x[i]
    mean /= real(x.size)
    total = real(0.0)
    for i in lanes(x.size):
        total += (x[i] - mean) * (x[i] - mean)
    return total / real(x.size)
