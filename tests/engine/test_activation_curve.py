"""The curves shown in tables and figures are those of the kernels."""

from __future__ import annotations

import numpy as np
import pytest
import reference

from gradhorizon.engine import activation_curve


@pytest.mark.parametrize("slope", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("name", reference.ACTIVATIONS)
def test_curve_equals_the_reference(name: str, slope: float) -> None:
    """phi(slope z) and slope phi'(slope z)."""
    z = np.linspace(-4, 4, 40)
    phi, dphi = reference.ACTIVATIONS[name]
    value, derivative = activation_curve(name, slope, z)
    np.testing.assert_allclose(value, phi(slope * z), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(derivative, slope * dphi(slope * z), rtol=1e-12, atol=1e-14)
