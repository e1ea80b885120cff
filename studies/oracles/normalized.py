"""Oracle H: batch and layer normalisation, and residual nets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...engine import Array, NetworkSpec
from ..theory import finite_batch_mean_field, normalized_mean_field, residual_path
from .check import EXTRAPOLATED, Check, Statistical
from .draws import Draws
from .estimates import Estimate, extrapolated

YANG = "Yang et al. 2019"
COOIJMANS = "Cooijmans et al. 2017, deep theory: Yang et al. 2019"
LAYER = "Ba et al. 2016, deep theory: Poole et al. 2016"
RESIDUAL = "Yang & Schoenholz 2017"

WIDTH, NETWORKS = 64, 400
SETTLED, TURNED, LAGS = 12, 4, 16
"""Steps until states are stationary; lags until the gradient's direction over the batch is."""

DEEP_BATCH, TIED_BATCH = 8, 16
NORMED: dict[str, Any] = {"weight_scale": 1.5, "norm_scale": 0.8}
DEPTH, NEAR = 100, 5
"""Layers of residual nets; lags over which a ReLU gradient is incoherent (at lag 0 it is)."""


EPSILON = 1e-5 / (2.0 * 0.3)
"""By which the norm's epsilon of 1e-5 changes a rate at most, beside a variance of at least 0.3 of
what is normed."""


def rate_of(inputs: str, **fields: Any) -> Callable[[Draws], Estimate]:
    """Growth of the gradient over the measured lags, extrapolated in width."""

    def measure(draws: Draws) -> Estimate:
        def rates(n: int, networks: int) -> Array:
            spec = NetworkSpec(hidden_size=n, **fields)
            steps = TURNED + LAGS + 1
            data = draws.measure(spec, networks, steps, burn_in=SETTLED, inputs=inputs)
            log: Array = data.log_gradient.values
            return (log[:, -1] - log[:, TURNED]) / LAGS

        return extrapolated(rates, WIDTH * draws.size.width, NETWORKS)

    return measure


def deep_batch_norm(activation: str) -> Statistical:
    """Batch norm in deep nets: gradients explode."""
    return Statistical(
        "H",
        f"growth of the gradient, deep {activation}, batch norm, batch size {DEEP_BATCH}",
        YANG,
        lambda: finite_batch_mean_field(activation, DEEP_BATCH).rate,
        rate_of(
            "zero",
            activation=activation,
            input_size=1,
            tied=False,
            normalization="batch",
            batch_size=DEEP_BATCH,
        ),
        EXTRAPOLATED,
        EPSILON,
        "epsilon of the norm",
    )


def recurrent_batch_norm(normalization: str) -> Statistical:
    """Batch norm in tanh RNNs, of W h and U x together or apart."""
    fields: dict[str, Any] = {"normalization": normalization, **NORMED}
    return Statistical(
        "H",
        f"rate, tanh RNN, normalization {normalization!r}, batch size {TIED_BATCH}",
        COOIJMANS,
        lambda: finite_batch_mean_field("tanh", TIED_BATCH, input_variance=1.0, **fields).rate,
        rate_of("gaussian", batch_size=TIED_BATCH, **fields),
        EXTRAPOLATED,
        EPSILON,
        "epsilon of the norm",
    )


def residual_growth(
    activation: str, lag: int, depth: int, width: int
) -> Callable[[Draws], Estimate]:
    """Ln |gradient| at a lag of a residual net, over that at lag 0."""

    def measure(draws: Draws) -> Estimate:
        def rises(n: int, networks: int) -> Array:
            spec = NetworkSpec(
                activation=activation, hidden_size=n, input_size=1, skip=1.0, tied=False
            )
            log: Array = draws.measure(spec, networks, depth, inputs="zero").log_gradient.values
            return log[:, lag]

        return extrapolated(rises, width * draws.size.width, NETWORKS)

    return measure


CHECKS: tuple[Check, ...] = (
    *(deep_batch_norm(activation) for activation in ("linear", "relu", "tanh")),
    *(recurrent_batch_norm(name) for name in ("batch", "batch-separate")),
    Statistical(
        "H",
        "rate, tanh RNN, normalization 'layer'",
        LAYER,
        lambda: (
            normalized_mean_field("tanh", normalization="layer", input_variance=1.0, **NORMED).rate
        ),
        rate_of("gaussian", normalization="layer", **NORMED),
        EXTRAPOLATED,
        EPSILON,
        "epsilon of the norm",
    ),
    Statistical(
        "H",
        f"rise of ln |gradient| over {DEPTH // 2} layers, residual tanh",
        RESIDUAL,
        lambda: float(residual_path("tanh", DEPTH).log_gradient[DEPTH // 2]),
        residual_growth("tanh", DEPTH // 2, DEPTH, WIDTH),
        EXTRAPOLATED,
    ),
    Statistical(
        "H",
        f"rise of ln |gradient| over {NEAR} layers, residual ReLU",
        RESIDUAL,
        lambda: float(residual_path("relu", 2 * NEAR).log_gradient[NEAR]),
        residual_growth("relu", NEAR, 2 * NEAR, 2 * WIDTH),
        EXTRAPOLATED,
    ),
)
