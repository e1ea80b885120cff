"""The minimal recurrent network (Chen, Pennington and Schoenholz 2018).

u = sigmoid(W h + U_u x + b_u),    h' = u h + (1 - u) tanh(U_c x + b_c).

The candidate does not read h.
"""

from __future__ import annotations

from ..activations import complement, sigmoid, tanh
from ..contract import Cell


def step(z, s, i, parameters, out):
    """h' = u h + (1 - u) g."""
    update, d_update = sigmoid(z[0, i])
    candidate, _ = tanh(z[1, i])
    out[0, i] = update * s[0, i] + complement(update, d_update) * candidate


def linearise(z, s, i, parameters, dz, ds):
    """dh' = u dh + (du) (h - g) + (1 - u) dg."""
    update, d_update = sigmoid(z[0, i])
    candidate, d_candidate = tanh(z[1, i])
    dz[0, 0, i] = d_update * (s[0, i] - candidate)
    dz[0, 1, i] = complement(update, d_update) * d_candidate
    ds[0, 0, i] = update


CELL = Cell(
    name="minimal_rnn",
    gates=("update", "candidate"),
    slots=("h",),
    step=step,
    linearise=linearise,
    input_only=("candidate",),
    gated=True,
)
