"""The adjoint sweep and the BPTT sums against derivatives found in other ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import reference
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure, sample

SMOOTH = ("tanh", "sigmoid", "softplus", "gelu", "silu", "erf", "sin", "elu")
LOSSES = pytest.mark.parametrize("loss", ["last", "every"])
TIED = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])


def small_spec(activation: str, tied: bool, **fields: Any) -> NetworkSpec:
    common = dict(hidden_size=5, input_size=3, weight_scale=0.9, bias_scale=0.4, batch_size=2)
    return NetworkSpec(activation=activation, tied=tied, slope=0.8, **common | fields)


def full_gradients(ensemble: xr.Dataset) -> dict[str, np.ndarray]:
    """Gradients of network 0 as lists over measured steps (length 1 when tied)."""
    data = measure(ensemble, products=("weights",), keep=("gradients",)).isel(network=0, gate=0)
    tied = "step" not in data.grad_W.dims
    return {k: data[f"grad_{k}"].values[None] if tied else data[f"grad_{k}"].values for k in "WUb"}


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
@pytest.mark.parametrize("activation", reference.ACTIVATIONS)
def test_bptt_equals_autodiff(jax_x64: Any, activation: str, tied: bool, loss: str) -> None:
    """dL/dW, dL/dU, dL/db of a batch equal JAX's reverse mode to 1e-12 of the largest entry."""
    jnp = jax_x64.numpy
    spec = small_spec(activation, tied, skip=0.3, branch=0.9)
    net = reference.networks(ensemble := sample(spec, 1, 6, seed=2, burn_in=0, loss=loss))[0]
    phi = jax_activation(jax_x64, activation)

    def objective(weights: tuple[Any, Any, Any]) -> Any:
        h, total = jnp.asarray(net.h0), 0.0
        for t in range(net.steps):
            W, U, b = (w[0 if tied else t] for w in weights)
            z = h @ W.T + net.x[:, t] @ U.T + b
            h = 0.3 * h + 0.9 * phi(0.8 * z)
            total += (net.v[:, t] * h).sum()
        return total

    start = tuple(w[:1] if tied else w for w in (net.W, net.U, net.b))
    expected = jax_x64.grad(objective)(start)
    for ours, theirs in zip(full_gradients(ensemble).values(), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())


@LOSSES
@TIED
@pytest.mark.parametrize("activation", SMOOTH)
def test_bptt_equals_central_differences(activation: str, tied: bool, loss: str) -> None:
    """Directional derivatives of the reference loss; Richardson's rule leaves about 1e-10."""
    rng = np.random.default_rng(4)
    ensemble = sample(small_spec(activation, tied), 1, 6, seed=3, burn_in=0, loss=loss)
    net = reference.networks(ensemble)[0]
    ours = full_gradients(ensemble)
    for name in "WUb":
        direction = rng.standard_normal(ours[name].shape)

        def slope(e: float, name: str = name, direction: np.ndarray = direction) -> float:
            up, down = (
                reference.loss(net._replace(**{name: getattr(net, name) + sign * e * direction}))
                for sign in (1, -1)
            )
            return (up - down) / (2 * e)

        extrapolated = (4 * slope(5e-4) - slope(1e-3)) / 3
        assert extrapolated == pytest.approx((ours[name] * direction).sum(), rel=1e-8, abs=1e-9)


@TIED
def test_burn_in_is_a_constant(tied: bool) -> None:
    """The gradient leaves out weights that acted before the measured window."""
    spec = small_spec("tanh", tied)
    long = sample(spec, 1, 5, seed=7, burn_in=3)
    start = reference.forward(reference.networks(long)[0]).h[:, 3]
    short = long.isel(step=slice(3, None)).assign_attrs(burn_in=0)
    short = short.assign(initial_state=(("network", "sequence", "unit"), start[None]))
    for name, expected in full_gradients(short).items():
        np.testing.assert_allclose(full_gradients(long)[name], expected, rtol=1e-12, atol=1e-15)


@TIED
@pytest.mark.parametrize("precision, tolerance", [("float64", 1e-12), ("float32", 3e-6)])
def test_terms_add_up_to_the_gradient(tied: bool, precision: str, tolerance: float) -> None:
    """The kept sum equals the reference's terms added one by one; the norms are those of both."""
    spec = small_spec("gelu", tied, precision=precision)
    ensemble = sample(spec, 2, 8, seed=9, burn_in=1)
    data = measure(ensemble, products=("weights",), keep=("gradients",))
    for k, net in enumerate(reference.networks(ensemble)):
        for name, terms in reference.bptt_terms(net).items():
            total = sum(term for term in terms) if tied else terms
            ours = data[f"grad_{name}"].values[k]
            np.testing.assert_allclose(
                ours.reshape(total.shape), total, rtol=0, atol=tolerance * np.abs(total).max()
            )
            norm = np.exp(data[f"log_grad_{name}"].values[k])
            assert norm == pytest.approx(np.sqrt((ours**2).sum()), rel=tolerance)


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu"])
def test_adjoint_and_tangent_are_transposes(activation: str) -> None:
    """<L, J V> = <J^T L, V> for all unit vectors L and V, from outputs of the two sweeps alone.

    With the loss e_i . h_T the adjoint gives row i of dh_T/dh_1 as W_2^T dL/dnet_2, and dL/dnet_2
    is dL/db of that step. The rows together must have the norms and the singular values that the
    tangent sweep finds for the product.
    """
    n, T = 5, 7
    spec = NetworkSpec(activation=activation, hidden_size=n, tied=False, weight_scale=0.9)
    one = sample(spec, 1, T, seed=1)
    rows = xr.concat([one] * n, "network").assign_attrs(one.attrs)
    rows["readout_gradient"] = (("network", "sequence", "unit"), np.eye(n)[:, None])
    adjoint = measure(rows, products=("weights",), keep=("gradients",))
    product = adjoint.grad_b.values[:, 1, 0] @ one.W.values[0, 1, 0]
    singular = np.linalg.svd(product, compute_uv=False)
    tangent = measure(one, products=("jacobian",)).isel(network=0)
    frobenius, spectral = np.exp(tangent.log_jacobian_norm.values[:, T - 1])
    assert frobenius == pytest.approx(np.linalg.norm(product), rel=1e-12)
    assert spectral == pytest.approx(singular[0], rel=1e-12)
    np.testing.assert_allclose(
        np.exp(tangent.log_singular_value), singular, rtol=1e-9, atol=1e-14 * singular[0]
    )
