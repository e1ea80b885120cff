"""Eigenvalues of single steps against the naive reference's Jacobians, and exact cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import reference
import xarray as xr
from laws import assert_mean

from gradhorizon.engine import InputError, NetworkSpec, measure, sample
from gradhorizon.engine.eigenvalue import log_of, visited_lags
from gradhorizon.engine.spec import CHOICES
from gradhorizon.engine.status import STATUS

PRODUCT = ("eigenvalue",)


@pytest.mark.parametrize("precision, rtol", [("float64", 1e-9), ("float32", 1e-3)])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("cell", CHOICES["cell"])
def test_radii_of_any_architecture(cell: str, batch: int, precision: str, rtol: float) -> None:
    """Largest |eigenvalue| of the reference's step Jacobians, all slots of all sequences."""
    spec = NetworkSpec(
        cell=cell,
        hidden_size=4,
        input_size=3,
        batch_size=batch,
        bias_scale=0.3,
        skip=0.7,
        branch=0.6,
        weight_scale=1.4,
        tied=cell != "gru",
        precision=precision,
    )
    ensemble = sample(spec, 2, 12, burn_in=3)
    data = measure(ensemble, products=("eigenvalue", "gradient", "weights"))
    for k, net in enumerate(reference.networks(ensemble)):
        jacobians = reference.Passage(net).jacobians[3 + data.visit.values]
        want = np.log(np.abs(np.linalg.eigvals(jacobians)).max(axis=1))
        np.testing.assert_allclose(data.log_step_radius[k], want, rtol=0, atol=rtol)


@pytest.mark.parametrize("tied", [True, False])
def test_radius_norm_and_scale_of_weights(tied: bool) -> None:
    """By gate, NaN nowhere: gates that do not read h have -inf; of fresh weights the mean."""
    for cell in ("rnn", "minimal_rnn", "lstm"):
        spec = NetworkSpec(cell=cell, hidden_size=5, weight_scale=0.8, tied=tied)
        ensemble = sample(spec, 3, 20)
        data = measure(ensemble, products=PRODUCT)
        W = ensemble.W.values[:, None] if tied else ensemble.W.values[:, data.visit.values]
        with np.errstate(divide="ignore"):
            want = {
                "log_weight_radius": np.log(np.abs(np.linalg.eigvals(W)).max(axis=-1)),
                "log_weight_norm": np.log(np.linalg.svd(W, compute_uv=False)[..., 0]),
                "log_weight_scale": 0.5 * np.log((W**2).sum(axis=(-2, -1)) / 5),
            }
        assert list(data.gate.values) == list(ensemble.gate.values)
        for name, values in want.items():
            np.testing.assert_allclose(data[name], values.mean(axis=1), rtol=1e-10, atol=1e-12)


def test_linear_networks_have_one_jacobian() -> None:
    """Every step is W: radius, and the radius of the step, are the same; those of Ginibre are told.

    Oracle E: E ln rho = 0.053 at N = 64, sd 0.047. One z-test, its false-alarm rate 6e-5.
    """
    spec = NetworkSpec(activation="linear", hidden_size=64)
    data = measure(spec, networks=100, steps=6, products=PRODUCT)
    radius = data.log_weight_radius.isel(gate=0)
    np.testing.assert_allclose(data.log_step_radius - radius, 0, atol=1e-12)
    assert_mean(radius.values, 0.053)
    assert (data.log_weight_norm.isel(gate=0) > radius).all()


def test_defective_and_dead_matrices() -> None:
    """0.9 on and 0.3 above the diagonal has radius 0.9; a nilpotent matrix, and none, radius 0."""
    bidiagonal = 0.9 * np.eye(16) + 0.3 * np.eye(16, k=1)
    matrices = [bidiagonal, np.eye(16, k=1), np.zeros((16, 16))]
    ensemble = given(matrices)
    data = measure(ensemble, products=PRODUCT)
    np.testing.assert_allclose(data.log_weight_radius[:, 0], [np.log(0.9), -np.inf, -np.inf])
    np.testing.assert_allclose(data.log_weight_norm[1:, 0], [0.0, -np.inf], atol=1e-15)
    assert (data.status == STATUS["ok"]).all()


def given(matrices: list[np.ndarray], **fields: Any) -> xr.Dataset:
    """Undriven linear networks with the given W."""
    spec = NetworkSpec(activation="linear", hidden_size=len(matrices[0]), **fields)
    ensemble = sample(spec, len(matrices), 10, inputs="zero")
    ensemble["W"][:, 0] = np.array(matrices)
    return ensemble


def test_bad_networks_are_told() -> None:
    """NaN among the weights of one network leaves the others as they are."""
    ensemble = given([np.eye(3), np.full((3, 3), np.nan), np.eye(3)])
    data = measure(ensemble, products=PRODUCT)
    assert data.status.values.tolist() == [STATUS["ok"], STATUS["bad_input"], STATUS["ok"]]
    assert data.log_step_radius[1].isnull().all()
    np.testing.assert_allclose(data.log_step_radius[[0, 2]], 0, atol=1e-15)


@pytest.mark.parametrize("steps, lags", [(2, [1]), (4, [1, 2, 3]), (101, [1, 25, 50, 75, 100])])
def test_steps_that_are_looked_at(steps: int, lags: list[int]) -> None:
    assert visited_lags(steps).tolist() == lags
    data = measure(NetworkSpec(hidden_size=3), networks=1, steps=steps, products=PRODUCT)
    assert data.visit.values.tolist() == lags


@pytest.mark.parametrize("normalization", ["batch", "batch-separate", "layer"])
def test_normalised_networks_are_refused(normalization: str) -> None:
    spec = NetworkSpec(hidden_size=4, batch_size=3, normalization=normalization)
    with pytest.raises(InputError, match=r"normalization.*none.*eigenvalue"):
        measure(spec, networks=1, steps=5, products=PRODUCT)


@pytest.mark.parametrize("factor", [1e-300, 1e300])
def test_sizes_of_matrices_whose_squares_no_float_holds(factor: float) -> None:
    matrices = np.random.default_rng(0).standard_normal((4, 5, 5))
    for size in (
        lambda a: np.abs(np.linalg.eigvals(a)).max(axis=-1),
        lambda a: np.linalg.norm(a, 2, axis=(-2, -1)),
        lambda a: np.linalg.norm(a, axis=(-2, -1)),
    ):
        expected = np.log(size(matrices)) + np.log(factor)
        np.testing.assert_allclose(log_of(size, factor * matrices), expected, rtol=1e-14)
