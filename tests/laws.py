"""Tests of samples against laws. Seeds are fixed wherever these are used.

A z-test bounds |measured - theory| by 4 standard errors of the measurement: a right program fails
it with probability 6e-5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from gradhorizon.engine import NetworkSpec, measure

ALARM = 6e-5


def assert_mean(samples: np.ndarray, theory: float, sd: float | None = None) -> None:
    """z-test of a mean, with the theory's standard deviation where there is one."""
    error = (np.std(samples, ddof=1) if sd is None else sd) / np.sqrt(samples.size)
    assert abs(samples.mean() - theory) <= 4 * error


def assert_variance(samples: np.ndarray, theory: float) -> None:
    """z-test of a variance, its standard error from the fourth moment of the samples."""
    deviation = (samples - samples.mean()) ** 2
    assert abs(deviation.mean() - theory) <= 4 * deviation.std() / np.sqrt(samples.size)


def gaussian_exponents(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Newman 1986: mean and variance per step of ln R_ii for fresh Gaussian W, weight_scale 1."""
    dof = n - np.arange(n)
    return (np.log(2 / n) + special.psi(dof / 2)) / 2, special.polygamma(1, dof / 2) / 4


def increments(spec: NetworkSpec, networks: int, steps: int, **options: Any) -> np.ndarray:
    """Increments of ln |dL/dnet|, (network, lag), of networks whose status is 0."""
    data = measure(spec, networks=networks, steps=steps, inputs="zero", **options)
    assert (data.status == 0).all()
    return np.diff(data.log_gradient.values, axis=1)
