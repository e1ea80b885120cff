"""The plain recurrent network: h' = phi(a z) (Elman 1990), a = slope.

One gate, one slot; phi is any of `activations.ACTIVATIONS`.
"""

from __future__ import annotations

from ..activations import ACTIVATIONS, tanh
from ..contract import Cell
from ..precision import real

phi = tanh  # bound to the wanted activation by `specialise`


def step(z, s, i, parameters, out):
    """h' = phi(a z)."""
    value, _ = phi(parameters[0] * z[0, i])
    out[0, i] = value


def linearise(z, s, i, parameters, dz, ds):
    """dh'/dz = a phi'(a z); h' does not depend on h but through z."""
    _, derivative = phi(parameters[0] * z[0, i])
    dz[0, 0, i] = parameters[0] * derivative
    ds[0, 0, i] = real(0.0)


CELL = Cell(
    name="rnn",
    gates=("hidden",),
    slots=("h",),
    step=step,
    linearise=linearise,
    parameters=("slope",),
    activations=ACTIVATIONS,
)
