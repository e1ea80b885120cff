"""The textbook's bounds against searches and mean-field rates."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradhorizon.studies import theory
from gradhorizon.studies.theory import ACTIVATIONS

# No warning may escape: divergence is data here.
pytestmark = pytest.mark.filterwarnings("error")

NAMES = sorted(ACTIVATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_derivative_bound_is_the_supremum(name: str) -> None:
    """No |phi'| on a fine grid exceeds the bound, and some come within 1e-8 of it."""
    u = np.concatenate([np.linspace(-30.0, 30.0, 600_001), [1e3]])
    steepest = float(np.abs(ACTIVATIONS[name].derivative(u)).max())
    bound = theory.derivative_bound(name)
    assert steepest <= bound * (1 + 1e-15)
    assert steepest > bound * (1 - 1e-8)
    assert theory.derivative_bound(name, 2.5) == pytest.approx(2.5 * bound)


def test_certified_rate() -> None:
    """The bound certifies vanishing of tanh for weight scales below 1/2, of sigmoid below 2."""
    assert theory.certified_rate("tanh", weight_scale=0.5) == pytest.approx(0.0, abs=1e-15)
    assert theory.certified_rate("sigmoid", weight_scale=2.0) == pytest.approx(0.0, abs=1e-15)
    assert theory.certified_rate("relu", slope=2.0) == pytest.approx(math.log(4.0))
    for name in NAMES:
        for weight_scale in (0.3, 3.0):
            bound = theory.certified_rate(name, weight_scale=weight_scale)
            result = theory.mean_field(name, weight_scale=weight_scale)
            assert result.rate < bound - 0.5 * math.log(2.0)
