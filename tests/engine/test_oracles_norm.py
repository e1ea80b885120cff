"""Measured against mean-field theory of normalised and of residual networks.

z-tests at 4 standard errors: the false-alarm rate is 6e-5 each (see `laws`). Finite-size terms go
like 1/n unless stated, and 2 rate(2n) - rate(n) is free of them. Batches are small beside n
throughout, so that theory at the very batch size applies; that it tends to the table of large
batches is a matter of `test_finite_batch`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradhorizon.engine import NetworkSpec, measure
from gradhorizon.studies.theory import (
    finite_batch_mean_field,
    normalized_mean_field,
    residual_path,
)


def rates(spec: NetworkSpec, networks: int, settle: int, inputs: str) -> tuple[float, float]:
    """Mean growth of the gradient over 16 lags after the first 4, and its standard error.

    The last layers, or steps, are left out as the gradient's direction over the batch settles, and
    the first `settle` as the states do.
    """
    data = measure(spec, networks=networks, steps=21, burn_in=settle, inputs=inputs)
    assert (data.status == 0).all()
    log = data.log_gradient.values
    rate = (log[:, 20] - log[:, 4]) / 16
    return float(rate.mean()), float(rate.std(ddof=1) / np.sqrt(networks))


def wide_rate(
    sizes: tuple[int, int],
    networks: tuple[int, int],
    settle: int = 12,
    inputs: str = "zero",
    **fields: Any,
) -> tuple[float, float]:
    """The rate free of its 1/n term, from two widths, one twice the other; and its error."""
    (narrow, first), (wide, second) = (
        rates(NetworkSpec(hidden_size=n, **fields), count, settle, inputs)
        for n, count in zip(sizes, networks, strict=True)
    )
    return 2 * wide - narrow, float(np.hypot(2 * second, first))


# H. Deep nets with batch normalisation


@pytest.mark.parametrize("activation", ["linear", "relu", "sigmoid", "erf", "tanh"])
def test_deep_batch_norm_explodes(activation: str) -> None:
    """B = 8: (B-2)/(B-3) for the identity, and what theory gives for others; tied = false.

    n = 64 and 128, 400 and 200 networks of 21 layers after 12.
    """
    rate, error = wide_rate(
        (64, 128),
        (400, 200),
        activation=activation,
        input_size=1,
        tied=False,
        normalization="batch",
        batch_size=8,
    )
    theory = finite_batch_mean_field(activation, 8)
    if activation == "linear":
        assert theory.chi_1 == pytest.approx(6 / 5, rel=1e-12)
    assert abs(rate - theory.rate) <= 4 * error
    assert rate - 4 * error > 0.07  # no gain or activation is critical


@pytest.mark.parametrize(
    "size, n, networks, table", [(16, 256, 80, 0.47), (32, 256, 30, 0.42), (64, 512, 6, 0.40)]
)
def test_deep_relu_against_batch_size(size: int, n: int, networks: int, table: float) -> None:
    """ReLU: ln growth 0.47 / 0.42 / 0.40 of the squared gradient, limit ln pi / (pi-1) = 0.3832.

    Finite-size term 1 / n a layer. The table's two digits are 0.464 / 0.420 / 0.401 in theory.
    """
    spec = NetworkSpec(
        activation="relu",
        hidden_size=n,
        input_size=1,
        tied=False,
        normalization="batch",
        batch_size=size,
    )
    rate, error = rates(spec, networks, 8, "zero")
    theory = finite_batch_mean_field("relu", size)
    assert 2 * theory.rate == pytest.approx(table, abs=0.0065)
    assert abs(rate - theory.rate) <= 4 * error + 1 / n
    assert normalized_mean_field("relu").rate < theory.rate


@pytest.mark.parametrize("weight_scale, norm_scale", [(0.1, 1.0), (30.0, 0.5)])
def test_batch_norm_has_no_critical_weight_scale(weight_scale: float, norm_scale: float) -> None:
    """tanh, B = 8: the rate depends on norm_scale and not on weight_scale, also with small ones.

    n = 64 and 128, 200 and 100 networks.
    """
    rate, error = wide_rate(
        (64, 128),
        (200, 100),
        input_size=1,
        weight_scale=weight_scale,
        norm_scale=norm_scale,
        tied=False,
        normalization="batch",
        batch_size=8,
    )
    theory = finite_batch_mean_field("tanh", 8, norm_scale=norm_scale)
    # epsilon = 1e-5 beside a variance of W h of about 0.01 * 0.4
    epsilon = 1e-5 / (0.3 * weight_scale**2)
    assert abs(rate - theory.rate) <= 4 * error + epsilon


# Recurrent nets with normalisation: tied, driven by N(0, 1) at every step


@pytest.mark.parametrize("normalization", ["batch", "batch-separate"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("norm_scale", [0.1, 1.0])
def test_recurrent_batch_norm(normalization: str, activation: str, norm_scale: float) -> None:
    """W h and U x normalised together and apart, B = 16, weight_scale 1.5, input_scale 1.

    Apart, tanh, in the limit of large batches: chi = 0.5002 and 0.672 for gamma = 0.1 and 1
    (Cooijmans et al. 2017 have both gammas; without their norm of an LSTM's cell). Together the
    input has its share of the variance. n = 64 and 128, 200 and 100 networks.
    """
    rate, error = wide_rate(
        (64, 128),
        (200, 100),
        inputs="gaussian",
        activation=activation,
        weight_scale=1.5,
        norm_scale=norm_scale,
        normalization=normalization,
        batch_size=16,
    )
    options: dict[str, Any] = dict(
        normalization=normalization, weight_scale=1.5, input_variance=1.0, norm_scale=norm_scale
    )
    theory = finite_batch_mean_field(activation, 16, **options)
    # epsilon = 1e-5 beside the variance of W h
    epsilon = 0.5e-5 / (1.5**2 * norm_scale**2 / 2)
    assert abs(rate - theory.rate) <= 4 * error + epsilon
    assert normalized_mean_field(activation, **options).rate < theory.rate


@pytest.mark.parametrize("norm_scale, table", [(0.1, 0.5002), (1.0, 0.672)])
def test_recurrent_batch_norm_of_large_batches(norm_scale: float, table: float) -> None:
    """tanh, norms apart: 2 rate(2B) - rate(B) tends to the limit, B = 32 and 64, n = 256.

    What is left of the batch's effect is computed; finite-size term 0.6 / n.
    """
    found, errors, theories = [], [], []
    options: dict[str, Any] = dict(normalization="batch-separate", norm_scale=norm_scale)
    for size, networks in ((32, 40), (64, 16)):
        spec = NetworkSpec(hidden_size=256, weight_scale=3.0, batch_size=size, **options)
        rate, error = rates(spec, networks, 12, "gaussian")
        found.append(rate)
        errors.append(error)
        field = finite_batch_mean_field("tanh", size, input_variance=1.0, **options)
        theories.append(field.rate)
    limit = normalized_mean_field("tanh", input_variance=1.0, **options)
    assert limit.chi_1 == pytest.approx(table, abs=5e-4)
    rest = abs(2 * theories[1] - theories[0] - limit.rate)
    error = np.hypot(2 * errors[1], errors[0])
    assert rest < 2e-3
    assert abs(2 * found[1] - found[0] - limit.rate) <= 4 * error + rest + 0.6 / 256


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("activation, bias_scale", [("tanh", 0.0), ("relu", 0.5)])
def test_layer_norm(activation: str, bias_scale: float, tied: bool) -> None:
    """Statistics over the units: theory at any batch size, here 1; weight_scale 1.5, gamma 0.8.

    n = 64 and 128, 400 and 200 networks.
    """
    rate, error = wide_rate(
        (64, 128),
        (400, 200),
        inputs="gaussian",
        activation=activation,
        weight_scale=1.5,
        bias_scale=bias_scale,
        norm_scale=0.8,
        tied=tied,
        normalization="layer",
    )
    theory = normalized_mean_field(
        activation,
        normalization="layer",
        weight_scale=1.5,
        bias_scale=bias_scale,
        input_variance=1.0,
        norm_scale=0.8,
    )
    assert abs(rate - theory.rate) <= 4 * error


# Residual nets: h' = h + phi(W h), untied


def windows(log_gradient: np.ndarray, lags: int) -> np.ndarray:
    """ln |dL/dnet| averaged over the 20 lags about each multiple of `lags`, over the first 20.

    Few units of a layer are unsaturated and receive all of the gradient; these are others in the
    next layer, so that the average is the quieter.
    """
    centres = np.arange(lags, log_gradient.shape[-1] - 10, lags)
    means = [log_gradient[..., c - 10 : c + 10].mean(axis=-1) for c in [10, *centres]]
    return np.stack(means[1:], axis=-1) - means[0][..., None]


@pytest.mark.parametrize("skip, branch, weight_scale", [(1.0, 1.0, 1.0), (0.9, 0.4, 2.0)])
def test_deep_residual_tanh(skip: float, branch: float, weight_scale: float) -> None:
    """ln |dL/dnet| about lags 45, 90, 135 from the growth 1 + sigma_w^2 E phi'^2 of each layer.

    With skip = branch = weight_scale = 1, ln |dL/dh|^2 grows by 10.55 in the 100 layers whose
    pre-activations start at variance 1 (Yang & Schoenholz 2017): like the root of the depth.
    n = 64 and 128, 200 and 100 networks.
    """
    fields: dict[str, Any] = dict(weight_scale=weight_scale, skip=skip, branch=branch)
    found, errors = [], []
    for n, networks in ((64, 200), (128, 100)):
        spec = NetworkSpec(hidden_size=n, input_size=1, tied=False, **fields)
        data = measure(spec, networks=networks, steps=150, inputs="zero")
        log = windows(data.log_gradient.values, 45)
        found.append(log.mean(axis=0))
        errors.append(log.std(axis=0, ddof=1) / np.sqrt(networks))
    path = residual_path("tanh", 150, **fields)
    theory = windows(path.log_gradient, 45)
    wide, error = 2 * found[1] - found[0], np.hypot(2 * errors[1], errors[0])
    assert (error < 0.05 * theory[-1]).all()
    assert (np.abs(wide - theory) <= 4 * error).all()
    if skip == 1.0:
        assert np.log(path.chi[:100]).sum() == pytest.approx(10.55, abs=0.005)


def test_residual_tanh_is_sub_exponential() -> None:
    """Four times the depth is about twice the logarithm: 400 layers, n = 128, 16 networks.

    Finite-size term 40 / n, as only 4 units of a late layer receive the gradient.
    """
    spec = NetworkSpec(hidden_size=128, input_size=1, skip=1.0, tied=False)
    data = measure(spec, networks=16, steps=401, inputs="zero")
    log = windows(data.log_gradient.values, 95)
    theory = windows(residual_path("tanh", 401).log_gradient, 95)
    error = log.std(axis=0, ddof=1) / np.sqrt(16)
    assert (np.abs(log.mean(axis=0) - theory) <= 4 * error + 40 / 128).all()
    whole = [np.log(residual_path("tanh", depth).chi).sum() for depth in (100, 400)]
    assert whole[1] / whole[0] == pytest.approx(2.0, abs=0.2)


def test_residual_relu_near_the_loss() -> None:
    """h + relu(W h): 1 + sigma_w^2 / 2 per layer in mean square, while lags are few.

    Lag 5 of 10 layers. The coherent part has a share of order 1/n: n = 128 and 256, 300 and 150
    networks.
    """
    values, errors = [], []
    for n, networks in ((128, 300), (256, 150)):
        spec = NetworkSpec(activation="relu", hidden_size=n, input_size=1, skip=1.0, tied=False)
        data = measure(spec, networks=networks, steps=10, inputs="zero")
        rise = data.log_gradient.values[:, 5]
        values.append(rise.mean())
        errors.append(rise.std(ddof=1) / np.sqrt(networks))
    theory = 2.5 * np.log(1.5)
    assert residual_path("relu", 6).log_gradient[5] == pytest.approx(theory)
    error = np.hypot(2 * errors[1], errors[0])
    assert abs(2 * values[1] - values[0] - theory) <= 4 * error


def test_residual_relu_far_from_the_loss() -> None:
    """There the gradient is along h, and grows like it: by 2.17 a layer in square, not by 1.5.

    dL/dh . h is the same at every layer. Lags 40 to 70 of 100 layers; n = 64 and 128, 200 and 100
    networks.
    """
    path = residual_path("relu", 100)
    theory = np.log(path.coherent[100 - 70 : 100 - 40]).sum() / 2
    assert theory == pytest.approx(15 * np.log(path.q[60] / path.q[59]), rel=1e-5)
    assert path.q[60] / path.q[59] == pytest.approx(2.1719, abs=5e-5)
    values, errors = [], []
    for n, networks in ((64, 200), (128, 100)):
        spec = NetworkSpec(activation="relu", hidden_size=n, input_size=1, skip=1.0, tied=False)
        log = measure(spec, networks=networks, steps=100, inputs="zero").log_gradient.values
        rise = log[:, 70] - log[:, 40]
        values.append(rise.mean())
        errors.append(rise.std(ddof=1) / np.sqrt(networks))
    error = np.hypot(2 * errors[1], errors[0])
    assert abs(2 * values[1] - values[0] - theory) <= 4 * error
    assert values[0] > 1.5 * 15 * np.log(1.5)
