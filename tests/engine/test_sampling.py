"""What is drawn: the five weight ensembles, inputs, biases, initial states and losses.

Statistical tests use fixed seeds and would fail a right program with probability below 1e-6 each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from gradhorizon.engine import NetworkSpec, sample

ALARM = 1e-6
PRECISIONS = pytest.mark.parametrize("precision", ["float64", "float32"])
TIED = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])


def draw(networks: int = 200, steps: int = 4, **fields: Any) -> xr.Dataset:
    return sample(NetworkSpec(**({"hidden_size": 16, "input_size": 9} | fields)), networks, steps)


def assert_normal(array: xr.DataArray, sd: float) -> None:
    """Variance by chi-square with the exact number of degrees of freedom, shape by KS."""
    x = array.values.astype(float).ravel() / sd
    tail = stats.chi2.cdf((x**2).sum(), x.size)
    assert ALARM < tail < 1 - ALARM
    assert stats.kstest(x, "norm").pvalue > ALARM


def assert_uniform(array: xr.DataArray, bound: float) -> None:
    """U(-bound, bound): never outside, and KS."""
    x = array.values.astype(float).ravel() / bound
    assert np.abs(x).max() <= 1 + 1e-6
    assert stats.kstest(x, stats.uniform(-1, 2).cdf).pvalue > ALARM


@TIED
@PRECISIONS
def test_gaussian_weights(tied: bool, precision: str) -> None:
    """W ~ N(0, weight_scale^2 / n), U ~ N(0, input_scale^2 / m), b ~ N(0, bias_scale^2)."""
    data = draw(weight_scale=1.7, input_scale=0.6, bias_scale=0.3, tied=tied, precision=precision)
    assert data.W.dtype == precision
    assert_normal(data.W, 1.7 / 4)
    assert_normal(data.U, 0.6 / 3)
    assert_normal(data.b, 0.3)


@TIED
@PRECISIONS
def test_orthogonal_weights(tied: bool, precision: str) -> None:
    """W^T W = weight_scale^2 I; Haar: entries are Beta, the determinant is a fair coin.

    An entry q of a Haar matrix has (1 + q) / 2 ~ Beta((n-1)/2, (n-1)/2); one entry per matrix is
    used, at three places, so that they are independent.
    """
    data = draw(
        1500 if tied else 400,
        weights="orthogonal",
        weight_scale=1.3,
        hidden_size=7,
        tied=tied,
        precision=precision,
    )
    W = data.W.values.reshape(-1, 7, 7).astype(float) / 1.3
    tolerance = 30 * float(np.finfo(precision).eps)
    np.testing.assert_allclose(
        W.swapaxes(1, 2) @ W, np.tile(np.eye(7), (len(W), 1, 1)), atol=tolerance
    )
    for i, j in ((0, 0), (3, 5), (6, 6)):
        assert stats.kstest((1 + W[:, i, j]) / 2, stats.beta(3, 3).cdf).pvalue > ALARM
    positive = int((np.linalg.det(W) > 0).sum())
    assert stats.binomtest(positive, len(W)).pvalue > ALARM


@PRECISIONS
def test_uniform_weights(precision: str) -> None:
    """The variance of the Gaussian ensemble: U(-s, s), s = weight_scale sqrt(3 / n)."""
    data = draw(weights="uniform", weight_scale=1.7, precision=precision)
    assert_uniform(data.W, 1.7 * np.sqrt(3) / 4)
    assert_normal(data.U, 1 / 3)


@TIED
@PRECISIONS
def test_identity_weights(tied: bool, precision: str) -> None:
    data = draw(3, weights="identity", weight_scale=0.7, tied=tied, precision=precision)
    expected = np.broadcast_to(np.eye(16) * np.dtype(precision).type(0.7), data.W.shape)
    np.testing.assert_array_equal(data.W, expected)
    assert_normal(data.U, 1 / 3)


@PRECISIONS
def test_pytorch_weights(precision: str) -> None:
    """Every weight and bias U(-1/sqrt n, 1/sqrt n); W and U times their scales.

    A gate has two biases there. Where they enter as a sum, b is that sum, a triangular law.
    """
    fields = dict(weights="pytorch", weight_scale=2.0, input_scale=0.5, precision=precision)
    data = draw(cell="gru", **fields)
    assert_uniform(data.W, 2 / 4)
    assert_uniform(data.U, 0.5 / 4)
    assert_uniform(data.b.sel(gate="candidate"), 1 / 4)
    assert_uniform(data.b_recurrent, 1 / 4)
    for sums in (data.b.sel(gate=["reset", "update"]), draw(**fields).b):
        x = sums.values.astype(float).ravel() / (1 / 4)
        assert stats.kstest(x, stats.triang(0.5, -2, 4).cdf).pvalue > ALARM


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gates_have_their_own_blocks(cell: str) -> None:
    """Each gate is an ensemble of its own: same law, no correlation between gates.

    A correlation of two independent blocks of 51,200 numbers has sd 1 / sqrt(51200).
    """
    data = draw(cell=cell, weight_scale=1.7, input_scale=0.6, bias_scale=0.3)
    for name, sd in {"W": 1.7 / 4, "U": 0.6 / 3, "b": 0.3}.items():
        for gate in data.gate.values:
            assert_normal(data[name].sel(gate=gate), sd)
    first, second = (data.W.isel(gate=g).values.ravel() for g in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(first.size)


def test_further_slots_start_at_zero() -> None:
    """PyTorch's c_0; an own bias of the recurrent candidate has the law of the others."""
    assert (draw(5, cell="lstm").initial_cell_state == 0).all()
    gru = draw(cell="gru", bias_scale=0.3)
    assert_normal(gru.b_recurrent, 0.3)
    assert list(gru.own_gate.values) == ["candidate"]
    assert "b_recurrent" not in draw(5, cell="lstm")


def test_no_bias_and_gate_bias() -> None:
    assert (draw(3).b == 0).all()
    assert (draw(3, gate_bias={"hidden": -0.75}).b == -0.75).all()
    lstm = draw(3, cell="lstm", gate_bias={"forget": 1.5, "output": -1.0})
    np.testing.assert_array_equal(lstm.b[0, :, 0], [0, 1.5, 0, -1])
    gru = draw(3, cell="gru", gate_bias={"candidate": 0.5})
    np.testing.assert_array_equal(gru.b[0, :, 0], [0, 0, 0.5])
    assert (gru.b_recurrent == 0).all()


@PRECISIONS
def test_inputs_states_and_losses(precision: str) -> None:
    """x and h_0 are N(0, 1); dL/dh is a uniformly random direction over (sequence, unit)."""
    data = draw(batch_size=2, precision=precision)
    assert_normal(data.input, 1.0)
    assert_normal(data.initial_state, 1.0)
    v = data.readout_gradient.values.astype(float).reshape(200, -1)
    np.testing.assert_allclose((v**2).sum(axis=1), 1, rtol=20 * float(np.finfo(precision).eps))
    for k in (0, 20, 31):  # one coordinate of a random direction of 32
        assert stats.kstest((1 + v[:, k]) / 2, stats.beta(15.5, 15.5).cdf).pvalue > ALARM


def test_losses_at_every_step_are_independent_unit_vectors() -> None:
    data = sample(NetworkSpec(hidden_size=32), 300, 6, loss="every")
    v = data.readout_gradient.transpose("network", "loss_step", ...).values[:, :, 0]
    assert v.shape == (300, 6, 32)
    np.testing.assert_allclose((v**2).sum(axis=2), 1, rtol=1e-14)
    overlap = (v[:, 1:] * v[:, :-1]).sum(axis=2).ravel()
    assert stats.kstest((1 + overlap) / 2, stats.beta(15.5, 15.5).cdf).pvalue > ALARM


def test_weights_of_all_steps_networks_and_arrays_are_independent() -> None:
    """Largest of all sample correlations between arrays: N(0, 1/count), 66 pairs."""
    data = draw(8, 4, tied=False, hidden_size=32, input_size=32)
    rows = [*data.W.values[0, :, 0].reshape(4, -1), *data.U.values[0, :, 0].reshape(4, -1)]
    rows += [*data.W.values[1:5, 0, 0].reshape(4, -1)]
    correlation = np.corrcoef(rows)[np.triu_indices(len(rows), 1)]
    assert np.abs(correlation).max() * np.sqrt(32 * 32) < stats.norm.isf(ALARM / 132)


def test_zero_inputs() -> None:
    data = sample(NetworkSpec(hidden_size=4, input_size=3), 2, 5, inputs="zero")
    assert data.input.shape == (2, 1, 5, 3)
    assert (data.input == 0).all()


@pytest.mark.parametrize("burn_in", [0, 3])
@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_given_sequences(batch_size: int, burn_in: int) -> None:
    """Network i reads sequences i B, ..., i B + B - 1, counted round; burn-in reads their ends."""
    sequences = np.arange(3 * 7 * 2, dtype=float).reshape(3, 7, 2)
    spec = NetworkSpec(hidden_size=4, input_size=2, batch_size=batch_size)
    data = sample(spec, 4, 6, inputs=sequences, burn_in=burn_in)
    for network in range(4):
        for b in range(batch_size):
            own = sequences[(network * batch_size + b) % 3]
            expected = np.concatenate([own[7 - burn_in :], own[:6]])
            np.testing.assert_array_equal(data.input[network, b], expected)


def test_burn_in_longer_than_the_sequence_goes_round() -> None:
    sequences = np.arange(6, dtype=float).reshape(1, 6, 1)
    ensemble = sample(NetworkSpec(hidden_size=2, input_size=1), 1, 6, inputs=sequences, burn_in=4)
    np.testing.assert_array_equal(ensemble.input[0, 0, :, 0], [2, 3, 4, 5, 0, 1, 2, 3, 4, 5])


def test_layout_and_labels() -> None:
    """Dimensions, their order, and coordinates of what sample returns."""
    tied = sample(NetworkSpec(hidden_size=4, input_size=3, batch_size=2), 5, 6, burn_in=2)
    assert tied.W.dims == ("network", "gate", "unit", "source")
    assert tied.U.dims == ("network", "gate", "unit", "feature")
    assert tied.b.dims == ("network", "gate", "unit")
    assert tied.input.dims == ("network", "sequence", "step", "feature")
    assert tied.initial_state.dims == tied.readout_gradient.dims == ("network", "sequence", "unit")
    assert list(tied.gate.values) == ["hidden"]
    assert list(tied.step.values) == [-2, -1, 0, 1, 2, 3, 4, 5]
    untied = sample(NetworkSpec(hidden_size=4, input_size=3, tied=False), 5, 6)
    assert untied.W.dims == ("network", "step", "gate", "unit", "source")
    assert untied.W.shape == (5, 6, 1, 4, 4)
    assert list(untied.step.values) == [0, 1, 2, 3, 4, 5]  # no burn-in by default
