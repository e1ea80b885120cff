"""The gated recurrent unit (Cho et al. 2014), in the reset-after form of cuDNN and PyTorch.

r, u = sigmoid(z_r, z_u),  g = tanh(U_g x + b_g + r (W_g h + b'_g)),    h' = (1 - u) g + u h.

The candidate's recurrent and input terms enter apart: z has the rows r, u, W_g h + b'_g and
U_g x + b_g.
"""

from __future__ import annotations

from ..activations import complement, sigmoid, tanh
from ..contract import Cell


def step(z, s, i, parameters, out):
    """h' = (1 - u) g + u h."""
    reset, _ = sigmoid(z[0, i])
    update, d_update = sigmoid(z[1, i])
    candidate, _ = tanh(z[3, i] + reset * z[2, i])
    out[0, i] = complement(update, d_update) * candidate + update * s[0, i]


def linearise(z, s, i, parameters, dz, ds):
    """dh' = (1 - u) dg + (du) (h - g) + u dh, dg = g' (d z_3 + r d z_2 + (dr) z_2)."""
    recurrent = z[2, i]
    reset, d_reset = sigmoid(z[0, i])
    update, d_update = sigmoid(z[1, i])
    candidate, d_candidate = tanh(z[3, i] + reset * recurrent)
    through = complement(update, d_update) * d_candidate
    old = s[0, i]
    dz[0, 0, i] = through * recurrent * d_reset
    dz[0, 1, i] = d_update * (old - candidate)
    dz[0, 2, i] = through * reset
    dz[0, 3, i] = through
    ds[0, 0, i] = update


CELL = Cell(
    name="gru",
    gates=("reset", "update", "candidate"),
    slots=("h",),
    step=step,
    linearise=linearise,
    apart=("candidate",),
    gated=True,
)
