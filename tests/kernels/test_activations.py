"""Values and derivatives of all activations against arbitrary precision."""

from __future__ import annotations

import exact
import mpmath as mp
import numpy as np
import pytest
import reference
from exact import at, ulps
from unit_loops import evaluate, evaluate_plain

from gradhorizon.kernels.activations import ACTIVATIONS

pytestmark = pytest.mark.usefixtures("many_digits")
PRECISIONS = pytest.mark.parametrize("precision", ["float64", "float32"])
NAMES = pytest.mark.parametrize("name", ACTIVATIONS)

KINKS = {"relu": (0.0,), "leaky_relu": (0.0,), "elu": (), "hard_tanh": (-1.0, 1.0)}


def arguments(precision: str) -> np.ndarray:
    """Both signs, from the smallest normal numbers to well into saturation."""
    rng = np.random.default_rng(1)
    decades, reach = {"float64": (300, 300), "float32": (37, 40)}[precision]
    magnitudes = [10.0 ** rng.uniform(-decades, 0, 80), rng.uniform(0, 6, 80)]
    x = np.concatenate([*magnitudes, rng.uniform(6, reach, 60)])
    return np.concatenate([x, -x]).astype(precision)


def tolerance(name: str, z: np.ndarray) -> np.ndarray:
    """Units of eps: 4, and what the rounding of z^2 in exp(-z^2) costs."""
    return 4.0 + (2.0 * z.astype(float) ** 2 if name in ("gelu", "erf") else 0.0)


def derivative_scale(name: str, z: np.ndarray) -> list[mp.mpf] | None:
    """What a derivative's error is relative to: the larger term where two of them cancel."""
    if name == "gelu":
        return at(lambda x: max(mp.ncdf(x), abs(x) * mp.npdf(x)), z)
    if name == "silu":
        sigmoid = exact.ACTIVATIONS["sigmoid"][0]
        return at(lambda x: sigmoid(x) * max(mp.mpf(1), abs(x) * sigmoid(-x)), z)
    return None


@PRECISIONS
@NAMES
def test_value_and_derivative(name: str, precision: str) -> None:
    """Relative error of a few eps everywhere: near 0, where odd functions vanish, and in tails."""
    z = arguments(precision)
    if name == "sin":
        z = z[np.abs(z) < 100]
    value, derivative = evaluate(ACTIVATIONS[name], z, precision, 2)
    phi, dphi = exact.ACTIVATIONS[name]
    allowed = tolerance(name, z)
    assert (ulps(value, at(phi, z)) < allowed).all()
    assert (ulps(derivative, at(dphi, z), derivative_scale(name, z)) < allowed).all()


@NAMES
def test_references_agree(name: str) -> None:
    """The exact derivatives are derivatives, and NumPy's reference is the same function."""
    phi, dphi = exact.ACTIVATIONS[name]
    for z in (-3.7, -1.3, -0.6, -1e-3, 1e-3, 0.4, 1.7, 5.2):
        assert float(mp.diff(phi, mp.mpf(z))) == pytest.approx(float(dphi(mp.mpf(z))), rel=1e-12)
        value, derivative = (f(np.array([z]))[0] for f in reference.ACTIVATIONS[name])
        assert value == pytest.approx(float(phi(mp.mpf(z))), rel=1e-13)
        assert derivative == pytest.approx(float(dphi(mp.mpf(z))), rel=1e-12)


@PRECISIONS
@NAMES
def test_kinks_have_the_derivative_from_the_left(name: str, precision: str) -> None:
    """At a kink the left one-sided derivative; at 0 the value of every activation is exact."""
    for z in KINKS.get(name, ()):
        _, here = evaluate(ACTIVATIONS[name], z, precision, 2)
        _, left = evaluate(ACTIVATIONS[name], z - 1e-3, precision, 2)
        if name == "hard_tanh" and z == 1.0:
            left[:] = 0.0  # both ends belong to the flat part, as in PyTorch
        assert here == left
    value, _ = evaluate(ACTIVATIONS[name], 0.0, precision, 2)
    assert ulps(value, at(exact.ACTIVATIONS[name][0], [0.0])) < 1


@PRECISIONS
@NAMES
def test_saturation_and_nan(name: str, precision: str) -> None:
    """Far out every activation is flat, the identity or periodic; NaN in, NaN out."""
    far = float(np.finfo(precision).max) / 4
    value, derivative = evaluate(ACTIVATIONS[name], [-far, far], precision, 2)
    if name in ("tanh", "sigmoid", "erf", "hard_tanh"):
        np.testing.assert_array_equal(value, [0 if name == "sigmoid" else -1, 1])
        np.testing.assert_array_equal(derivative, 0)
    elif name != "sin":
        left = {"linear": -far, "leaky_relu": -0.01 * far, "elu": -1.0}.get(name, 0.0)
        np.testing.assert_allclose(value, [left, far], rtol=1e-6, atol=0)
        slope = {"linear": 1.0, "leaky_relu": 0.01}.get(name, 0.0)
        np.testing.assert_allclose(derivative, [slope, 1], rtol=1e-6, atol=0)
    value, derivative = evaluate(ACTIVATIONS[name], np.nan, precision, 2)
    assert np.isnan(value).all()


@NAMES
def test_source_as_plain_python(name: str) -> None:
    """The same source un-compiled gives the same numbers, up to fused multiply-adds."""
    z = np.random.default_rng(2).uniform(-4, 4, 60)
    plain, fast = (
        evaluate_plain(ACTIVATIONS[name], z, 2),
        evaluate(ACTIVATIONS[name], z, "float64", 2),
    )
    np.testing.assert_allclose(plain, fast, rtol=1e-14, atol=1e-15)
