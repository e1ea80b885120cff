"""What became of each network: divergence and death are data, not errors."""

from __future__ import annotations

import numpy as np

from ..kernels.cells import CELLS
from ..kernels.contract import Array
from ..kernels.precision import FORMATS
from .chunk import Run
from .variable import Results

STATUS = {"ok": 0, "overflow": 1, "dead": 2, "bad_input": 3, "mixed_scales": 4}
"""Codes of the variable ``status``.

ok : measured.
overflow : a state, weight or gradient left the range of its format in a single step; the state of a
    gated, normalised network is too large for its derivatives; or an argument of ``sin`` is too
    large to be reduced (beyond 12,867 in float32, 6.9e12 in float64).
dead : dL/dnet is zero at some lag: exactly, or beside other numbers of its network; or all Lyapunov
    exponents are -inf.
bad_input : NaN or infinity among the given weights, states or inputs.
mixed_scales : units of one sequence differ so much in size that some were lost beside others that
    they do not depend on (as with a block-diagonal W), and their derivatives with them.
"""


def status_of(run: Run, results: Results) -> Array:
    """Status code of every network of a chunk, from its sweeps and its results."""
    tape, extremes = run.arrays.tape, run.arrays.adjoint.extremes
    overflow = ~_finite(tape.end)
    if run.setting.wiring.norm and CELLS[run.spec.cell].gated:  # see `kernels.bodies.forward`
        overflow |= tape.largest_exponent[:, 0] > FORMATS[run.spec.precision]["SCALE_LIMIT"]
    dead = np.zeros(run.count, bool)
    if extremes.size > 0:  # of the squared norms at all lags
        overflow |= ~np.isfinite(extremes[:, 1])
        dead = extremes[:, 0] == 0
    if "log_jacobian_norm" in results:
        overflow |= ~(results["log_jacobian_norm"] < np.inf).all(axis=(1, 2))
    if "lyapunov_exponent" in results:
        largest = results["lyapunov_exponent"][:, 0]
        overflow |= ~(results["lyapunov_exponent"] < np.inf).all(axis=1)
        dead |= largest == -np.inf
    if "log_step_radius" in results:
        overflow |= ~(results["log_step_radius"] < np.inf).all(axis=1)
    codes = np.full(run.count, STATUS["ok"], np.int8)
    codes[dead] = STATUS["dead"]
    codes[tape.mixed[:, 0] > 0] = STATUS["mixed_scales"]
    codes[overflow] = STATUS["overflow"]
    if run.given:
        finite = [_finite(a) for a in run.arrays.ensemble if a.size]
        codes[~np.logical_and.reduce(finite)] = STATUS["bad_input"]
    return codes


def _finite(array: Array) -> Array:
    return np.asarray(np.isfinite(array.reshape(len(array), -1)).all(axis=1))
