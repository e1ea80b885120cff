"""Lyapunov spectra of wide networks against tables, closed forms and products of matrices."""

from __future__ import annotations

from math import inf, log, pi, sqrt

import numpy as np
import pytest
from scipy.optimize import brentq

from gradhorizon.studies.theory import (
    ACTIVATIONS,
    LyapunovSpectrum,
    lyapunov_spectrum,
    mean_field,
)
from gradhorizon.studies.theory.slope_law import SlopeLaw

pytestmark = pytest.mark.filterwarnings("error")

PLACES = np.linspace(0.0, 0.99, 12)


def cumulated(spectrum: LyapunovSpectrum, place: float) -> float:
    """Sum of the exponents over n down to a place, from the exponents themselves."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    half = 0.5 * place
    return float(half * weights @ spectrum.exponents(half * (1.0 + nodes)))


@pytest.mark.parametrize(
    ("g", "leading", "unstable", "dimension", "entropy"),
    [
        (1.2, 0.016476, None, None, None),
        (1.5, 0.065217, 0.0843, 0.1658, 0.002795),
        (2.0, 0.154724, 0.1334, 0.2575, 0.010683),
        (3.0, 0.310249, 0.1529, None, None),
        (10.0, 0.856435, 0.0912, 0.1653, 0.04417),
    ],
)
def test_table_of_tanh(
    g: float,
    leading: float,
    unstable: float | None,
    dimension: float | None,
    entropy: float | None,
) -> None:
    """Engelken, Wolf & Abbott 2023, to the digits given; the dimension 0.25756 is cut to 0.2575."""
    spectrum = lyapunov_spectrum("tanh", weight_scale=g)
    assert spectrum.leading == pytest.approx(leading, abs=6e-7)
    assert spectrum.exponents(0.0) == pytest.approx(spectrum.leading, abs=1e-14)
    if unstable is not None:
        assert spectrum.unstable_fraction == pytest.approx(unstable, abs=5e-5)
    if dimension is not None:
        assert spectrum.kaplan_yorke_dimension == pytest.approx(dimension, abs=6e-5)
    if entropy is not None:
        digits = 5e-6 if entropy == 0.04417 else 5e-7
        assert spectrum.entropy_rate == pytest.approx(entropy, abs=digits)


@pytest.mark.parametrize("g", [0.4, 1.7, 50.0])
def test_linear_laws(g: float) -> None:
    """Gaussian: the triangular law, lambda = ln g + 1/2 ln(1 - t); orthogonal: ln g throughout."""
    gaussian = lyapunov_spectrum("linear", weight_scale=g)
    np.testing.assert_allclose(
        gaussian.exponents(PLACES), log(g) + 0.5 * np.log1p(-PLACES), atol=1e-12
    )
    assert gaussian.mean == pytest.approx(log(g) - 0.5, abs=1e-12)
    orthogonal = lyapunov_spectrum("linear", weight_scale=g, weights="orthogonal")
    np.testing.assert_allclose(orthogonal.exponents(PLACES), log(g), atol=1e-12)
    unstable = 1.0 - g**-2 if g > 1.0 else 0.0
    assert gaussian.unstable_fraction == pytest.approx(unstable, abs=1e-12)
    assert orthogonal.unstable_fraction == pytest.approx(float(g > 1.0), abs=1e-12)
    assert orthogonal.entropy_rate == pytest.approx(max(log(g), 0.0), abs=1e-12)
    # 1/2 ln g^2 - 1/2 + 1/(2 g^2), the area above 0 of the triangular law
    area = log(g) - 0.5 + 0.5 / g**2 if g > 1.0 else 0.0
    assert gaussian.entropy_rate == pytest.approx(area, abs=1e-12)
    dimension = 1.0 if log(g) > 0.5 else None
    if dimension or g < 1.0:
        assert gaussian.kaplan_yorke_dimension == (dimension or 0.0)
    else:
        assert cumulated(gaussian, gaussian.kaplan_yorke_dimension) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("name", ["linear", "tanh", "sin"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_at_the_transition_nothing_expands(name: str, weights: str) -> None:
    """Exponents of 0, to rounding, are not positive; orthogonal weights have no others."""
    spectrum = lyapunov_spectrum(name, weight_scale=1.0, weights=weights)
    assert abs(spectrum.leading) < 1e-13
    sums = (spectrum.unstable_fraction, spectrum.entropy_rate, spectrum.kaplan_yorke_dimension)
    assert sums == (0, 0, 0)


@pytest.mark.parametrize("slope", [1.0, 2.5])
def test_relu(slope: float) -> None:
    """Half of the units are flat: lambda = 1/2 ln[(g a)^2 (1/2 - t)], -inf from t = 1/2 on."""
    spectrum = lyapunov_spectrum("relu", weight_scale=1.9, slope=slope)
    places = np.array([0.0, 0.1, 0.3, 0.49, 0.5, 0.7])
    with np.errstate(divide="ignore"):
        law = log(1.9 * slope) + 0.5 * np.log(np.maximum(0.5 - places, 0.0))
    np.testing.assert_allclose(spectrum.exponents(places), law, atol=1e-11)
    assert spectrum.mean == -inf
    assert spectrum.unstable_fraction == pytest.approx(0.5 - (1.9 * slope) ** -2, abs=1e-12)


@pytest.mark.parametrize("name", ["softplus", "elu", "gelu", "silu"])
def test_diverging_nets_are_relu_nets(name: str) -> None:
    """Where the variance diverges every one-sided activation is straight or flat."""
    assert mean_field(name, weight_scale=2.5, bias_scale=0.1).q == inf
    for weights in ("gaussian", "orthogonal"):
        relu = lyapunov_spectrum("relu", weight_scale=2.5, weights=weights)
        other = lyapunov_spectrum(name, weight_scale=2.5, bias_scale=0.1, weights=weights)
        places = np.array([0.0, 0.2, 0.45])
        np.testing.assert_allclose(other.exponents(places), relu.exponents(places), atol=1e-9)
        assert other.exponents(0.6) == -inf
        assert other.kaplan_yorke_dimension == pytest.approx(0.5, abs=1e-9)
        assert other.entropy_rate == pytest.approx(relu.entropy_rate, abs=1e-9)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_integrals_are_those_of_the_exponents(name: str, weights: str) -> None:
    """Entropy, Kaplan-Yorke dimension and unstable fraction, beside sums over the exponents."""
    g = {"sigmoid": 14.0, "softplus": 1.35, "elu": 1.3, "gelu": 1.35, "silu": 1.35}.get(name, 1.9)
    spectrum = lyapunov_spectrum(name, weight_scale=g, bias_scale=0.4, weights=weights)
    unstable = spectrum.unstable_fraction
    if spectrum.leading <= 0.0:
        assert (unstable, spectrum.entropy_rate, spectrum.kaplan_yorke_dimension) == (0, 0, 0)
        return
    assert cumulated(spectrum, unstable) == pytest.approx(spectrum.entropy_rate, abs=1e-6)
    if unstable < spectrum.law.living * (1.0 - 1e-12):
        assert spectrum.exponents(unstable) == pytest.approx(0.0, abs=1e-9)
    dimension = spectrum.kaplan_yorke_dimension
    assert dimension >= unstable
    if dimension < 0.999 * spectrum.law.living:
        assert cumulated(spectrum, dimension) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("name", ["tanh", "erf", "gelu", "leaky_relu", "sin"])
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_products_of_matrices(name: str, weights: str) -> None:
    """Sums of the 90 leading exponents by QR of 300 independent layers of 100 units, over n.

    They lie within the spectrum's range over n of the wide limit, as if a place were uncertain by
    1/n (that of leaky_relu has a cliff). Gaussian and orthogonal weights differ by 0.45.
    """
    rng, n, steps, g, bias = np.random.default_rng(5), 100, 300, 1.4, 0.5
    spectrum = lyapunov_spectrum(name, weight_scale=g, bias_scale=bias, weights=weights)
    unit, q = ACTIVATIONS[name], mean_field(name, weight_scale=g, bias_scale=bias).q
    frame, total = np.eye(n), np.zeros(n)
    for step in range(steps + 20):
        W = rng.standard_normal((n, n)) / sqrt(n)
        if weights == "orthogonal":
            factor, triangle = np.linalg.qr(W)
            W = factor * np.sign(np.diag(triangle))
        d = unit.derivative(sqrt(q) * rng.standard_normal(n))
        frame, triangle = np.linalg.qr(g * W @ (d[:, None] * frame))
        if step >= 20:
            total += np.log(np.abs(np.diag(triangle)))
    wide = spectrum.exponents((np.arange(90) + 0.5) / n)
    excess = np.cumsum(total[:90] / steps - wide) / n
    assert np.abs(excess).max() < np.ptp(wide) / n


def test_mean_exponents() -> None:
    """E ln|phi'| in closed form: erf, elu, and the cosine by its Fourier series."""
    for g, a in ((0.3, 1.0), (1.2, 0.5), (50.0, 8.0)):
        q = mean_field("erf", weight_scale=g, slope=a, bias_scale=0.3).q
        found = lyapunov_spectrum("erf", weight_scale=g, slope=a, bias_scale=0.3).mean
        expected = log(2.0 / sqrt(pi)) - a**2 * q + log(g * a) - 0.5
        assert found == pytest.approx(expected, rel=1e-10)
        q = mean_field("sin", weight_scale=g, slope=a, bias_scale=0.3).q
        found = lyapunov_spectrum("sin", weight_scale=g, slope=a, bias_scale=0.3).mean
        k = np.arange(1, 400)
        waves = np.exp(-2.0 * k**2 * a**2 * q) / k * (-1.0) ** (k + 1)
        assert found == pytest.approx(waves.sum() - log(2.0) + log(g * a) - 0.5, abs=1e-9)
    q = mean_field("elu", weight_scale=1.1, bias_scale=0.7).q
    found = lyapunov_spectrum("elu", weight_scale=1.1, bias_scale=0.7).mean
    assert found == pytest.approx(-sqrt(q / (2.0 * pi)) + log(1.1) - 0.5, abs=1e-10)


def test_slope_and_weight_scale_of_an_odd_net() -> None:
    """phi(a net) at weight scale g is phi(net) at g a, and a vanishing state a linear net."""
    plain = lyapunov_spectrum("tanh", weight_scale=3.0, bias_scale=0.6).exponents(PLACES)
    steep = lyapunov_spectrum("tanh", weight_scale=1.5, slope=2.0, bias_scale=0.3)
    np.testing.assert_allclose(steep.exponents(PLACES), plain, atol=1e-10)
    quiet = lyapunov_spectrum("tanh", weight_scale=0.8).exponents(PLACES)
    np.testing.assert_allclose(quiet, log(0.8) + 0.5 * np.log1p(-PLACES), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "g"), [("tanh", 1.2), ("tanh", 100.0), ("erf", 50.0), ("hard_tanh", 3.0), ("sin", 3.0)]
)
@pytest.mark.parametrize("weights", ["gaussian", "orthogonal"])
def test_exponents_together_are_those_one_by_one(name: str, g: float, weights: str) -> None:
    """At each place the root of share(l) - t by Brent's method, which knows no other place."""
    spectrum = lyapunov_spectrum(name, weight_scale=g, bias_scale=0.3, weights=weights)
    law, n = spectrum.law, 64
    places = ((np.arange(n) + 0.5) / n).reshape(8, 8)
    found = spectrum.exponents(places)
    for place, exponent in zip(places.ravel()[::9], found.ravel()[::9], strict=True):
        if law.share(law.least) <= place:
            assert exponent == -inf
            continue
        highest = law.log_mean_square - log(place)
        level = brentq(lambda x, t=place: law.share(x) - t, law.least, highest, xtol=1e-13)
        rest = 1.0 - place if weights == "orthogonal" else 1.0
        expected = log(g) + 0.5 * (level + log(place / rest))
        assert exponent == pytest.approx(expected, rel=1e-10, abs=1e-11)


def test_a_spectrum_costs_little_more_than_an_exponent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quadrature rules made for 128 places; one by one they took 1500, and seconds per study."""
    made, slopes = [], SlopeLaw._slopes
    spectrum = lyapunov_spectrum("tanh", weight_scale=6.0)
    monkeypatch.setattr(SlopeLaw, "_slopes", lambda *args: made.append(1) or slopes(*args))
    spectrum.exponents((np.arange(128) + 0.5) / 128)
    assert len(made) < 150


def test_refusals() -> None:
    """One clear error names what is wrong and what is allowed."""
    with pytest.raises(ValueError, match=r"weights='uniform'.*orthogonal"):
        lyapunov_spectrum("tanh", weights="uniform")
    with pytest.raises(ValueError, match="weight_scale=0"):
        lyapunov_spectrum("tanh", weight_scale=0.0)
    for place in (1.0, -0.1, float("nan")):
        with pytest.raises(ValueError, match="place="):
            lyapunov_spectrum("tanh").exponents(place)
