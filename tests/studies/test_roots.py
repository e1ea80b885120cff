"""The root finder: against scipy's, at jumps and flat places, and what it refuses."""

from __future__ import annotations

import math

import pytest
from scipy.optimize import brentq

from gradhorizon.studies.roots import ACCURACY, bracketed_root

SMOOTH = {
    "parabola": (lambda x: x * x - 2.0, 1.0, 2.0),
    "falling": (lambda x: 1.0 / x - 0.3, 1.0, 9.0),
    "steep": (lambda x: math.exp(x) - 1e10, 1.0, 100.0),
    "sigmoid": (lambda x: math.atan(1e8 * (x - 0.3)), 0.01, 9.0),
    "small": (lambda x: x - 3e-12, 2e-12, 4e-12),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_against_scipy(name):
    """The same root, for about as many evaluations."""
    function, low, high = SMOOTH[name]
    points = []
    root = bracketed_root(lambda x: points.append(x) or function(x), low, high)
    theirs, report = brentq(function, low, high, xtol=1e-300, rtol=ACCURACY, full_output=True)
    assert root == pytest.approx(theirs, rel=2 * ACCURACY, abs=0)
    assert len(points) <= 1.3 * report.function_calls + 3
    assert all(low <= x <= high for x in points)


@pytest.mark.parametrize("above", [1.0, math.inf])
def test_a_jump_is_found_by_bisection(above):
    root = bracketed_root(lambda x: above if x > math.pi else -1.0, 1.0, 7.0)
    assert root == pytest.approx(math.pi, rel=ACCURACY, abs=0)


def test_a_root_at_an_end_is_returned():
    assert bracketed_root(lambda x: x - 1.0, 1.0, 2.0) == 1.0
    assert bracketed_root(lambda x: x - 2.0, 1.0, 2.0) == 2.0


def test_no_change_of_sign_is_refused():
    with pytest.raises(ValueError, match="no change of sign between"):
        bracketed_root(lambda x: x * x, 1.0, 2.0)
