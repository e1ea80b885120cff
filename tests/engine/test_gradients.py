"""The BPTT sums: against automatic differentiation, and what they are sums of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure, sample
from gradhorizon.engine.spec import CHOICES

LOSSES = pytest.mark.parametrize("loss", ["last", "every"])
TIED = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
CELLS = pytest.mark.parametrize("cell", CHOICES["cell"])


def small_spec(tied: bool, **fields: Any) -> NetworkSpec:
    common = dict(hidden_size=5, input_size=3, weight_scale=0.9, bias_scale=0.4, batch_size=2)
    return NetworkSpec(tied=tied, **common | fields)


def full_gradients(ensemble: xr.Dataset) -> dict[str, np.ndarray]:
    """Gradients of network 0 as lists over measured steps (length 1 when tied)."""
    data = measure(ensemble, products=("weights",), keep=("gradients",)).isel(network=0)
    tied = "step" not in data.grad_W.dims
    kept = [name for name in data.data_vars if name.startswith("grad_")]
    return {k.removeprefix("grad_"): data[k].values[None] if tied else data[k].values for k in kept}


@pytest.fixture(scope="module")
def jax_x64() -> Any:
    jax = pytest.importorskip("jax", reason="the autodiff peer is an optional dependency")
    jax.config.update("jax_enable_x64", True)
    return jax


def jax_activation(jax: Any, name: str) -> Callable[[Any], Any]:
    nn = jax.nn
    known = {
        "linear": lambda z: z,
        "tanh": jax.numpy.tanh,
        "sigmoid": nn.sigmoid,
        "relu": nn.relu,
        "leaky_relu": nn.leaky_relu,
        "softplus": nn.softplus,
        "elu": nn.elu,
        "gelu": lambda z: nn.gelu(z, approximate=False),
        "silu": nn.silu,
        "erf": jax.scipy.special.erf,
        "hard_tanh": nn.hard_tanh,
        "sin": jax.numpy.sin,
    }
    return known[name]


@LOSSES
@TIED
@pytest.mark.parametrize("activation", CHOICES["activation"])
def test_bptt_equals_autodiff(jax_x64: Any, activation: str, tied: bool, loss: str) -> None:
    """dL/dW, dL/dU, dL/db of a batch equal JAX's reverse mode to 1e-12 of the largest entry."""
    jnp = jax_x64.numpy
    spec = small_spec(tied, activation=activation, slope=0.8, skip=0.3, branch=0.9)
    net = reference.networks(ensemble := sample(spec, 1, 6, seed=2, burn_in=0, loss=loss))[0]
    phi = jax_activation(jax_x64, activation)

    def objective(weights: tuple[Any, Any, Any]) -> Any:
        h, total = jnp.asarray(net.start[0]), 0.0
        for t in range(net.steps):
            W, U, b = (w[0 if tied else t][0] for w in weights)
            h = 0.3 * h + 0.9 * phi(0.8 * (h @ W.T + net.x[t] @ U.T + b))
            total += (net.v[t] * h).sum()
        return total

    start = tuple(w[:1] if tied else w for w in (net.W, net.U, net.b))
    expected = jax_x64.grad(objective)(start)
    for ours, theirs in zip(full_gradients(ensemble).values(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())


@TIED
@CELLS
def test_burn_in_is_a_constant(cell: str, tied: bool) -> None:
    """The gradient leaves out weights that acted before the measured window."""
    long = sample(small_spec(tied, cell=cell), 1, 5, seed=7, burn_in=3)
    start = reference.Passage(reference.networks(long)[0]).states[3]
    short = long.isel(step=slice(3, None)).assign_attrs(burn_in=0)
    for slot, name in zip(start, ("initial_state", "initial_cell_state"), strict=False):
        short[name] = (("network", "sequence", "unit"), slot[None])
    shorter = full_gradients(short)
    assert len(shorter) == (4 if "b_recurrent" in long else 3)
    for name, ours in full_gradients(long).items():
        np.testing.assert_allclose(ours, shorter[name], rtol=1e-12, atol=1e-15)


@TIED
@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-12), ("float32", 3e-6)])
@CELLS
def test_terms_add_up_to_the_gradient(
    cell: str, precision: str, tolerance: float, tied: bool
) -> None:
    """The kept sum equals the reference's terms added one by one; the norms are those of both."""
    ensemble = sample(small_spec(tied, cell=cell, precision=precision), 2, 8, seed=9, burn_in=1)
    data = measure(ensemble, products=("weights",), keep=("gradients",))
    for k, net in enumerate(reference.networks(ensemble)):
        square: dict[str, float] = {}
        for name, terms in reference.bptt_terms(net).items():
            if not terms.size:
                continue
            total = sum(term for term in terms) if tied else terms
            ours = data[f"grad_{name}"].values[k]
            np.testing.assert_allclose(ours, total, rtol=0, atol=tolerance * np.abs(total).max())
            group = name.removesuffix("_recurrent")  # both biases count together
            square[group] = square.get(group, 0.0) + (ours**2).sum()
        for name, expected in square.items():
            norm = np.exp(data[f"log_grad_{name}"].values[k])
            assert norm == pytest.approx(np.sqrt(expected), rel=tolerance)
