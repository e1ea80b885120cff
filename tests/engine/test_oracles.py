"""Measured against exact laws of random matrices: independent products, deep ReLU, tied linear.

Every z-test has the false-alarm rate 6e-5 (see `laws`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from laws import ALARM, assert_mean, assert_variance, gaussian_exponents, increments
from scipy import special, stats

from gradhorizon.engine import NetworkSpec, measure, sample
from gradhorizon.studies.theory import deep_relu_increment

# C. Products of independent Gaussian matrices: tied = false, linear, n = 32


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_leading_exponent_of_independent_products(precision: str) -> None:
    """Per step ln |W^T u| / |u| has mean lambda_1 and variance psi'(N/2) / 4, independently.

    N = 32, 1000 networks of 20 steps, exact at any N. ln chi^2_N is tested as a whole, too.
    """
    n = 32
    spec = NetworkSpec(activation="linear", hidden_size=n, tied=False, precision=precision)
    rise = increments(spec, 1000, 21)
    mean, variance = gaussian_exponents(n)
    assert mean[0] == pytest.approx(-0.015788, abs=1e-6)
    assert np.sqrt(variance[0]) == pytest.approx(0.12698, abs=1e-5)
    assert_mean(rise, mean[0], np.sqrt(variance[0]))
    assert_variance(rise, variance[0])
    assert stats.kstest(np.exp(2 * rise.ravel()) * n, stats.chi2(n).cdf).pvalue > ALARM
    correlation = (rise[:, 1:] * rise[:, :-1]).mean() - rise.mean() ** 2
    assert abs(correlation) <= 4 * variance[0] / np.sqrt(rise[:, 1:].size)


def test_determinant_of_independent_products() -> None:
    """The sum of all log singular values is a sum of independent ln |det W|.

    N = 32, 300 networks, 10 factors: mean -16.93537 and variance sum of psi'(k/2) / 4 per step.
    """
    n, factors = 32, 10
    spec = NetworkSpec(activation="linear", hidden_size=n, tied=False)
    data = measure(spec, networks=300, steps=factors + 1, products=("jacobian",), inputs="zero")
    total = data.log_singular_value.values.sum(axis=1)
    mean, variance = (value.sum() for value in gaussian_exponents(n))
    assert mean == pytest.approx(-16.93537, abs=1e-5)
    assert_mean(total, factors * mean, np.sqrt(factors * variance))
    assert_variance(total, factors * variance)


def test_all_exponents_of_independent_products() -> None:
    """ln |R_ii| of the QR factors of successive products has mean lambda_i and its own variance.

    N = 32, 40 networks of 25 steps drawn by the engine; 64 z-tests, so bounded at 5 sd (4e-5).
    """
    n = 32
    spec = NetworkSpec(activation="linear", hidden_size=n, tied=False)
    W = sample(spec, 40, 25).W.values[:, :, 0]
    Q, logs = np.broadcast_to(np.eye(n), (40, n, n)), []
    for t in range(25):
        Q, R = np.linalg.qr(W[:, t] @ Q)
        logs.append(np.log(np.abs(np.diagonal(R, axis1=1, axis2=2))))
    logs = np.concatenate(logs)
    mean, variance = gaussian_exponents(n)
    assert mean[[15, 31]] == pytest.approx([-0.346249, -2.368049], abs=1e-6)
    assert (np.abs(logs.mean(axis=0) - mean) <= 5 * np.sqrt(variance / len(logs))).all()
    spread = (logs - mean) ** 2
    error = spread.std(axis=0) / np.sqrt(len(logs))
    assert (np.abs(spread.mean(axis=0) - variance) <= 5 * error).all()


def test_top_singular_value_of_a_long_product() -> None:
    """ln sigma_1 / T and ln sigma_N / T approach lambda_1 and lambda_N; N = 8, 60 networks.

    Between T = 100 and T = 300 the terms that do not grow with T cancel. What is left of the
    alignment of singular vectors falls like e^(-2 T gap) and is nothing here.
    """
    n = 8
    spec = NetworkSpec(activation="linear", hidden_size=n, tied=False)
    arguments: dict[str, Any] = dict(networks=60, products=("jacobian",), inputs="zero")
    short = measure(spec, steps=101, **arguments).log_singular_value.values
    long = measure(spec, steps=301, seed=1, **arguments).log_singular_value.values
    mean, variance = gaussian_exponents(n)
    for i in (0, n - 1):
        rate = (long[:, i].mean() - short[:, i].mean()) / 200
        error = np.sqrt(400 * variance[i] / 60) / 200
        assert abs(rate - mean[i]) <= 4 * error


# D. Deep ReLU, untied, finite width


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("weight_scale", [1.0, np.sqrt(2.0)])
def test_deep_relu(weight_scale: float, precision: str) -> None:
    """Increments of ln |grad|^2 are ln[(sigma_w^2 / n) chi^2_K], K ~ Binomial(n, 1/2).

    Hanin and Nica 2020, exact: n = 64, 1500 networks of 20 layers; the whole law by KS.
    """
    n = 64
    spec = NetworkSpec(
        activation="relu", hidden_size=n, weight_scale=weight_scale, tied=False, precision=precision
    )
    rise = 2 * increments(spec, 1500, 21).ravel()
    k = np.arange(1, n + 1)
    weight = stats.binom(n, 0.5).pmf(k) / (1 - 0.5**n)
    log_chi = special.psi(k / 2) + np.log(2)
    mean = weight @ log_chi + np.log(weight_scale**2 / n)
    variance = weight @ (special.polygamma(1, k / 2) + log_chi**2) - (weight @ log_chi) ** 2
    if weight_scale > 1:
        assert (mean, variance) == pytest.approx((-0.040109, 0.082997), abs=1e-6)
    assert_mean(rise, mean, np.sqrt(variance))
    assert_variance(rise, variance)

    def law(x: np.ndarray) -> np.ndarray:
        return weight @ stats.chi2(k[:, None]).cdf(n / weight_scale**2 * np.exp(x))

    assert stats.kstest(rise, law).pvalue > ALARM


def test_deep_relu_median_decays_while_the_mean_square_stays() -> None:
    """He weights: E|grad|^2 is conserved exactly, the median norm falls as e^(-5 L / 4n).

    n = 64, L = 10, 2000 networks. Layers are independent, so that the path has L times a layer's
    mean and variance, and |grad|^2 has the variance (1 + 5/n)^L - 1, as E K (K + 2) = n^2/4 + 5 n/4
    for K ~ Binomial(n, 1/2). The median is asymptotic: relative terms of order 1/n in its exponent,
    and the skewness of ln |grad|^2, make 2/n. The sample's lies between order statistics 4 sd of a
    fair coin from the middle.
    """
    n, layers, networks = 64, 10, 2000
    spec = NetworkSpec(activation="relu", hidden_size=n, weight_scale=np.sqrt(2.0), tied=False)
    rise = 2 * increments(spec, networks, layers + 1)
    law = deep_relu_increment(n)
    assert (law.mean, law.variance) == pytest.approx((-0.040109, 0.082997), abs=1e-6)
    products = (rise[:, 1:] - law.mean) * (rise[:, :-1] - law.mean)
    assert abs(products.mean()) <= 4 * law.variance / np.sqrt(products.size)
    total = rise.sum(axis=1)
    assert_mean(total, layers * law.mean, np.sqrt(layers * law.variance))
    assert_variance(total, layers * law.variance)
    assert_mean(np.exp(total), 1.0, np.sqrt((1 + 5 / n) ** layers - 1))
    order, spread = np.sort(total / 2), round(2 * np.sqrt(networks))
    low, high = order[networks // 2 - spread], order[networks // 2 + spread]
    assert low - 2 / n <= -5 * layers / (4 * n) <= high + 2 / n
    assert high < 0


# E. Tied linear networks


def test_tied_linear_rate_is_the_spectral_radius() -> None:
    """Per network ln |W^T^k v| from the eigenvalues of W, for every lag; rate -> ln rho(W).

    N = 16, 20 networks, 4000 steps. In the eigenbasis the norm is exact up to the rounding of the
    eigenvalues, eps times the condition of the basis, per step.
    """
    n, steps = 16, 4000
    spec = NetworkSpec(activation="linear", hidden_size=n)
    ensemble = sample(spec, 20, steps, inputs="zero")
    data = measure(ensemble)
    lag = np.arange(steps)
    for k in range(20):
        mu, basis = np.linalg.eig(ensemble.W.values[k, 0].T)
        rho = np.abs(mu).max()
        weight = np.linalg.solve(basis, ensemble.readout_gradient.values[k, 0].astype(complex))
        rest = np.linalg.norm(basis @ (weight[:, None] * (mu[:, None] / rho) ** lag), axis=0)
        expected = lag * np.log(rho) + np.log(rest)
        tolerance = 1e-13 * np.linalg.cond(basis) * steps
        np.testing.assert_allclose(data.log_gradient[k], expected, rtol=0, atol=tolerance)
        swing = np.ptp(np.log(rest[400:]))  # a leading complex pair makes the norm oscillate
        assert abs(data.rate[k] - np.log(rho)) <= swing / (steps - 1 - 400) + 1e-9


@pytest.mark.parametrize("n, mean, sd", [(16, 0.061, 0.113), (64, 0.053, 0.047)])
def test_spectral_radius_of_real_ginibre(n: int, mean: float, sd: float) -> None:
    """E ln rho and its sd over networks, to the three digits given (0.0005); 1500 networks."""
    W = sample(NetworkSpec(hidden_size=n), 1500, 2).W.values[:, 0]
    log_rho = np.log(np.abs(np.linalg.eigvals(W)).max(axis=1))
    assert abs(log_rho.mean() - mean) <= 4 * sd / np.sqrt(1500) + 0.0005
    assert abs(log_rho.std() - sd) <= 4 * sd / np.sqrt(2 * 1500) + 0.0005


def test_tied_and_untied_spread() -> None:
    """N = 64, T = 64, linear: sd of the log norm 3.0 tied, 0.69 untied (two digits); 800 networks.

    Untied it is exact: sqrt(T psi'(N/2)) / 2. The standard error of an sd s over M networks is
    s / sqrt(2 M); to the tied value belongs its rounding, 0.05.
    """
    found = {}
    for tied in (True, False):
        spec = NetworkSpec(activation="linear", hidden_size=64, tied=tied)
        networks = 800 if tied else 300
        rise = increments(spec, networks, 65, burn_in=0).sum(axis=1)
        found[tied] = rise.std(), networks
    untied = np.sqrt(64 * special.polygamma(1, 32)) / 2
    assert untied == pytest.approx(0.69, abs=0.03)
    assert abs(found[False][0] - untied) <= 4 * untied / np.sqrt(600)
    assert abs(found[True][0] - 3.0) <= 4 * 3.0 / np.sqrt(1600) + 0.05


# Bounds that hold for every matrix


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "gelu", "sin"])
def test_derivative_bound_times_norm_bounds_the_product(activation: str) -> None:
    """|J| <= (max |f'| |W|)^lag for the spectral norm, and spectral <= Frobenius.

    The first is the textbook's sufficient condition for vanishing (Bengio et al. 1994; Pascanu et
    al. 2013); a law, not a statistic.
    """
    n, steps = 12, 30
    spec = NetworkSpec(activation=activation, hidden_size=n, weight_scale=0.9)
    ensemble = sample(spec, 20, steps)
    data = measure(ensemble, products=("trajectory", "jacobian"))
    frobenius, spectral = data.log_jacobian_norm.values.swapaxes(0, 1)
    norm = np.linalg.norm(ensemble.W.values[:, 0], 2, axis=(1, 2))
    bound = np.log(data.max_derivative.values * norm)[:, None] * np.arange(steps)
    assert (spectral <= bound + 1e-12).all()
    assert (spectral <= frobenius + 1e-12).all()
    assert (frobenius <= spectral + np.log(n) / 2 + 1e-12).all()
    top = data.log_singular_value.values
    np.testing.assert_allclose(top[:, 0], spectral[:, -1], rtol=0, atol=1e-12)
    total = 0.5 * np.log(np.exp(2 * (top - top[:, :1])).sum(axis=1)) + top[:, 0]
    np.testing.assert_allclose(total, frobenius[:, -1], rtol=0, atol=1e-12)
