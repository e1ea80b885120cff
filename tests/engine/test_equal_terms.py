"""Equal sequences stay equal, and a mean of equal numbers is that number.

A normalisation divides by sqrt(variance + 1e-5): rounding errors of the mean would come out 316
times as large, and at the next step again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import STATUS, NetworkSpec, measure, sample
from gradhorizon.kernels.norms.deviation import EPSILON

PRECISIONS = pytest.mark.parametrize("precision", ["float64", "float32"])
STEPS = 60


def all_as_the_first(ensemble: xr.Dataset) -> xr.Dataset:
    """The same networks with their first sequence in the place of every one."""
    for name in ("input", "initial_state"):
        ensemble[name][:] = ensemble[name][:, :1].values
    return ensemble


def growth_at_zero(ensemble: xr.Dataset, k: int) -> np.ndarray:
    """log_gradient of a network whose normalised terms are all 0 (tanh' = 1 there), by NumPy.

    dL/dh of a step is W^T (gamma / sqrt eps) (delta - mean of delta over the batch).
    """
    W = ensemble.W.values[k, 0].astype(float)
    delta = ensemble.readout_gradient.values[k].astype(float)
    factor = 1 / np.sqrt(EPSILON)
    norms, log = [np.log(np.linalg.norm(delta))], 0.0
    for _ in range(ensemble.sizes["step"] - 1):
        delta = factor * (delta - delta.mean(axis=0)) @ W
        size = np.linalg.norm(delta)
        log, delta = log + np.log(size), delta / size
        norms.append(log)
    return np.array(norms) - norms[0]


@PRECISIONS
@pytest.mark.parametrize("batch_size", [2, 5, 8, 11])
def test_equal_sequences_of_a_batch(batch_size: int, precision: str) -> None:
    """Batch norm: all terms are 0, and so are the states; the gradient grows by W / sqrt eps."""
    spec = NetworkSpec(
        hidden_size=6, normalization="batch", batch_size=batch_size, precision=precision
    )
    ensemble = all_as_the_first(sample(spec, 4, STEPS, seed=1, burn_in=0))
    data = measure(ensemble, keep=("states",))
    np.testing.assert_array_equal(data.state, 0.0)
    atol = 2e-9 if precision == "float64" else 2e-2
    for k in range(4):
        np.testing.assert_allclose(data.log_gradient[k], growth_at_zero(ensemble, k), atol=atol)


@PRECISIONS
@pytest.mark.parametrize("normalization", ["batch", "batch-separate"])
def test_an_equal_loss_of_a_batch(normalization: str, precision: str) -> None:
    """The same dL/dh of every sequence: what all have in common does not pass a batch norm.

    sum_b dy_b/dx = 0, whatever the states: dL/dnet is exactly zero one step before the last.
    """
    spec = NetworkSpec(
        hidden_size=6, normalization=normalization, batch_size=5, precision=precision
    )
    ensemble = sample(spec, 4, STEPS, seed=1, burn_in=0)
    ensemble = all_as_the_first(ensemble)
    ensemble["readout_gradient"][:] = ensemble.readout_gradient[:, :1].values
    data = measure(ensemble)
    assert (data.log_gradient[:, 1:] == -np.inf).all()
    assert (data.status == STATUS["dead"]).all()


@PRECISIONS
def test_a_constant_feature(precision: str) -> None:
    """Inputs that are 100 in every sequence: U x has no variance, and vanishes if normalised apart.

    The states are then those of the same network without inputs.
    """
    spec = NetworkSpec(
        hidden_size=6, normalization="batch-separate", batch_size=16, precision=precision
    )
    ensemble = sample(spec, 3, STEPS, seed=2, burn_in=0)
    driven, silent = ensemble.copy(deep=True), ensemble.copy(deep=True)
    driven["input"][:], silent["input"][:] = 100.0, 0.0
    states = [measure(one, keep=("states",)).state for one in (driven, silent)]
    np.testing.assert_array_equal(states[0], states[1])


@PRECISIONS
@pytest.mark.parametrize("size, value", [(7, 11000.0), (3, 0.1), (10, -1e6), (33, 12345.678)])
def test_equal_terms_of_a_layer(size: int, value: float, precision: str) -> None:
    """Layer norm of terms that are all equal is 0, so that h = tanh(0); PyTorch finds 0, too."""
    spec = NetworkSpec(hidden_size=size, input_size=1, normalization="layer", precision=precision)
    ensemble = sample(spec, 1, 3, burn_in=0)
    ensemble["W"][:], ensemble["U"][:], ensemble["input"][:] = 0.0, 1.0, value
    data = measure(ensemble, products=("trajectory",), keep=("states",))
    np.testing.assert_array_equal(data.state, 0.0)


ALIKE: list[dict[str, Any]] = [
    {},
    {"cell": "gru"},
    {"cell": "lstm"},
    {"normalization": "layer"},
    {"activation": "elu", "weight_scale": 1.6},
    {"tied": False},
]


@PRECISIONS
@pytest.mark.parametrize("fields", ALIKE, ids=str)
def test_the_place_in_a_batch_does_not_matter(fields: dict[str, Any], precision: str) -> None:
    """Sequences in another order: the same states, to the last bit, in that order."""
    spec = NetworkSpec(hidden_size=9, input_size=5, batch_size=7, precision=precision, **fields)
    ensemble = sample(spec, 2, 30, seed=3)
    order = np.random.default_rng(0).permutation(7)
    moved = ensemble.isel(sequence=order)
    states = [measure(one, keep=("states",)).state.values for one in (ensemble, moved)]
    np.testing.assert_array_equal(states[0][:, order], states[1])


@pytest.mark.parametrize("normalization", ["batch", "batch-separate"])
def test_equal_members_of_a_batch(normalization: str) -> None:
    """Two equal sequences among others are equal wherever they stand."""
    spec = NetworkSpec(hidden_size=9, batch_size=7, normalization=normalization)
    ensemble = sample(spec, 2, 40, seed=4)
    for name in ("input", "initial_state"):
        ensemble[name][:, 6] = ensemble[name][:, 1].values
    state = measure(ensemble, keep=("states",)).state
    np.testing.assert_array_equal(state[:, 6], state[:, 1])
