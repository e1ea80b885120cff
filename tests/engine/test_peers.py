"""PyTorch's recurrent layers as peers: states and gradients on real sequences.

The sequences are scikit-learn's handwritten digits, read pixel by pixel or row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import reference
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure, sample

torch = pytest.importorskip("torch", reason="PyTorch is a peer, not a dependency: extra `peers`")
datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")

LAYERS = {
    "rnn-tanh": ({"cell": "rnn", "activation": "tanh"}, "RNN", {"nonlinearity": "tanh"}),
    "rnn-relu": ({"cell": "rnn", "activation": "relu"}, "RNN", {"nonlinearity": "relu"}),
    "lstm": ({"cell": "lstm"}, "LSTM", {}),
    "gru": ({"cell": "gru"}, "GRU", {}),
}
READINGS = {"pixels": (64, 1), "rows": (8, 8)}
"""Steps and features of a sequence."""

TOLERANCE = 1e-10
"""Of the largest entry."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for layers as small as these take a hundred times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    return datasets.load_digits().data / 16.0


def stacked(a: np.ndarray) -> Any:
    """The blocks of the gates, one below the other, as PyTorch has them."""
    return torch.tensor(a.reshape(-1, *a.shape[2:]))


def layer_of(kind: str, options: dict, net: reference.Network) -> Any:
    """A PyTorch layer with the weights of a network whose weights are tied.

    A bias that acts with the input term is `bias_ih`, one of the recurrent term `bias_hh`.
    """
    _, G, n, m = net.U.shape
    layer = getattr(torch.nn, kind)(m, n, dtype=torch.float64, **options)
    own = np.zeros((G, n))
    for k, gate in enumerate(net.cell.apart):
        own[net.cell.gates.index(gate)] = net.b_recurrent[0, k]
    weights = {"weight_hh": net.W[0], "weight_ih": net.U[0], "bias_ih": net.b[0], "bias_hh": own}
    with torch.no_grad():
        for name, values in weights.items():
            getattr(layer, f"{name}_l0").copy_(stacked(values))
    return layer


def autograd(layer: Any, net: reference.Network) -> dict[str, np.ndarray]:
    """States h (B, T, n) and the gradients of L = sum of v . h."""
    start = tuple(torch.tensor(slot[None]) for slot in net.start)
    h, _ = layer(torch.tensor(net.x), start if len(start) > 1 else start[0])
    (torch.tensor(net.v) * h).sum().backward()

    def gradient(name: str) -> np.ndarray:
        flat = getattr(layer, f"{name}_l0").grad.numpy()
        return flat.reshape(len(net.cell.gates), -1, *flat.shape[1:])

    apart = [net.cell.gates.index(gate) for gate in net.cell.apart]
    return {
        "state": h.detach().numpy().swapaxes(0, 1),
        "grad_W": gradient("weight_hh"),
        "grad_U": gradient("weight_ih"),
        "grad_b": gradient("bias_ih"),
        "grad_b_recurrent": gradient("bias_hh")[apart],
    }


def agree(ours: xr.DataArray, theirs: np.ndarray) -> None:
    assert np.abs(theirs).max() > 0
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE * np.abs(theirs).max())


@pytest.mark.parametrize("loss", ["last", "every"])
@pytest.mark.parametrize("weights", ["pytorch", "gaussian"])
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("name", LAYERS)
def test_states_and_gradients_equal_pytorch(
    digits: np.ndarray, name: str, reading: str, weights: str, loss: str
) -> None:
    """Two networks, each of which reads three digits: all states, dL/dW, dL/dU and dL/db."""
    fields, kind, options = LAYERS[name]
    steps, features = READINGS[reading]
    spec = NetworkSpec(
        hidden_size=12,
        input_size=features,
        weights=weights,
        bias_scale=0.2,
        batch_size=3,
        **fields,
    )
    inputs = digits.reshape(-1, steps, features)
    ensemble = sample(spec, 2, steps, seed=5, inputs=inputs, burn_in=0, loss=loss)
    data = measure(ensemble, products=("weights",), keep=("states", "gradients"))
    assert (data.status == 0).all()
    for k, net in enumerate(reference.networks(ensemble)):
        np.testing.assert_array_equal(net.x.swapaxes(0, 1), inputs[3 * k : 3 * k + 3])
        theirs = autograd(layer_of(kind, options, net), net)
        if not net.cell.apart:
            assert theirs.pop("grad_b_recurrent").size == 0
        for variable, values in theirs.items():
            agree(data[variable][k], values)
