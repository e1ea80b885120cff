"""Networks that the CPU and a GPU draw apart have one distribution, chaotic ones included."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from scipy import stats

from gradhorizon.engine import NetworkSpec, measure

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM", "0") != "0"

UNITS, STEPS, HERE, THERE = (3, 6, 8192, 40) if SIMULATED else (32, 100, 8192, 8192)
"""Units, steps, networks on the CPU and on the GPU; the simulator takes 0.1 s for a network."""

LEVEL = 1e-3
"""Probability that a right program fails one of these tests (its seeds are fixed), divided among
its variables."""

PRODUCTS = ("trajectory", "gradient", "weights")
VARIABLES = ("mean_square_derivative", "rate", "log_grad_W", "log_grad_U", "log_grad_b")

FIELDS: dict[str, dict[str, Any]] = {
    "chaotic": {"weight_scale": 3.0, "precision": "float32"},
    "contracting": {"weight_scale": 0.7},
    "lstm": {"cell": "lstm", "weight_scale": 2.0, "gate_bias": {"forget": 1.0}},
    "gru": {"cell": "gru", "weights": "pytorch", "precision": "float32"},
    "layer": {"normalization": "layer", "weight_scale": 1.5},
}

SHORT = ("chaotic", "contracting")
"""What the simulator runs where there is little time."""


def smallest_p(fields: dict[str, Any], elsewhere: dict[str, Any]) -> float:
    """Of two-sample Kolmogorov-Smirnov tests of all variables, corrected for their number."""
    arguments: dict[str, Any] = dict(steps=STEPS, products=PRODUCTS)
    specs = (NetworkSpec(hidden_size=UNITS, **f) for f in (fields, fields | elsewhere))
    here = measure(next(specs), networks=HERE, seed=1, **arguments)
    there = measure(next(specs), networks=THERE, seed=2, device="cuda", **arguments)
    samples = (
        [data[name].values[data.status == 0] for name in VARIABLES] for data in (here, there)
    )
    found = [stats.ks_2samp(a, b).pvalue for a, b in zip(*samples, strict=True)]
    return len(VARIABLES) * float(np.min(found))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if SIMULATED and name not in SHORT else ())
        for name in FIELDS
    ],
)
def test_devices_have_one_distribution(name: str) -> None:
    """Seeds differ: the samples are independent."""
    assert smallest_p(FIELDS[name], {}) > LEVEL


def test_another_distribution_is_found() -> None:
    """What the test is worth: on a GPU, weights that are a tenth larger; four times, here."""
    other = {"weight_scale": 4 * 0.7 if SIMULATED else 1.1 * 0.7}
    assert smallest_p(FIELDS["contracting"], other) < LEVEL
