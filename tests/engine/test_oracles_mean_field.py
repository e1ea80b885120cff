"""Measured against mean-field theory: chaotic and stable tanh networks, deep tanh and sigmoid nets.

Every z-test has the false-alarm rate 6e-5 (see `laws`).
"""

from __future__ import annotations

import numpy as np
import pytest
from laws import increments

from gradhorizon.engine import NetworkSpec, measure, sample
from gradhorizon.studies.theory import mean_field

# A. Chaotic tanh networks


@pytest.mark.parametrize("n, table, networks", [(128, 0.288, 200), (256, 0.299, 30)])
def test_lyapunov_exponent_of_tanh(n: int, table: float, networks: int) -> None:
    """g = 3, no input: lambda_1 = 0.288 / 0.299 for N = 128 / 256, to three digits (0.0005).

    The gradient's rate over 1500 steps, a direction of its own for each network.
    """
    rate = chaotic_rates(n, networks)
    assert abs(rate.mean() - table) <= 4 * rate.std(ddof=1) / np.sqrt(networks) + 0.0005


def test_lyapunov_exponent_of_small_tanh_networks() -> None:
    """g = 3, N = 64: the typical network has 0.268 (0.0005); 300 networks.

    At this size a few networks in a hundred settle on a weakly chaotic or periodic orbit, which
    moves the mean (0.259) but not the median. Its bounds are order statistics 4 sd of a fair
    coin from the middle, whatever the distribution.
    """
    rate = np.sort(chaotic_rates(64, 300))
    middle, spread = 150, round(4 * np.sqrt(300) / 2)
    assert rate[middle - spread] - 0.0005 <= 0.268 <= rate[middle + spread] + 0.0005


def test_lyapunov_exponent_of_wide_tanh_networks() -> None:
    """Mean-field theory, lambda_1 = 0.310249 at g = 3, from 2 rate(256) - rate(128).

    The combination is free of the finite-size term, about -2.8 / N; 120 and 60 networks.
    """
    rates = {n: chaotic_rates(n, networks) for n, networks in ((128, 120), (256, 60))}
    mean = {n: rate.mean() for n, rate in rates.items()}
    error = {n: rate.std(ddof=1) / np.sqrt(rate.size) for n, rate in rates.items()}
    theory = mean_field("tanh", weight_scale=3.0).rate
    assert theory == pytest.approx(0.310249, abs=1e-6)
    assert abs(2 * mean[256] - mean[128] - theory) <= 4 * np.hypot(2 * error[256], error[128])


def chaotic_rates(n: int, networks: int) -> np.ndarray:
    """Growth of the gradient over 1500 steps, of which the first 200 lags are left out."""
    spec = NetworkSpec(hidden_size=n, weight_scale=3.0)
    data = measure(spec, networks=networks, steps=1500, seed=5, inputs="zero", burn_in=200)
    assert (data.status == 0).all()
    rates: np.ndarray = data.rate.values
    return rates


def test_stable_tanh_forgets_at_the_linear_rate() -> None:
    """g = 0.7, no input: h -> 0, so the rate tends to ln rho(W), exactly and per network.

    N = 32, 20 networks, 3000 steps; the state is below 1e-15 long before the window.
    """
    spec = NetworkSpec(hidden_size=32, weight_scale=0.7)
    ensemble = sample(spec, 20, 3000, inputs="zero", burn_in=300)
    rho = np.abs(np.linalg.eigvals(ensemble.W.values[:, 0])).max(axis=1)
    # a complex pair lets the norm swing by the condition of its plane: a few nats at most
    assert (np.abs(measure(ensemble).rate - np.log(rho)) <= 5 / 2700).all()


# F. Deep tanh networks


@pytest.mark.parametrize("variance, chi_1", [(1.0, 0.75903), (1.76096, 1.0), (2.5, 1.13352)])
def test_deep_tanh_gradient(variance: float, chi_1: float) -> None:
    """tied = false, sigma_b^2 = 0.05: ln |grad| rises by 1/2 ln chi_1 a layer, N -> infinity.

    Ordered, critical and chaotic phase. The finite-size term is c / N: 2 rate(2N) - rate(N) is
    free of it. N = 64 and 128, 160 and 80 networks, 24 layers after 16 of burn-in.
    """
    scale, bias = np.sqrt(variance), np.sqrt(0.05)
    theory = mean_field("tanh", weight_scale=scale, bias_scale=bias)
    assert theory.chi_1 == pytest.approx(chi_1, abs=1e-5)
    rates, errors = [], []
    for n, networks in ((64, 160), (128, 80)):
        spec = NetworkSpec(hidden_size=n, weight_scale=scale, bias_scale=bias, tied=False)
        rise = increments(spec, networks, 25, burn_in=16).mean(axis=1)
        rates.append(rise.mean())
        errors.append(rise.std(ddof=1) / np.sqrt(networks))
    extrapolated, error = 2 * rates[1] - rates[0], np.hypot(2 * errors[1], errors[0])
    assert abs(extrapolated - theory.rate) <= 4 * error
    assert abs(extrapolated - np.log(chi_1) / 2) <= 4 * error + 1e-5


def test_deep_sigmoid_gradient_vanishes() -> None:
    """Sigmoid, no bias, sigma_w = 1: lambda = -1.444; N = 64 and 128 extrapolated as above."""
    rates, errors = [], []
    for n, networks in ((64, 100), (128, 60)):
        spec = NetworkSpec(activation="sigmoid", hidden_size=n, tied=False)
        rise = increments(spec, networks, 21, burn_in=8).mean(axis=1)
        rates.append(rise.mean())
        errors.append(rise.std(ddof=1) / np.sqrt(networks))
    error = np.hypot(2 * errors[1], errors[0])
    theory = mean_field("sigmoid").rate
    assert theory == pytest.approx(-1.444, abs=5e-4)
    assert abs(2 * rates[1] - rates[0] - theory) <= 4 * error
