"""One suite for every architecture: all products against the naive reference."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure, sample
from gradhorizon.kernels.activations import ACTIVATIONS

PRODUCTS = ("trajectory", "gradient", "weights", "jacobian")
KEEP = ("states", "gradients")
STEPS, NETWORKS = 9, 3

SKIPS = {"plain": (0.0, 1.0, 0.8), "residual": (1.0, 1.0, 0.4), "leaky": (0.7, 0.3, 0.8)}
"""skip, branch, weight_scale; no chain grows so fast that rounding would hide an error."""


def compare(data: xr.Dataset, ensemble: xr.Dataset, tolerance: float) -> None:
    """Hold every variable of a measurement to the reference, logarithms as relative errors."""
    assert (data.status == 0).all()
    expected = reference.measure(ensemble)
    assert set(data.data_vars) - {"status"} <= set(expected)
    for name in set(data.data_vars) - {"status", "horizon", "log_singular_value"}:
        want = expected[name]
        size = 1.0 if name.startswith(("log", "contribution", "rate")) else np.abs(want).max()
        np.testing.assert_allclose(
            data[name], want, rtol=0, atol=tolerance * size, err_msg=name, strict=False
        )
        assert data[name].shape == want.shape
    if "horizon" in data:
        with np.errstate(divide="ignore"):
            rate = np.where(data.horizon == np.inf, 0, -1 / data.horizon)
        np.testing.assert_allclose(rate, np.minimum(expected["rate"], 0), rtol=0, atol=tolerance)
    if "log_singular_value" in data:  # dense SVD: errors relative to the largest value only
        ours, theirs = np.exp(data.log_singular_value), np.exp(expected["log_singular_value"])
        top = theirs.max(axis=1, keepdims=True)
        np.testing.assert_allclose(ours / top, theirs / top, rtol=0, atol=10 * tolerance)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_products_equal_the_reference(
    activation: str, tied: bool, skip: str, batch_size: int, precision: str
) -> None:
    """Float64 to 1e-12 relative; float32 to the first-order rounding error of the chain."""
    keep_h, branch, weight_scale = SKIPS[skip]
    spec = NetworkSpec(
        activation=activation,
        slope=0.9,
        hidden_size=7,
        input_size=4,
        weight_scale=weight_scale,
        bias_scale=0.3,
        tied=tied,
        skip=keep_h,
        branch=branch,
        batch_size=batch_size,
        precision=precision,
    )
    arguments = dict(
        networks=NETWORKS, steps=STEPS, seed=11, loss="every" if batch_size > 1 else "last"
    )
    burn_in = 2 if tied else 1
    ensemble = sample(spec, burn_in=burn_in, **arguments)
    data = measure(spec, burn_in=burn_in, products=PRODUCTS, keep=KEEP, **arguments)
    tolerance = 1e-12
    if precision == "float32":
        tolerance = reference.rounding_error(ensemble, np.finfo(precision).eps / 2)
        assert tolerance < 3e-3  # small enough for the comparison to mean something
    compare(data, ensemble, tolerance)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 17, 33])
def test_any_size_equals_the_reference(size: int) -> None:
    """Sizes on both sides of every unrolled loop, inputs of another size."""
    spec = NetworkSpec(hidden_size=size, input_size=size % 3 + 1, batch_size=2, weight_scale=0.7)
    ensemble = sample(spec, 2, 6, seed=5)
    compare(measure(ensemble, products=PRODUCTS, keep=KEEP), ensemble, 1e-12)


@pytest.mark.parametrize("loss", ["last", "every"])
@pytest.mark.parametrize("burn_in", [0, 3])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_window_and_loss(loss: str, burn_in: int, tied: bool) -> None:
    """Where the loss acts and what burn-in leaves out."""
    spec = NetworkSpec(hidden_size=5, tied=tied, batch_size=2, weight_scale=0.9)
    arguments = dict(networks=2, steps=6, seed=3, burn_in=burn_in, loss=loss)
    ensemble = sample(spec, **arguments)
    assert ensemble.sizes["step"] == 6 + burn_in
    compare(measure(spec, products=PRODUCTS, keep=KEEP, **arguments), ensemble, 1e-12)
