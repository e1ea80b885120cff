"""What became of each network: divergence and death are data, not errors."""

from __future__ import annotations

import numpy as np

from ..kernels.contract import Array
from .chunk import Run
from .variable import Arrays

STATUS = {"ok": 0, "overflow": 1, "dead": 2, "bad_input": 3}
"""Codes of the variable ``status``.

ok : measured.
overflow : a state, weight or gradient left the range of its format in a single step.
dead : dL/dnet is exactly zero at the first or last lag, or at the lag that the rate starts from.
bad_input : NaN or infinity among the given weights, states or inputs.
"""


def status_of(run: Run, results: Arrays) -> Array:
    """Status code of every network of a chunk, from its sweeps and its results."""
    overflow = ~_finite(run.tape.state[:, -1])
    dead = np.zeros(run.count, bool)
    if run.has_adjoint:
        overflow |= ~_finite(run.adjoint.square)
        between = [0, run.window.burn_in, -1]  # the lags that the rate is taken from
        dead = (run.adjoint.square[:, between] == 0).any(axis=1)
    if "log_jacobian_norm" in results:
        overflow |= ~(results["log_jacobian_norm"] < np.inf).all(axis=(1, 2))
    codes = np.full(run.count, STATUS["ok"], np.int8)
    codes[dead] = STATUS["dead"]
    codes[overflow] = STATUS["overflow"]
    if run.given:
        finite = [_finite(a) for a in run.ensemble if a.size]
        codes[~np.logical_and.reduce(finite)] = STATUS["bad_input"]
    return codes


def _finite(array: Array) -> Array:
    return np.asarray(np.isfinite(array.reshape(len(array), -1)).all(axis=1))
