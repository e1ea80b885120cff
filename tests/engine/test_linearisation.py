"""The two linear sweeps of every architecture, against each other and against differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import plain
import pytest
import reference
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure, sample
from gradhorizon.engine.chunk import Run
from gradhorizon.engine.given import GivenSource
from gradhorizon.engine.layout import Wanted
from gradhorizon.engine.processor import Processor
from gradhorizon.engine.spec import CHOICES
from gradhorizon.kernels.bodies.tangent import push
from gradhorizon.kernels.cells import CELLS

SLOTS = ("state", "cell_state")
"""Names of the parts of a state in datasets."""

SKIPS = {"plain": (0.0, 1.0), "residual": (1.0, 1.0), "leaky": (0.7, 0.3)}

EVERY_ARCHITECTURE = [
    pytest.mark.parametrize("cell", CHOICES["cell"]),
    pytest.mark.parametrize("normalization", CHOICES["normalization"]),
    pytest.mark.parametrize("skip", SKIPS),
]
TIED = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
LOSS = {True: "last", False: "every"}
"""Where the loss of tied and of untied networks acts."""


def architectures(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test for every cell, normalisation and skip connection."""
    for mark in EVERY_ARCHITECTURE:
        test = mark(test)
    return test


def small(cell: str, normalization: str, skip: str, tied: bool) -> NetworkSpec:
    """Four sequences that differ, and all else as small as it can be."""
    keep_h, branch = SKIPS[skip]
    return NetworkSpec(
        cell=cell,
        normalization=normalization,
        norm_scale=1.0 if normalization == "none" else 0.8,
        skip=keep_h,
        branch=branch,
        tied=tied,
        hidden_size=3,
        input_size=2,
        weight_scale=0.9,
        bias_scale=0.4,
        batch_size=4,
    )


def one_run(ensemble: xr.Dataset) -> Run:
    """One network after the compiled forward and adjoint sweeps."""
    source = GivenSource.from_dataset(ensemble, None)
    return Run.of(source, 0, 1, Wanted.of(("gradient",)), Processor())


def tangent_products(run: Run, start: int) -> np.ndarray:
    """ds_t/ds_start for t = start, start + 1, ... (t, S B n, S B n), s_t the state before step t.

    The tangent sweep's own source, run as plain Python on the tape of the compiled forward sweep,
    with all unit perturbations at once.
    """
    ensemble, tape = plain.of_network(0, run.arrays)[:2]
    M, gates = ensemble.initial_state.size, ensemble.W.shape[1]
    units = M // len(CELLS[run.spec.cell].slots)
    product, column = np.empty((gates * units, M)), np.empty((3, units))
    found = [np.eye(M)]
    for t in range(start, run.window.total):
        W, out = ensemble.W[0 if run.spec.tied else t], np.empty((M, M))
        push(t, 0, W, run.setting.wiring, tape, found[-1], product, column, out)
        found.append(out)
    return np.array(found)


@TIED
@architectures
def test_adjoint_is_the_transposed_tangent(
    cell: str, normalization: str, skip: str, tied: bool
) -> None:
    """<dL/ds_T, J V> = <J^T dL/ds_T, V> for all V: every slot of every sequence.

    The adjoint sweep leaves dL/ds before the window behind. By the tangent sweep it is the sum,
    over the steps t that have a loss, of v_t times the rows of h of ds_t/ds.
    """
    spec = small(cell, normalization, skip, tied)
    ensemble = sample(spec, 1, 6, seed=1, burn_in=2, loss=LOSS[tied])
    run, v = one_run(ensemble), reference.networks(ensemble)[0].v[2:]
    rows = tangent_products(run, 2)[1:, : v[0].size]  # slot h comes first
    tangent = np.einsum("tx,txy->y", v.reshape(len(v), -1), rows)
    adjoint = run.arrays.adjoint.cotangent[0, run.window.steps % 2]
    assert np.abs(tangent).min() > 0
    scale = np.abs(tangent).max()
    np.testing.assert_allclose(adjoint.ravel(), tangent, rtol=0, atol=1e-12 * scale)


def state_error(ensemble: xr.Dataset) -> float:
    """What rounding can make of a state."""
    expected = reference.measure(ensemble)
    relative = reference.rounding_error(ensemble, np.finfo(float).eps / 2, expected)
    return max(relative[k] * np.abs(expected[k]).max() for k in SLOTS if k in expected)


def derivative(
    values: Callable[[np.ndarray], np.ndarray], noise: float
) -> tuple[np.ndarray, float]:
    """d value(e)/de at e = 0 by central differences, and its error (Ridders 1982).

    `values` takes several e, and returns as many values. Romberg's rule from the steps e, e/2 and
    e/4 leaves an error of order e^6, less than what its last extrapolation changed. Values that
    are wrong by `noise` change the result, which is (64 fine - 20 middle + coarse) / 45, by
    6.6 noise/e at most. The best of several e is taken: how far a network bends depends on the
    ensemble.
    """
    steps = 2.0 ** -np.arange(4, 14)
    above, below = np.split(values(np.concatenate([steps, -steps])), 2)
    differences = [(a - b) / (2 * e) for a, b, e in zip(above, below, steps, strict=True)]
    found = []
    for k, e in enumerate(steps[:-2]):
        coarse, middle, fine = differences[k : k + 3]
        first, second = (4 * middle - coarse) / 3, (4 * fine - middle) / 3
        best = (16 * second - first) / 15
        found.append((float(np.abs(best - second).max() + 6.6 * noise / e), best))
    error, best = min(found, key=lambda pair: pair[0])
    return best, error


def after_one_step(ensemble: xr.Dataset) -> xr.Dataset:
    """The same networks from the state after the first step on."""
    data = measure(ensemble, products=(), keep=("states",)).isel(step=0, drop=True)
    later = ensemble.isel(step=slice(1, None)).copy()
    for name in SLOTS:
        if f"initial_{name}" in later:
            later[f"initial_{name}"] = data[name]
    return later


def moved_states(ensemble: xr.Dataset, e: np.ndarray) -> np.ndarray:
    """States s_1, s_2, ... (e, t, S B n, S B n) of the forward kernel, a row per state, a column
    per number of the initial state that was moved by e.
    """
    names = [name for name in SLOTS if f"initial_{name}" in ensemble]
    start = np.stack([ensemble[f"initial_{name}"].values[0] for name in names])
    directions = np.eye(start.size).reshape(-1, *start.shape)
    moved = np.concatenate([start + by * directions for by in e])
    many = ensemble.isel(network=np.zeros(len(moved), int))
    for a, name in enumerate(names):
        many[f"initial_{name}"] = many[f"initial_{name}"].copy(data=moved[:, a])
    data = measure(many, products=(), keep=("states",))
    states = np.stack([data[name].transpose("step", ...).values for name in names], axis=2)
    by_size = states.reshape(len(states), len(e), len(directions), -1)
    return by_size.transpose(1, 0, 3, 2)


@TIED
@architectures
def test_tangent_equals_differences(cell: str, normalization: str, skip: str, tied: bool) -> None:
    """Products of Jacobians, entry by entry, their norms at every lag and their singular values.

    Two matrices that differ by D have Frobenius norms, spectral norms and singular values that
    differ by |D| at most (Weyl).
    """
    ensemble = sample(small(cell, normalization, skip, tied), 1, 6, seed=2, burn_in=0)
    later = after_one_step(ensemble)
    expected, error = derivative(lambda e: moved_states(later, e), state_error(later))
    assert error < 1e-7 * np.abs(expected).max()
    found = tangent_products(one_run(ensemble), 1)[1:]
    np.testing.assert_allclose(found, expected, rtol=0, atol=error)
    data = measure(ensemble, products=("jacobian",)).isel(network=0)
    frobenius, spectral = np.exp(data.log_jacobian_norm.values[:, 1:])
    singular = np.linalg.svd(expected, compute_uv=False)
    atol = error * len(expected[0])
    np.testing.assert_allclose(frobenius, np.linalg.norm(expected, axis=(1, 2)), 0, atol)
    np.testing.assert_allclose(spectral, singular[:, 0], 0, atol)
    np.testing.assert_allclose(np.exp(data.log_singular_value), singular[-1], 0, atol)


@TIED
@architectures
def test_bptt_equals_differences(cell: str, normalization: str, skip: str, tied: bool) -> None:
    """Directional derivatives of the naive loss along random directions of W, U and the biases."""
    rng, spec = np.random.default_rng(4), small(cell, normalization, skip, tied)
    ensemble = sample(spec, 1, 6, seed=3, burn_in=0, loss=LOSS[tied])
    net = reference.networks(ensemble)[0]
    data = measure(ensemble, products=("weights",), keep=("gradients",)).isel(network=0)
    noise = state_error(ensemble) * np.abs(net.v).sum()
    for name in ("W", "U", "b", *(["b_recurrent"] if "b_recurrent" in ensemble else [])):
        ours = data[f"grad_{name}"].values
        direction = rng.standard_normal(ours.shape)
        direction /= np.linalg.norm(direction)

        def moved_losses(e: np.ndarray, name: str = name, way: np.ndarray = direction) -> Any:
            moved = (net._replace(**{name: getattr(net, name) + by * way}) for by in e)
            return np.array([reference.loss(one) for one in moved])

        expected, error = derivative(moved_losses, noise)
        assert error < 1e-6 * np.linalg.norm(ours)
        assert (ours * direction).sum() == pytest.approx(float(expected), rel=0, abs=error)
