"""What only a GPU can show: whole warps, blocks beside each other, streams that overlap."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure
from gradhorizon.engine.spec import CHOICES

pytestmark = pytest.mark.gpu

STEPS = 40
PRODUCTS = ("trajectory", "gradient", "weights", "jacobian", "lyapunov")

OF_ROUNDING = {"worst_condition"}
"""How near to each other tangents came, a matter of rounding."""


def both(spec: NetworkSpec, networks: int, **options: Any) -> tuple[xr.Dataset, xr.Dataset]:
    """The same networks on the CPU and on the GPU."""
    arguments: dict[str, Any] = dict(networks=networks, steps=STEPS, products=PRODUCTS) | options
    return measure(spec, **arguments), measure(spec, device="cuda", **arguments)


@pytest.mark.parametrize("units", [7, 20, 64])
@pytest.mark.parametrize(
    "cell, normalization", list(itertools.product(CHOICES["cell"], CHOICES["normalization"]))
)
def test_every_architecture_agrees(cell: str, normalization: str, units: int) -> None:
    """In float64, network by network, where no chaos amplifies the rounding."""
    spec = NetworkSpec(
        cell=cell,
        normalization=normalization,
        hidden_size=units,
        input_size=units // 2,
        weight_scale=0.5,
        bias_scale=0.2,
        batch_size=4,
    )
    here, there = both(spec, networks=5, products=PRODUCTS if units < 64 else PRODUCTS[:3])
    for name in set(here.data_vars) - OF_ROUNDING:
        np.testing.assert_allclose(there[name], here[name], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("units", [16, 100, 128, 250, 300])
def test_every_size_agrees(units: int, precision: str, tied: bool) -> None:
    """Weights on the chip and off it; a product of T factors rounds by n eps in each."""
    spec = NetworkSpec(hidden_size=units, weight_scale=0.5, precision=precision, tied=tied)
    here, there = both(spec, networks=3, products=PRODUCTS[:3])
    bound = max(1e-9, STEPS * units * float(np.finfo(precision).eps))
    for name in here.data_vars:
        np.testing.assert_allclose(there[name], here[name], rtol=bound, atol=bound, err_msg=name)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_network_is_the_same_whatever_runs_beside_it(precision: str) -> None:
    """Bit for bit: again, in a larger run, and with one stream instead of two."""
    spec = NetworkSpec(hidden_size=48, weight_scale=1.5, precision=precision)
    arguments: dict[str, Any] = dict(steps=STEPS, products=PRODUCTS[:3], device="cuda")
    few = measure(spec, networks=100, **arguments)
    many = measure(spec, networks=20_000, **arguments)
    alone = measure(spec, networks=20_000, workers=1, **arguments)
    xr.testing.assert_identical(measure(spec, networks=100, **arguments), few)
    for name in few.data_vars:
        np.testing.assert_array_equal(many[name][:100], few[name], err_msg=name)
        np.testing.assert_array_equal(many[name], alone[name], err_msg=name)
