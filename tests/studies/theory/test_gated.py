"""Theory of gated cells at zero against complex-step Jacobians of the cells, limits and tables."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf, log, nan, sqrt

import numpy as np
import pytest

from gradhorizon.studies import theory

pytestmark = pytest.mark.filterwarnings("error")

Array = np.ndarray
BIASES = [(0.0, 0.0, 0.0), (1.0, -2.0, 0.5), (-3.0, 4.0, 2.0)]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def jacobian_at_zero(step: Callable[[Array], Array], size: int) -> Array:
    """Complex-step derivative: exact to round-off for an analytic step."""
    columns = [step(1e-30j * unit).imag / 1e-30 for unit in np.eye(size)]
    return np.array(columns).T


def gates(rng: np.random.Generator, n: int, biases: tuple[float, ...]) -> list[tuple[Array, float]]:
    """Recurrent weights and biases of the gates; their weights must not matter."""
    return [(3 * rng.standard_normal((n, n)), bias) for bias in biases]


def sorted_complex(values: Array) -> Array:
    return values[np.lexsort((values.imag.round(8), values.real.round(8)))]


@pytest.mark.parametrize("reset, update, _", BIASES)
def test_gru_eigenvalues(reset: float, update: float, _: float) -> None:
    """Those of the derivative of the cell's equations, n = 7, with full gates."""
    rng, n = np.random.default_rng(2), 7
    W = rng.standard_normal((n, n))
    (R, b_r), (V, b_u) = gates(rng, n, (reset, update))

    def step(h: Array) -> Array:
        r, u = sigmoid(R @ h + b_r), sigmoid(V @ h + b_u)
        return (1 - u) * np.tanh(r * (W @ h)) + u * h

    expected = np.linalg.eigvals(jacobian_at_zero(step, n))
    found = theory.gru_fixed_point_eigenvalues(W, reset_bias=reset, update_bias=update)
    np.testing.assert_allclose(sorted_complex(found), sorted_complex(expected), atol=1e-12)


@pytest.mark.parametrize("first, forget, last", BIASES)
def test_lstm_eigenvalues(first: float, forget: float, last: float) -> None:
    """Those of the whole state's derivative, n = 6: n zeros, and f besides i o mu."""
    rng, n = np.random.default_rng(3), 6
    W = rng.standard_normal((n, n))
    opened = gates(rng, n, (first, forget, last))

    def step(state: Array) -> Array:
        h, c = state[:n], state[n:]
        i, f, o = (sigmoid(G @ h + bias) for G, bias in opened)
        c = f * c + i * np.tanh(W @ h)
        return np.concatenate([o * np.tanh(c), c])

    expected = np.linalg.eigvals(jacobian_at_zero(step, 2 * n))
    biases = {"input_bias": first, "forget_bias": forget, "output_bias": last}
    found = theory.lstm_fixed_point_eigenvalues(W, **biases)
    np.testing.assert_allclose(sorted_complex(found), sorted_complex(expected), atol=1e-12)
    assert (found[n:] == 0).all()
    frozen = jacobian_at_zero(lambda h: step(np.concatenate([h, np.zeros(n)]))[:n], n)
    without = theory.lstm_fixed_point_eigenvalues(W, **(biases | {"forget_bias": -700.0}))
    np.testing.assert_allclose(
        sorted_complex(np.linalg.eigvals(frozen)), sorted_complex(without[:n]), atol=1e-12
    )


def test_stacks_of_networks() -> None:
    """Leading axes are networks."""
    W = np.random.default_rng(1).standard_normal((2, 3, 4, 4))
    assert theory.gru_fixed_point_eigenvalues(W).shape == (2, 3, 4)
    assert theory.lstm_fixed_point_eigenvalues(W).shape == (2, 3, 8)
    one = theory.lstm_fixed_point_eigenvalues(W[1, 2])
    np.testing.assert_array_equal(theory.lstm_fixed_point_eigenvalues(W)[1, 2], one)


def test_rates_are_the_largest_on_the_disc() -> None:
    """Eigenvalues on a ring of radius g, for a circulant W: n = 64 points of it."""
    n, g = 64, 1.7
    W = g * np.roll(np.eye(n), 1, axis=0)
    for reset, update, bias in BIASES:
        found = theory.gru_fixed_point_eigenvalues(W, reset_bias=reset, update_bias=update)
        rate = theory.gru_fixed_point_rate(g, reset_bias=reset, update_bias=update)
        assert log(np.abs(found).max()) == pytest.approx(rate, abs=1e-12)
        biases = {"input_bias": reset, "forget_bias": update, "output_bias": bias}
        found = theory.lstm_fixed_point_eigenvalues(W, **biases)
        rate = theory.lstm_fixed_point_rate(g, **biases)
        assert log(np.abs(found).max()) == pytest.approx(rate, abs=1e-12)


def test_pytorch_defaults() -> None:
    """Plain 0.577, LSTM and GRU 0.644 (2.3 steps); forget bias 1: 0.875."""
    g = theory.PYTORCH_WEIGHT_SCALE
    assert g == pytest.approx(0.577, abs=5e-4)
    lstm, gru = theory.lstm_fixed_point_rate(g), theory.gru_fixed_point_rate(g)
    assert exp(lstm) == pytest.approx(0.644, abs=5e-4)
    assert exp(lstm) == pytest.approx(0.5 + 0.25 / sqrt(3), rel=1e-15)
    assert gru == pytest.approx(lstm, rel=1e-15)
    assert -1 / lstm == pytest.approx(2.3, abs=0.05)
    opened = theory.lstm_fixed_point_rate(g, forget_bias=1.0)
    assert exp(opened) == pytest.approx(0.875, abs=5e-4)


def test_stability_limits() -> None:
    """2 for gates at 1/2, whatever a GRU's update gate; there the rate crosses 0."""
    assert theory.gru_stability_limit() == 2.0
    assert theory.lstm_stability_limit() == 2.0
    for reset, update, bias in BIASES:
        limit = theory.gru_stability_limit(reset_bias=reset)
        for other in (-3.0, update, 5.0):
            rate = theory.gru_fixed_point_rate(limit, reset_bias=reset, update_bias=other)
            assert rate == pytest.approx(0.0, abs=1e-14)
        biases = {"input_bias": reset, "forget_bias": update, "output_bias": bias}
        limit = theory.lstm_stability_limit(**biases)
        assert theory.lstm_fixed_point_rate(limit, **biases) == pytest.approx(0.0, abs=1e-14)
        assert theory.lstm_fixed_point_rate(1.01 * limit, **biases) > 0.0


def test_open_and_closed_gates() -> None:
    """Open memory forgets at the rate exp(-b); without weights and gates nothing is left."""
    assert theory.lstm_fixed_point_rate(0.0, forget_bias=20.0) == pytest.approx(-exp(-20), rel=1e-6)
    assert theory.gru_fixed_point_rate(0.0, update_bias=20.0) == pytest.approx(-exp(-20), rel=1e-6)
    assert theory.lstm_fixed_point_rate(0.0, forget_bias=-1e3) == -inf
    assert theory.gru_fixed_point_rate(0.0, update_bias=-1e3) == -inf


def test_bad_arguments() -> None:
    """Weight scales and biases that are no scales and no biases."""
    for bad in (-1.0, inf, nan):
        with pytest.raises(ValueError, match=f"weight_scale={bad}"):
            theory.gru_fixed_point_rate(bad)
        with pytest.raises(ValueError, match=f"weight_scale={bad}"):
            theory.lstm_fixed_point_rate(bad)
    with pytest.raises(ValueError, match="bias is NaN"):
        theory.gru_fixed_point_rate(1.0, update_bias=nan)
