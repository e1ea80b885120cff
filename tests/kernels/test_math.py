"""The scalar functions against arbitrary precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from exact import at, ulps
from unit_loops import evaluate, evaluate_plain

from gradhorizon.kernels import math
from gradhorizon.kernels.precision import FORMATS

pytestmark = pytest.mark.usefixtures("many_digits")
PRECISIONS = pytest.mark.parametrize("precision", ["float64", "float32"])
DECADES = {"float64": 300, "float32": 37}
Points = Callable[[np.random.Generator, int], np.ndarray]


def tiny(rng: np.random.Generator, decades: int, count: int = 200) -> np.ndarray:
    """Numbers between 10^-decades and 1, evenly by order of magnitude."""
    return 10.0 ** rng.uniform(-decades, 0, count)


PAIRS: dict[str, tuple[Points, Any, Any]] = {
    "exp_and_expm1": (
        lambda rng, d: -np.concatenate([tiny(rng, d), rng.uniform(0, 2.3 * d, 300), [0.0]]),
        mp.exp,
        mp.expm1,
    ),
    "sine_cosine": (
        lambda rng, d: np.concatenate([tiny(rng, 30), -tiny(rng, 30), rng.uniform(-99, 99, 300)]),
        mp.sin,
        mp.cos,
    ),
    "sine_cosine_turns": (
        lambda rng, d: np.concatenate([tiny(rng, 30), rng.uniform(0, 1, 300)]),
        lambda u: mp.sinpi(2 * u),
        lambda u: mp.cospi(2 * u),
    ),
}

SINGLES: dict[str, tuple[Points, Any]] = {
    "log1p_unit": (lambda rng, d: np.append(tiny(rng, d), rng.uniform(0, 1, 300)), mp.log1p),
    "log_positive": (
        lambda rng, d: np.concatenate(
            [tiny(rng, d), 1 / tiny(rng, d), 1 + rng.uniform(-1e-3, 1e-3, 300)]
        ),
        mp.log,
    ),
    "erf_small": (lambda rng, d: np.append(tiny(rng, d), rng.uniform(-1, 1, 300)), mp.erf),
}


@PRECISIONS
@pytest.mark.parametrize("name", PAIRS)
def test_pairs_to_two_ulp(name: str, precision: str) -> None:
    """Relative error below 2 eps in both results, over the whole range."""
    points, first, second = PAIRS[name]
    x = points(np.random.default_rng(1), DECADES[precision]).astype(precision)
    ours = evaluate(getattr(math, name), x, precision, 2)
    assert ulps(ours[0], at(first, x)).max() < 2
    assert ulps(ours[1], at(second, x)).max() < 2


@PRECISIONS
@pytest.mark.parametrize("name", SINGLES)
def test_singles_to_two_ulp(name: str, precision: str) -> None:
    """Relative error below 2 eps over the whole range."""
    points, exact = SINGLES[name]
    x = points(np.random.default_rng(2), DECADES[precision]).astype(precision)
    assert ulps(evaluate(getattr(math, name), x, precision)[0], at(exact, x)).max() < 2


@PRECISIONS
def test_error_function_complement(precision: str) -> None:
    """erfc(x) and exp(-x^2) to a few eps, and x^2 eps that the rounding of x^2 costs."""
    rng = np.random.default_rng(3)
    x = np.append(tiny(rng, 30), rng.uniform(0, 9 if precision == "float32" else 26, 400))
    x = x.astype(precision)
    tail, gauss = evaluate(math.erfc_and_gauss, x, precision, 2)
    allowed = 3 + x.astype(float) ** 2
    assert (ulps(tail, at(mp.erfc, x)) < allowed).all()
    assert (ulps(gauss, at(lambda e: mp.exp(-e * e), x)) < allowed).all()


@PRECISIONS
def test_beyond_the_range(precision: str) -> None:
    """Underflow ends in zero, not in garbage; huge arguments stay finite; NaN stays NaN."""
    largest = float(np.finfo(precision).max)
    value, less_one = evaluate(math.exp_and_expm1, [-1e4, -largest, -np.inf], precision, 2)
    np.testing.assert_array_equal(value, 0)
    np.testing.assert_array_equal(less_one, -1)
    tail, gauss = evaluate(math.erfc_and_gauss, [31, 1e10, largest, np.inf], precision, 2)
    np.testing.assert_array_equal(tail, 0)
    np.testing.assert_array_equal(gauss, 0)
    for name in ("exp_and_expm1", "sine_cosine", "sine_cosine_turns", "erfc_and_gauss"):
        assert np.isnan(evaluate(getattr(math, name), np.nan, precision, 2)).all(), name
    for name in ("log1p_unit", "erf_small"):
        assert np.isnan(evaluate(getattr(math, name), np.nan, precision)).all(), name


@PRECISIONS
@pytest.mark.parametrize("size", [1e3, 12800, 1e8, 6.8e12, 1e15, 1e20, 1e30, 1e38])
def test_sine_of_large_angles(size: float, precision: str) -> None:
    """Exact to 4 eps where the reduction loses nothing, NaN beyond; never a number in between.

    As a float32, 1e8 has the sine 0.9316; reduced in float32 it would be 0.7071.
    """
    x = (size * np.random.default_rng(4).uniform(-1, 1, 200)).astype(precision)
    limit = {"float64": 6.9e12, "float32": 12867}[precision]
    assert (np.abs(x) < limit).any() or size > 2 * limit
    inside = np.abs(x) < limit
    with mp.workdps(60):
        for result, exact in zip(
            evaluate(math.sine_cosine, x, precision, 2), (mp.sin, mp.cos), strict=True
        ):
            np.testing.assert_array_equal(np.isnan(result), ~inside)
            want = [float(exact(mp.mpf(float(angle)))) for angle in x[inside]]
            atol = 4 * float(np.finfo(precision).eps)
            np.testing.assert_allclose(result[inside], want, rtol=0, atol=atol)


@PRECISIONS
def test_powers_of_two_are_exact(precision: str) -> None:
    """Every normal power of two, and zero below; the exponent of every normal number."""
    bias = FORMATS[precision]["EXPONENT_BIAS"]
    k = np.arange(1 - bias, bias + 1)
    powers = np.ldexp(np.ones(1, precision), k)
    np.testing.assert_array_equal(evaluate(math.power_of_two, k, precision)[0], powers)
    np.testing.assert_array_equal(evaluate(math.power_of_two, [-bias, -4 * bias], precision)[0], 0)
    below_next = np.nextafter(2 * powers[:-1], 0, dtype=precision)
    for x in (powers, below_next):
        np.testing.assert_array_equal(evaluate(math.exponent_of, x, precision)[0], k[: x.size])


@pytest.mark.parametrize("name", [*PAIRS, *SINGLES, "erfc_and_gauss"])
def test_source_as_plain_python(name: str) -> None:
    """The same source un-compiled gives the same numbers, up to fused multiply-adds."""
    outputs = 1 if name in SINGLES else 2
    x = np.random.default_rng(5).uniform(0.01, 1, 50)
    x = -x if name == "exp_and_expm1" else x
    function = getattr(math, name)
    plain, fast = evaluate_plain(function, x, outputs), evaluate(function, x, "float64", outputs)
    np.testing.assert_allclose(plain, fast, rtol=2e-15, atol=0)
