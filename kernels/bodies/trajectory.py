"""What a network's forward sweep visited: activation derivatives and the variance of its state."""

from __future__ import annotations

from ..precision import real
from ..targets.cpu import lanes


def trajectory(k, first, tape, branch, visited):
    """Summarise the steps `first` and later of network k.

    Parameters
    ----------
    k : int
        Network within the chunk.
    first : int
        First step of the measured window.
    tape : Tape
    branch : real
        Divided out of dz: the derivative reported is that of the cell's own equations.
    visited : Visited
        Filled for network k; derivatives of h with respect to all gates.
    """
    steps, sequences, _, gates, units = tape.dz[k].shape
    total = square = largest = real(0.0)
    for t in range(first, steps):
        for b in range(sequences):
            for g in range(gates):
                row = tape.dz[k, t, b, 0, g]
                for i in lanes(units):
                    d = row[i] / branch
                    total += d
                    square += d * d
                for i in lanes(units):
                    largest = max(largest, abs(row[i] / branch))
            visited.variance[k, t - first, b] = variance(tape.state[k, t + 1, b, 0])
            visited.exponent[k, t - first, b] = tape.exponent[k, t + 1, b]
    count = real((steps - first) * sequences * gates * units)
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
