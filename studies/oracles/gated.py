"""Oracle G: gated cells at their zero fixed point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log

import numpy as np

from ...engine import Array, NetworkSpec
from ..theory import (
    PYTORCH_WEIGHT_SCALE,
    gru_fixed_point_eigenvalues,
    gru_fixed_point_rate,
    lstm_fixed_point_eigenvalues,
    lstm_fixed_point_rate,
)
from .chain import at_zero, gradient_at_every_lag, sum_of_exponents
from .check import EXTRAPOLATED, Check, Exact, Statistical
from .draws import Draws
from .estimates import Estimate, extrapolated

CANDIDATE = 2
"""Position of the gate whose recurrent weights count, for either cell."""

LSTM = "Hochreiter & Schmidhuber 1997; Gers et al. 2000"
GRU = "Cho et al. 2014"

Biases = Mapping[str, float]


def named(biases: Biases) -> dict[str, float]:
    """Biases by the names that the theory has for them."""
    return {f"{gate}_bias": bias for gate, bias in biases.items()}


def spec_of(cell: str, biases: Biases) -> NetworkSpec:
    """A small network with full weights in all its gates."""
    return NetworkSpec(cell=cell, hidden_size=16, weight_scale=1.2, gate_bias=dict(biases))


def moving(cell: str, biases: Biases) -> Callable[[Array], Array]:
    """The theory's eigenvalues, without the zeros of an LSTM."""

    def eigenvalues(W: Array) -> Array:
        if cell == "gru":
            return gru_fixed_point_eigenvalues(W, **named(biases))
        return lstm_fixed_point_eigenvalues(W, **named(biases))[..., : W.shape[-1]]

    return eigenvalues


def gradient_check(cell: str, biases: Biases) -> Exact:
    """Gradient at every lag, from the eigenvalues of the whole state's Jacobian."""
    shown = ", ".join(f"{gate} {bias:g}" for gate, bias in biases.items()) or "none"
    statement = f"{cell.upper()} at 0, biases: {shown}: gradient at lags 1 ... 999"
    source = LSTM if cell == "lstm" else GRU
    spec = spec_of(cell, biases)
    return gradient_at_every_lag("G", statement, source, spec, CANDIDATE, moving(cell, biases))


def sum_check() -> Exact:
    """The Lyapunov spectrum of a GRU: all eigenvalues together."""
    biases = {"reset": 1.5, "update": -1.0}
    eigenvalues = moving("gru", biases)

    def log_determinant(W: Array) -> Array:
        return np.asarray(np.log(np.abs(eigenvalues(W))).sum(axis=1))

    statement = "GRU at 0, biases: reset 1.5, update -1: sum of all exponents"
    return sum_of_exponents("G", statement, GRU, spec_of("gru", biases), CANDIDATE, log_determinant)


LAG = 400
"""The rate is measured from here to twice as far."""

UNSETTLED = 0.75 * log(2.0) / LAG
"""What other directions leave of it at most, nats per step. Eigenvalues fill a disc evenly, whose
part within a distance d of its tip has an area like d^(3/2); so |gradient|^2 is
lambda_1^(2 lag) lag^(-3/2) until the largest is alone."""


def default_weights(cell: str, forget: float | None = None) -> Statistical:
    """The rate of wide networks with PyTorch's weights; biases 0 but for the forget gate's."""
    biases = {} if forget is None else {"forget": forget}

    def rates(draws: Draws, n: int, networks: int) -> Array:
        spec = NetworkSpec(cell=cell, hidden_size=n, weights="pytorch", gate_bias=biases)
        ensemble = at_zero(draws, spec, networks, 2 * LAG + 1)
        for name in ("b", "b_recurrent"):
            if name in ensemble:
                ensemble[name][:] = 0.0
        for gate, bias in biases.items():
            ensemble["b"].loc[{"gate": gate}] = bias
        found: Array = draws.measure_given(ensemble).log_gradient.values
        return (found[:, 2 * LAG] - found[:, LAG]) / LAG

    def measure(draws: Draws) -> Estimate:
        return extrapolated(lambda n, m: rates(draws, n, m), 64 * draws.size.width, 160)

    def theory() -> float:
        rate = lstm_fixed_point_rate if cell == "lstm" else gru_fixed_point_rate
        return rate(PYTORCH_WEIGHT_SCALE, **named(biases))

    return Statistical(
        "G",
        f"wide {cell.upper()}, PyTorch's weights, biases {'0' if forget is None else 'forget 1'}",
        "Ginibre 1965; Girko 1985",
        theory,
        measure,
        EXTRAPOLATED,
        UNSETTLED,
        f"other eigenvalues, not faded by lag {LAG}",
    )


CHECKS: tuple[Check, ...] = (
    gradient_check("gru", {}),
    gradient_check("gru", {"reset": -1.0, "update": 2.0}),
    gradient_check("lstm", {}),
    gradient_check("lstm", {"forget": 1.0}),
    gradient_check("lstm", {"input": -1.0, "forget": 2.0, "output": 0.7}),
    sum_check(),
    default_weights("lstm"),
    default_weights("lstm", 1.0),
    default_weights("gru"),
)
