"""Products of any device against the naive reference: ensembles, and what they are held to."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import reference
import xarray as xr

from gradhorizon.engine import NetworkSpec, sample
from gradhorizon.engine.spectrum import VARIABLES

PRODUCTS = ("trajectory", "gradient", "weights", "jacobian", "lyapunov")
KEEP = ("states", "gradients")
STEPS, NETWORKS = 9, 3

SKIPS = {"plain": (0.0, 1.0, 0.8), "residual": (1.0, 1.0, 0.4), "leaky": (0.7, 0.3, 0.8)}
"""skip, branch, weight_scale; no chain grows so fast that rounding would hide an error."""

GATE_BIAS = {"lstm": {"forget": 0.5}, "gru": {"update": -1.0}}
"""Keeps the state of a residual GRU, which grows by 1 + u at every step, from saturating it."""

LOOSEST = 1e4
"""Errors allowed at most, in units of the format's rounding: worse conditioned chains could hide a
mistake, and no test uses one."""


def architecture(cell: str, normalization: str = "none", activation: str = "tanh") -> dict:
    """Fields of a spec whose every constant differs from the value that would do nothing."""
    return dict(
        cell=cell,
        activation=activation,
        slope=0.9 if cell == "rnn" else 1.0,
        normalization=normalization,
        norm_scale=0.8 if normalization != "none" else 1.0,
        bias_scale=0.3,
        gate_bias=GATE_BIAS.get(cell, {}),
    )


GROWTH = 1e-10
"""Error allowed of exp(exponent): one interval may cost eight digits, which the reference keeps."""

ELSEWHERE = set(VARIABLES) - {"lyapunov_exponent", "entropy_rate"}
"""What follows from Lyapunov exponents: `test_lyapunov` holds it to its definitions."""


class Case(NamedTuple):
    """An ensemble, what the reference says of it, and the error that rounding allows."""

    ensemble: xr.Dataset
    expected: dict[str, np.ndarray]
    tolerance: dict[str, float]


def understood(ensemble: xr.Dataset) -> Case | None:
    """The reference's answer, if rounding leaves anything of it.

    None where a gradient is exactly zero (dead units), or worse conditioned than `LOOSEST`: a
    pre-activation within rounding of a kink, say, where the side that it falls on is chance, and
    the derivative with it.
    """
    precision = NetworkSpec.from_json(ensemble.attrs["spec"]).precision
    unit_roundoff = float(np.finfo(precision).eps) / 2
    expected = reference.measure(ensemble)
    error = reference.rounding_error(ensemble, unit_roundoff, expected)
    dead = not np.isfinite(expected["log_gradient"]).all()
    conditioned = [e for name, e in error.items() if name != "lyapunov_exponent"]
    if dead or not max(conditioned) < LOOSEST * unit_roundoff:
        return None
    usual = dict.fromkeys(expected, 1e-12) | {"lyapunov_exponent": GROWTH}
    tolerance = error if precision == "float32" else usual
    return Case(ensemble, expected, tolerance)


def draw(spec: NetworkSpec, networks: int, steps: int, **options: Any) -> Case:
    """The first ensemble of seeds 11, 12, ... that is understood."""
    found = (understood(sample(spec, networks, steps, seed, **options)) for seed in range(11, 21))
    return next(case for case in found if case is not None)


def compare(data: xr.Dataset, case: Case) -> None:
    """Hold every variable of a measurement to the reference."""
    assert (data.status == 0).all()
    assert set(data.data_vars) - {"status", *ELSEWHERE} == set(case.expected)
    for name, want in case.expected.items():
        assert data[name].shape == want.shape, name
        assert reference.deviation(name, data[name], want) <= case.tolerance[name], name
