"""The main job, sampling included, beside batched NumPy in the same run.

``pytest tests/benchmarks --benchmark-enable --benchmark-group-by=param:n`` prints the table;
without the flag every benchmark runs once, so that it cannot rot.
"""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.engine import NetworkSpec, measure, sample

SIZES = {16: 512, 64: 128, 128: 32}
"""Units -> networks."""

STEPS = 100


def batched_numpy(ensemble):
    """ln |dL/dnet| by lag, all networks at a time, as one would write it with NumPy."""
    W, U = ensemble.W.values[:, 0], ensemble.U.values[:, 0]
    x, h = ensemble.input.values[:, 0], ensemble.initial_state.values[:, 0]
    derivatives = []
    for t in range(x.shape[1]):
        net = np.matmul(W, h[..., None])[..., 0] + np.matmul(U, x[:, t, :, None])[..., 0]
        h = np.tanh(net)
        derivatives.append(1 - h * h)
    L, log = ensemble.readout_gradient.values[:, 0], []
    for d in reversed(derivatives):
        delta = d * L
        log.append(np.log(np.linalg.norm(delta, axis=1)))
        L = np.matmul(W.transpose(0, 2, 1), delta[..., None])[..., 0]
    return np.stack(log, axis=1)


@pytest.mark.parametrize("n", SIZES)
def test_gradhorizon(benchmark, n):
    spec = NetworkSpec(hidden_size=n)
    benchmark.extra_info["networks"] = SIZES[n]
    data = benchmark(measure, spec, networks=SIZES[n], steps=STEPS, burn_in=0)
    assert (data.status == 0).all()


@pytest.mark.parametrize("n", SIZES)
def test_numpy(benchmark, n):
    """NumPy without the sampling, which is in its favour."""
    ensemble = sample(NetworkSpec(hidden_size=n), SIZES[n], STEPS, burn_in=0)
    log = benchmark(batched_numpy, ensemble)
    ours = measure(ensemble, burn_in=0).log_gradient
    np.testing.assert_allclose(log - log[:, :1], ours, rtol=1e-9, atol=1e-9)
