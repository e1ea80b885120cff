"""Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate of Gers et al. 2000).

i, f, o = sigmoid(z_i, z_f, z_o), g = tanh(z_g),    c' = f c + i g,    h' = o tanh(c').

The state is (h, c), so that the path through the cell is part of the Jacobian.
"""

from __future__ import annotations

from ..activations import sigmoid, tanh
from ..contract import Cell
from ..precision import real


def step(z, s, i, parameters, out):
    """c' = f c + i g, h' = o tanh(c')."""
    write, _ = sigmoid(z[0, i])
    keep, _ = sigmoid(z[1, i])
    candidate, _ = tanh(z[2, i])
    read, _ = sigmoid(z[3, i])
    cell = keep * s[1, i] + write * candidate
    value, _ = tanh(cell)
    out[0, i] = read * value
    out[1, i] = cell


def linearise(z, s, i, parameters, dz, ds):
    """dc' = f dc + (df) c + (di) g + i dg; dh' = (do) tanh(c') + o tanh'(c') dc'."""
    write, d_write = sigmoid(z[0, i])
    keep, d_keep = sigmoid(z[1, i])
    candidate, d_candidate = tanh(z[2, i])
    read, d_read = sigmoid(z[3, i])
    old = s[1, i]
    value, d_value = tanh(keep * old + write * candidate)
    through = read * d_value
    dz[1, 0, i] = d_write * candidate
    dz[1, 1, i] = d_keep * old
    dz[1, 2, i] = write * d_candidate
    dz[1, 3, i] = real(0.0)
    dz[0, 0, i] = through * (d_write * candidate)
    dz[0, 1, i] = through * (d_keep * old)
    dz[0, 2, i] = through * (write * d_candidate)
    dz[0, 3, i] = d_read * value
    ds[0, 0, i] = real(0.0)
    ds[0, 1, i] = through * keep
    ds[1, 0, i] = real(0.0)
    ds[1, 1, i] = keep


CELL = Cell(
    name="lstm",
    gates=("input", "forget", "cell", "output"),
    slots=("h", "cell"),
    step=step,
    linearise=linearise,
    gated=True,
)
