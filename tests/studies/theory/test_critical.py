"""Critical weight scales against published tables, and as crossings."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradhorizon.studies import theory
from gradhorizon.studies.theory import ACTIVATIONS, gaussian_expectation

# No warning may escape: divergence is data here.
pytestmark = pytest.mark.filterwarnings("error")

NAMES = sorted(ACTIVATIONS)


def test_onset_of_chaos_with_input() -> None:
    """Input suppresses chaos (Molgedey, Schuchhardt & Schuster 1992)."""
    onset = theory.critical_weight_scale
    for name, slope in (("tanh", 1.0), ("sin", 0.3), ("hard_tanh", 1.7), ("elu", 1.3)):
        assert onset(name, slope=slope) == pytest.approx(1.0 / slope, rel=1e-12, abs=0)
    for name in ("gelu", "silu", "softplus", "relu"):  # divergence comes before the onset
        assert onset(name) == pytest.approx(math.sqrt(2.0), rel=1e-12, abs=0)
    assert onset("tanh", input_variance=0.05) == pytest.approx(1.3270, abs=5e-5)
    assert onset("tanh", input_variance=0.3) == pytest.approx(1.5828, abs=5e-5)


@pytest.mark.parametrize(
    ("bias_variance", "critical"), [(1e-4, 1.0860), (0.01, 1.4242), (0.05, 1.76096), (0.3, 2.5051)]
)
def test_critical_line_of_tanh(bias_variance: float, critical: float) -> None:
    """The line chi_1 = 1 (Poole et al. 2016; Schoenholz et al. 2017)."""
    found = theory.critical_weight_scale("tanh", bias_scale=math.sqrt(bias_variance)) ** 2
    assert found == pytest.approx(critical, abs=6e-5 if critical != 1.76096 else 6e-6)


def test_sigmoid() -> None:
    """Gradients vanish fast at weight scale 1 and turn critical at ten times that."""
    result = theory.mean_field("sigmoid")
    assert result.chi_1 == pytest.approx(0.0557, abs=5e-5)
    assert result.rate == pytest.approx(-1.444, abs=5e-4)
    assert theory.critical_weight_scale("sigmoid") == pytest.approx(10.149, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "q", "weight_variance", "bias_variance"),
    [("silu", 14.32017362, 1.98800468, 0.55514317), ("gelu", 3.56155281, 1.98305826, 0.17292239)],
)
def test_half_stable_points(
    name: str, q: float, weight_variance: float, bias_variance: float
) -> None:
    """Where q stays and neither it nor a gradient decays (Roberts, Yaida & Hanin 2022)."""
    unit = ACTIVATIONS[name]
    growth = gaussian_expectation(lambda u: unit.derivative(u) ** 2, unit, q)
    assert weight_variance * growth == pytest.approx(1.0, abs=2e-8)
    moment = gaussian_expectation(lambda u: unit.value(u) ** 2, unit, q)
    assert weight_variance * moment + bias_variance == pytest.approx(q, abs=1e-7)
    shift = gaussian_expectation(lambda u: unit.value(u) * unit.derivative(u) * u, unit, q)
    assert weight_variance * shift / q == pytest.approx(1.0, abs=2e-8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("drive", [0.0, 0.1729, 1.0])
def test_critical_weight_scale_is_a_crossing(name: str, drive: float) -> None:
    """There chi_1 = 1, and below it chi_1 < 1: for gelu and silu too, which cross repeatedly."""
    critical = theory.critical_weight_scale(name, input_variance=drive)

    def chi_1(fraction: float) -> float:
        scale = fraction * critical
        return theory.mean_field(name, weight_scale=scale, input_variance=drive).chi_1

    assert max(map(chi_1, (0.5, 0.9, 0.99, 1 - 1e-5))) < 1.0
    assert chi_1(1 + 1e-5) > 1.0 - 1e-12


def test_critical_line() -> None:
    """Tables of the bias (Schoenholz et al. 2017) and of the input (Molgedey et al. 1992)."""
    bias = np.sqrt([1e-4, 0.01, 0.05, 0.3])
    line = theory.critical_line("tanh", bias_scale=bias)
    np.testing.assert_allclose(line**2, [1.0860, 1.4242, 1.7610, 2.5051], atol=6e-5)
    line = theory.critical_line("tanh", input_variance=[0.0, 0.05, 0.3])
    np.testing.assert_allclose(line, [1.0, 1.3270, 1.5828], atol=6e-5)
    grid = theory.critical_line("tanh", bias_scale=[[0.0], [0.4]], input_variance=[0.1, 0.3])
    assert grid.shape == (2, 2)
    # what matters is the variance that both add
    both = theory.critical_weight_scale("tanh", input_variance=0.3 + 0.16)
    assert grid[1, 1] == pytest.approx(both, rel=1e-12)
    assert (np.diff(grid, axis=0) > 0).all()
    steep = theory.critical_line("tanh", slope=2.0, bias_scale=0.2)
    assert 2.0 * steep == pytest.approx(theory.critical_weight_scale("tanh", bias_scale=0.4))
