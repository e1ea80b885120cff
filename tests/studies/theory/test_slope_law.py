"""Averages that spectra are made of, against quadrature in many digits and closed forms."""

from __future__ import annotations

import math
from functools import cache

import mpmath as mp
import numpy as np
import pytest
from exact import ACTIVATIONS as EXACT

from gradhorizon.studies.theory import ACTIVATIONS, mean_field
from gradhorizon.studies.theory.slope_law import SlopeLaw

pytestmark = pytest.mark.filterwarnings("error")

NAMES = sorted(ACTIVATIONS)
NETWORKS = [(0.1, 0.25), (3.0, 1.0), (50.0, 8.0)]


def passages(name: str, spread: float, level: float) -> list[float]:
    """Where ln phi'^2 passes levels about the middle one, by search on a fine grid."""
    fine = np.concatenate([np.linspace(0.0, 1.0, 3001), np.geomspace(1e-9, 1.0, 600)])
    u = np.unique(np.concatenate([-9.0 * spread * fine, 9.0 * spread * fine]))
    slope = 2.0 * ACTIVATIONS[name].log_derivative(u)
    found = [-9.0 * spread, -3.0 * spread, 0.0, 3.0 * spread, 9.0 * spread]
    found += [s * x for s in (-1, 1) for x in (1.0, 3.0, 10.0, 30.0)]
    for shift in (-40.0, -20.0, -8.0, -3.0, 0.0, 3.0, 8.0, 20.0, 40.0):
        above = slope > level + shift
        found += u[1:][above[1:] != above[:-1]].tolist()
    return sorted({x for x in found if abs(x) <= 9.0 * spread})


@pytest.mark.parametrize("name", [name for name in NAMES if name != "sin"])
@pytest.mark.parametrize(("weight_scale", "slope"), NETWORKS)
def test_averages_in_many_digits(name: str, weight_scale: float, slope: float) -> None:
    """To 1e-10: t(l) = E phi'^2 / (s + phi'^2), 1 - t, and E ln(1 + phi'^2 / s), s = e^l."""
    q = mean_field(name, slope=slope, weight_scale=weight_scale, bias_scale=0.3).q
    spread = slope * math.sqrt(min(q, 1e4 / slope**2))
    law, derivative = SlopeLaw(name, spread**2), EXACT[name][1]
    for level in (law.log_mean_square + 2.0, law.log_mean_square - 6.0):
        cuts, s = passages(name, spread, level), mp.exp(level)

        @cache  # both averages have the same nodes
        def at(u):
            return derivative(u) ** 2, mp.npdf(u, 0, spread)

        def average(function, cuts=cuts, at=at):
            weighted = lambda u: function(at(u)[0]) * at(u)[1]  # noqa: E731
            return float(mp.quad(weighted, cuts, maxdegree=7))

        share = average(lambda square, s=s: square / (s + square))
        assert law.share(level) == pytest.approx(share, rel=1e-10, abs=0)
        assert law.rest(level) == pytest.approx(1.0 - share, rel=1e-10, abs=1e-14)
        surplus = average(lambda square, s=s: mp.log1p(square / s))
        assert law.surplus(level) == pytest.approx(surplus, rel=1e-10, abs=0)


@pytest.mark.parametrize("variance", [1e-4, 0.4, 3.0, 30.0, 1e3])
@pytest.mark.parametrize("level", [-30.0, -8.0, 0.0, 3.0])
def test_cosine_by_its_fourier_series(variance: float, level: float) -> None:
    """1 / (1 + 2 s + cos 2u) is a Poisson kernel, and E cos 2ku = exp(-2 k^2 variance)."""
    law, s = SlopeLaw("sin", variance), math.exp(level)
    root = 2.0 * math.sqrt(s * (1.0 + s))
    k = np.arange(1, 3000)
    waves = (-1.0) ** k * (1.0 + 2.0 * s + root) ** -k * np.exp(-2.0 * k**2 * variance)
    rest = 2.0 * s / root * (1.0 + 2.0 * waves.sum())
    assert law.rest(level) == pytest.approx(rest, rel=1e-10, abs=2e-14)
    assert law.share(level) == pytest.approx(1.0 - rest, rel=1e-10, abs=1e-13)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variance", [0.0, 1e-6, 0.5, 40.0, math.inf])
def test_share_surplus_and_their_limits(name: str, variance: float) -> None:
    """The share falls from that of living units to E phi'^2 / s, and is minus surplus's slope."""
    law = SlopeLaw(name, variance)
    levels = np.linspace(law.log_mean_square - 12.0, law.log_mean_square + 8.0, 30)
    share = np.array([law.share(level) for level in levels])
    assert (np.diff(share) < 1e-15).all()
    assert law.share(law.least) == pytest.approx(law.living, abs=1e-9)
    assert law.share(30.0) == pytest.approx(math.exp(law.log_mean_square - 30.0), rel=1e-9)
    for level in (levels[3], levels[20]):
        slope = (law.surplus(level - 1e-3) - law.surplus(level + 1e-3)) / 2e-3
        assert slope == pytest.approx(law.share(level), abs=1e-6)
        assert law.share(level) + law.rest(level) == pytest.approx(1.0, abs=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_log_derivative(name: str) -> None:
    """ln|phi'| to round-off, far below where phi' itself underflows."""
    u = np.concatenate([np.linspace(-6.0, 6.0, 41) + 0.003, [-1e3, -40.0, 40.0, 1e3]])
    found = ACTIVATIONS[name].log_derivative(u)
    with mp.workdps(40 if name in ("gelu", "silu") else 20):
        exact = [abs(EXACT[name][1](mp.mpf(float(x)))) for x in u]
        expected = [float(mp.log(d)) if d else -math.inf for d in exact]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["erf", "linear", "relu", "sin", "tanh"])
@pytest.mark.parametrize("variance", [0.5, 1e4])
def test_shares_at_many_levels_are_those_at_each(name: str, variance: float) -> None:
    """Panels of their own or shared: to round-off, also far apart and in large numbers."""
    law = SlopeLaw(name, variance)
    levels = np.concatenate([np.linspace(-200.0, 8.0, 400), [-1e5, -3e3, law.log_mean_square]])
    alone = [law.share(level) for level in levels.tolist()]
    np.testing.assert_allclose(law.shares(levels), alone, rtol=1e-12, atol=1e-13)
