"""A peer's results are ours, to the rounding of the number format."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from gradhorizon.engine import measure, sample
from gradhorizon.kernels.bodies.lyapunov import LIMIT

from .jobs import JACOBIAN, LYAPUNOV, NORMS, Job, Peer, Summary, arrays

RUNS = 3
"""Ensembles with rounding errors put in."""


def assert_equal(job: Job, peer: Peer) -> None:
    """Compare all results of a peer on an ensemble of `sample`."""
    ensemble = sample(job.spec, job.N, job.T, seed=1, burn_in=0)
    ours, theirs = measured(job, ensemble), peer.compute(arrays(ensemble))
    bounds = rounding(job, ensemble)
    for name, found in theirs.items():
        assert found.dtype == job.precision, name
        assert distance(name, found, ours[name]) <= 2 * bounds[name], name  # two were rounded
        if job.precision == "float64":
            assert bounds[name] < (1e-7 if name == "lyapunov_exponent" else 1e-9), name


def measured(job: Job, ensemble: xr.Dataset) -> dict[str, Any]:
    """Our results under the names that peers give them."""
    if job.products == JACOBIAN:
        norm = measure(ensemble, products=JACOBIAN).log_jacobian_norm
        return {"log_jacobian_norm": norm.sel(norm="frobenius").values}
    if job.products == LYAPUNOV:
        exponents = measure(ensemble, products=LYAPUNOV).lyapunov_exponent
        return {"lyapunov_exponent": exponents.values}
    data = measure(ensemble, products=job.products, keep=("gradients",))
    found = {name: data[name].values for name in ("log_gradient", *NORMS)}
    for name in ("grad_W", "grad_U"):  # gates one below the other
        found[name] = data[name].values.reshape(job.N, -1, job.n)
    return found


def rounding(job: Job, ensemble: xr.Dataset) -> dict[str, float]:
    """How far results may be off: their change as weights change by the error of a dot product.

    A computed dot product of n and m terms is the exact one of weights that are off by (n + m) u
    at most (Higham 2002, section 3.1), u the unit roundoff; activations, norms and logarithms add
    a few u. Four times the largest change in a few random directions, and one step's error.
    """
    unit = (2 * job.n + 8) * float(np.finfo(job.precision).eps) / 2
    exact = ensemble.astype(float).assign_attrs(ensemble.attrs)
    exact.attrs["spec"] = exact.attrs["spec"].replace(job.precision, "float64")
    expected, rng = measured(job, exact), np.random.default_rng(2)
    largest = dict.fromkeys(expected, 0.0)
    for _ in range(RUNS):
        moved = exact.copy()
        for name in ("W", "U", "input", "readout_gradient"):
            moved[name] = exact[name] * (1 + unit * rng.uniform(-1, 1, exact[name].shape))
        for name, values in measured(job, moved).items():
            largest[name] = max(largest[name], distance(name, values, expected[name]))
    own = dict.fromkeys(expected, 0.0)
    if "lyapunov_exponent" in own:  # an orthonormalisation loses as many digits as LIMIT has
        own["lyapunov_exponent"] = LIMIT * float(np.finfo(job.precision).eps)
    size = {name: 1.0 + np.abs(a).max() * name.startswith("log") for name, a in expected.items()}
    return {name: own[name] + unit * size[name] + 4 * largest[name] for name in expected}


def distance(name: str, found: Any, expected: Any) -> float:
    """Largest difference: of a logarithm as it is, of others relative to the largest entry."""
    size = 1.0 if name.startswith(("log", "lyapunov")) else float(np.abs(expected).max())
    with np.errstate(invalid="ignore"):  # what counts twice as infinite
        return float(np.abs(np.asarray(found, float) - expected).max()) / size


def assert_same_law(job: Job, one: Summary, other: Summary) -> None:
    """Different random numbers of one law: means within four standard errors of each other."""
    if not np.isfinite(other["rate"]):
        assert job.precision == "float32"  # unscaled gradients leave it
        return
    error = math.hypot(one["rate_sd"], other["rate_sd"]) / math.sqrt(job.N)
    assert abs(one["rate"] - other["rate"]) <= 4 * error
