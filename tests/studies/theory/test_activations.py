"""Activations of the theory against their definitions, one number at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from adaptive import SCALAR

from gradhorizon.studies.theory import ACTIVATIONS, activation_named

# No warning may escape: divergence is data here.
pytestmark = pytest.mark.filterwarnings("error")

NAMES = sorted(ACTIVATIONS)


def test_activation_names_and_unknown_name() -> None:
    """Every activation is tested here, and an unknown one is refused with the list."""
    assert set(ACTIVATIONS) == set(SCALAR)
    with pytest.raises(ValueError, match=r"swish.*tanh"):
        activation_named("swish")


@pytest.mark.parametrize("name", NAMES)
def test_activation_values(name: str) -> None:
    """Values and derivatives equal the scalar definitions to round-off, deep into the tails."""
    unit = ACTIVATIONS[name]
    u = np.concatenate([np.linspace(-6.0, 6.0, 101) + 0.003, [-300.0, -40.0, 40.0, 300.0]])
    for vectorised, scalar in zip((unit.value, unit.derivative), SCALAR[name], strict=True):
        expected = [scalar(float(x)) for x in u]
        np.testing.assert_allclose(vectorised(u), expected, rtol=2e-12, atol=1e-300)


@pytest.mark.parametrize("name", NAMES)
def test_derivative_is_the_derivative(name: str) -> None:
    """A fourth-order central difference of phi, its stencil clear of the kinks, gives phi'."""
    unit, h = ACTIVATIONS[name], 1e-3
    u = np.linspace(-7.0, 7.0, 500)
    for kink in unit.kinks:
        u = u[np.abs(u - kink) > 2.5 * h]
    near = unit.value(u + h) - unit.value(u - h)
    far = unit.value(u + 2 * h) - unit.value(u - 2 * h)
    np.testing.assert_allclose(unit.derivative(u), (8 * near - far) / (12 * h), atol=3e-12)


@pytest.mark.parametrize("name", NAMES)
def test_activation_declarations(name: str) -> None:
    """Bound, period and homogeneity are what the values say."""
    unit = ACTIVATIONS[name]
    u = np.linspace(-50.0, 50.0, 2001)
    largest = np.abs(unit.value(u)).max()
    assert largest <= unit.bound
    assert largest > (0.999 * unit.bound if math.isfinite(unit.bound) else 40.0)
    if math.isfinite(unit.wavelength):
        np.testing.assert_allclose(unit.value(u + unit.wavelength), unit.value(u), atol=1e-13)
    scales = np.allclose(unit.value(3.0 * u), 3.0 * unit.value(u))
    assert unit.homogeneous == scales
