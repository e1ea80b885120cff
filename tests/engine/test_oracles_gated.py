"""Measured against the exact linearisation of gated cells at their zero fixed point.

Without input, without biases of the candidate, from the state 0: the state stays there, and the
step Jacobian's eigenvalues are u + (1-u) r mu for a GRU, f + i o mu and n zeros for an LSTM, mu
those of the candidate's recurrent weights. All but the test of wide networks is exact.
"""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.linalg import null_space
from scipy.optimize import linear_sum_assignment

from gradhorizon.engine import NetworkSpec, measure, sample
from gradhorizon.engine.chunk import Run
from gradhorizon.engine.given import GivenSource
from gradhorizon.engine.layout import Wanted
from gradhorizon.engine.processor import Processor
from gradhorizon.kernels.cells import CELLS
from gradhorizon.studies import theory

BIASES = {
    "gru": [{}, {"reset": 1.5, "update": -1.0}, {"reset": -1.0, "update": 2.0}],
    "lstm": [{}, {"forget": 1.0}, {"input": -1.0, "forget": 2.0, "output": 0.7}],
}
CASES = [(cell, biases) for cell in BIASES for biases in BIASES[cell]]
CANDIDATE = {"gru": 2, "lstm": 2}
"""Position of the gate whose recurrent weights count."""

every_case = pytest.mark.parametrize("cell, biases", CASES)


def at_zero(spec: NetworkSpec, networks: int, steps: int, burn_in: int = 0) -> xr.Dataset:
    """Undriven networks in the state 0, with no biases but those of `gate_bias`."""
    ensemble = sample(spec, networks, steps, inputs="zero", burn_in=burn_in)
    for name in ("initial_state", "initial_cell_state"):
        if name in ensemble:
            ensemble[name][:] = 0
    return ensemble


def eigenvalues(cell: str, W: np.ndarray, biases: dict[str, float]) -> np.ndarray:
    """The theory's, of candidate weights W."""
    named = {f"{gate}_bias": bias for gate, bias in biases.items()}
    function = {
        "gru": theory.gru_fixed_point_eigenvalues,
        "lstm": theory.lstm_fixed_point_eigenvalues,
    }[cell]
    return function(W, **named)


def compiled_jacobians(ensemble: xr.Dataset) -> np.ndarray:
    """d s'/d s (network, S n, S n) of the last step, from the compiled cell's linearisation.

    J[(a, i), (b, j)] = sum over gates of dz[a, g, i] W[g, i, j] where b is h, + ds[a, b, i] where
    j = i. One sequence.
    """
    source = GivenSource.from_dataset(ensemble, None)
    parts = []
    for k in range(ensemble.sizes["network"]):  # the tape is that of one network
        arrays = Run.of(source, k, 1, Wanted(()), Processor()).arrays
        parts.append((arrays.ensemble.W[0, 0], arrays.tape.dz[0, -1], arrays.tape.ds[0, -1]))
    W, dz, ds = (np.array(part) for part in zip(*parts, strict=True))
    units, slots = source.spec.hidden_size, len(CELLS[source.spec.cell].slots)
    dz, ds = dz.reshape(len(W), slots, -1, units), ds.reshape(len(W), slots, slots, units)
    J = np.einsum("kabi,ij->kaibj", ds, np.eye(units))
    J[:, :, :, 0] += np.einsum("kagi,kgij->kaij", dz[:, :, : W.shape[1]], W)
    return J.reshape(len(J), slots * units, slots * units)


def exact_jacobian(cell: str, W: np.ndarray, biases: dict[str, float]) -> np.ndarray:
    """The same written from the equations."""
    gate = {name: 1 / (1 + np.exp(-biases.get(name, 0.0))) for name in GATES[cell]}
    one = np.eye(len(W))
    if cell == "gru":
        return gate["update"] * one + (1 - gate["update"]) * gate["reset"] * W
    into_cell = np.hstack([gate["input"] * W, gate["forget"] * one])
    return np.vstack([gate["output"] * into_cell, into_cell])


GATES = {"gru": ("reset", "update"), "lstm": ("input", "forget", "output")}


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest distance between two sets of complex numbers, paired as well as can be."""
    apart = np.abs(found[:, None] - expected)
    return float(apart[linear_sum_assignment(apart)].max())


@pytest.mark.parametrize("precision", ["float64", "float32"])
@every_case
def test_eigenvalues_of_the_step_jacobian(
    cell: str, biases: dict[str, float], precision: str
) -> None:
    """Of the compiled linearisation, per network, n = 16; all gates have their full weights.

    Eigenvalues move by the condition of an eigenbasis times the rounding of the entries
    (Bauer-Fike); the zeros of the LSTM have eigenvectors enough, of which any basis will do: an
    orthonormal one conditions best.
    """
    spec = NetworkSpec(
        cell=cell, hidden_size=16, weight_scale=1.3, gate_bias=biases, precision=precision
    )
    ensemble = at_zero(spec, 8, 2)
    for k, J in enumerate(compiled_jacobians(ensemble).astype(float)):
        W = ensemble.W.values[k, CANDIDATE[cell]].astype(float)
        exact = exact_jacobian(cell, W, biases)
        eps = float(np.finfo(precision).eps)
        np.testing.assert_allclose(J, exact, rtol=0, atol=4 * eps * np.abs(exact).max())
        mu, basis = np.linalg.eig(exact)
        basis[:, np.argsort(np.abs(mu))[: len(J) - 16]] = null_space(exact)
        atol = 16 * eps * np.linalg.cond(basis) * np.linalg.norm(exact, 2)
        expected = eigenvalues(cell, W, biases)
        assert atol < 1e-3 * np.abs(expected).max()
        assert distance(mu, expected) <= atol
        assert distance(np.linalg.eigvals(J), expected) <= atol
        zeros = np.sort(np.abs(np.linalg.eigvals(J)))[: len(J) - 16]
        assert (zeros <= atol).all()


@every_case
def test_singular_values_of_products(cell: str, biases: dict[str, float]) -> None:
    """Of one step and of twenty: those of the exact matrix and of its power; n = 12."""
    spec = NetworkSpec(cell=cell, hidden_size=12, weight_scale=1.3, gate_bias=biases)
    for factors in (1, 20):
        ensemble = at_zero(spec, 3, factors + 1)
        found = np.exp(measure(ensemble, products=("jacobian",)).log_singular_value.values)
        for k in range(3):
            W = ensemble.W.values[k, CANDIDATE[cell]]
            power = np.linalg.matrix_power(exact_jacobian(cell, W, biases), factors)
            expected = np.linalg.svd(power, compute_uv=False)
            np.testing.assert_allclose(found[k], expected, rtol=0, atol=1e-12 * expected[0])


@every_case
def test_gradient_at_every_lag(cell: str, biases: dict[str, float]) -> None:
    """|dL/dnet| from powers of the exact Jacobian, and its rate ln max |eigenvalue|; n = 16.

    In the eigenbasis of the transposed Jacobian the gradient is exact at any lag, up to rounding
    times the condition of the basis, per step. Of dL/dnet only the candidate's part is not 0:
    (1-u) dL/dh, or i (dL/dc + o dL/dh).
    """
    n, steps = 16, 3000
    spec = NetworkSpec(cell=cell, hidden_size=n, weight_scale=0.9, gate_bias=biases)
    ensemble = at_zero(spec, 6, steps, burn_in=300)
    data = measure(ensemble)
    lag = np.arange(steps)
    for k in range(6):
        W = ensemble.W.values[k, CANDIDATE[cell]]
        J = exact_jacobian(cell, W, biases)
        loss = np.zeros(len(J))
        loss[:n] = ensemble.readout_gradient.values[k, 0]
        gain = np.eye(n)
        if cell == "lstm":
            gain = np.hstack([1 / (1 + np.exp(-biases.get("output", 0.0))) * gain, gain])
        mu, basis = np.linalg.eig(J.T)
        rho = np.abs(mu).max()
        weight = np.linalg.solve(basis, loss.astype(complex))
        rest = np.linalg.norm(gain @ basis @ (weight[:, None] * (mu[:, None] / rho) ** lag), axis=0)
        expected = lag * np.log(rho) + np.log(rest / rest[0])
        tolerance = 1e-13 * np.linalg.cond(basis) * steps
        assert tolerance < 1e-5
        np.testing.assert_allclose(data.log_gradient[k], expected, rtol=0, atol=tolerance)
        assert rho == pytest.approx(np.abs(eigenvalues(cell, W, biases)).max(), rel=1e-12)
        swing = np.ptp(np.log(rest[300:]))  # a leading complex pair makes the norm oscillate
        assert abs(data.rate[k] - np.log(rho)) <= swing / (steps - 301) + 1e-9


@every_case
def test_trajectories_that_decay_forget_at_the_fixed_point_rate(
    cell: str, biases: dict[str, float]
) -> None:
    """From a random state towards 0, which is stable at weight_scale 0.5; n = 24, 6 networks.

    The state is below 1e-9 when the window of 2000 steps begins and all gates react on the way.
    """
    spec = NetworkSpec(cell=cell, hidden_size=24, weight_scale=0.5, gate_bias=biases)
    ensemble = sample(spec, 6, 2000, inputs="zero", burn_in=1000)
    data = measure(ensemble, keep=("states",))
    assert 0 < np.abs(data.state.isel(step=0)).max() < 1e-9
    for k in range(6):
        expected = eigenvalues(cell, ensemble.W.values[k, CANDIDATE[cell]], biases)
        # a complex pair lets the norm swing by the condition of its plane: a few nats at most
        assert abs(data.rate[k] - np.log(np.abs(expected).max())) <= 5 / 1000


def test_cell_path_is_in_the_lstm_jacobian() -> None:
    """dh'/dh at a frozen cell has the eigenvalues i o mu: leaving out f underrates the horizon.

    Forget bias 3: the memory lasts 20 steps; without the cell path it would seem to be one. The
    largest singular value of the engine's product, of the whole state, shows the memory, too.
    """
    n, steps = 32, 400
    biases = {"forget": 3.0}
    spec = NetworkSpec(cell="lstm", hidden_size=n, weight_scale=0.577, gate_bias=biases)
    ensemble = at_zero(spec, 5, steps)
    data = measure(ensemble, products=("gradient", "jacobian"))
    assert data.sizes["index"] == 2 * n
    for k in range(5):
        W = ensemble.W.values[k, CANDIDATE["lstm"]]
        rho = np.abs(eigenvalues("lstm", W, biases)).max()
        frozen = np.abs(np.linalg.eigvals(W)).max() / 4
        assert data.rate[k] == pytest.approx(np.log(rho), abs=5 / steps)
        assert data.log_singular_value[k, 0] / (steps - 1) == pytest.approx(
            np.log(rho), abs=5 / steps
        )
        assert data.rate[k] - np.log(frozen) > 1.5
        assert data.horizon[k] > 20 > 5 > -1 / np.log(frozen)


@pytest.mark.parametrize("cell, biases", [*CASES, ("gru", {"update": 4.0})])
def test_stability_limit(cell: str, biases: dict[str, float]) -> None:
    """GRU g = 1/r whatever the update gate, LSTM g = (1-f) / (i o), for orthogonal weights.

    Their eigenvalues lie on the circle of radius g, so that at 0.98 of the limit every gradient
    decays. At 1.1 of it those of n = 40 that are nearest to the real axis grow.
    """
    named = {f"{gate}_bias": bias for gate, bias in biases.items() if gate != "update"}
    limit = {"gru": theory.gru_stability_limit, "lstm": theory.lstm_stability_limit}[cell](**named)
    rates = {}
    for fraction in (0.98, 1.1):
        spec = NetworkSpec(
            cell=cell,
            hidden_size=40,
            weights="orthogonal",
            weight_scale=fraction * limit,
            gate_bias=biases,
        )
        rates[fraction] = measure(at_zero(spec, 6, 1500, burn_in=500)).rate.values
    assert (rates[0.98] < 0).all()
    assert (rates[1.1] > 0).all()


@pytest.mark.parametrize(
    "cell, biases, table",
    [("lstm", {}, 0.644), ("gru", {}, 0.644), ("lstm", {"forget": 1.0}, 0.875)],
)
def test_default_weights_of_pytorch(cell: str, biases: dict[str, float], table: float) -> None:
    """ln of the largest modulus tends to ln(f + i o / sqrt 3): 0.644 (2.3 steps), or 0.875.

    Biases other than the gates' are set to 0. The finite-size term is about -0.5 / n:
    2 rate(128) - rate(64) is free of it; 150 and 80 networks, 300 steps after 100 that let the
    direction settle, which still leaves less than 1e-3. False-alarm rate 6e-5 (4 standard errors).
    """
    rates, errors = [], []
    for n, networks in ((64, 150), (128, 80)):
        spec = NetworkSpec(cell=cell, hidden_size=n, weights="pytorch", gate_bias=biases)
        ensemble = at_zero(spec, networks, 400, burn_in=100)
        for name in ("b", "b_recurrent"):
            if name in ensemble:
                ensemble[name][:] = 0
        for gate, bias in biases.items():
            ensemble["b"].loc[{"gate": gate}] = bias
        rate = measure(ensemble).rate.values
        rates.append(rate.mean())
        errors.append(rate.std(ddof=1) / np.sqrt(networks))
    function = {"lstm": theory.lstm_fixed_point_rate, "gru": theory.gru_fixed_point_rate}[cell]
    named = {f"{gate}_bias": bias for gate, bias in biases.items()}
    wide = function(theory.PYTORCH_WEIGHT_SCALE, **named)
    assert np.exp(wide) == pytest.approx(table, abs=5e-4)
    error = np.hypot(2 * errors[1], errors[0])
    assert abs(2 * rates[1] - rates[0] - wide) <= 4 * error + 1e-3
