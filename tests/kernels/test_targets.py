"""The CPU primitives that the sweeps are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gradhorizon.kernels import collective, rows
from gradhorizon.kernels.library import BINDINGS
from gradhorizon.kernels.precision import FORMATS
from gradhorizon.kernels.specialise import specialise
from gradhorizon.kernels.targets import cpu

PRECISIONS = pytest.mark.parametrize("precision", ["float64", "float32"])


def compiled(function: Callable[..., Any], precision: str) -> Any:
    return specialise(function, f"test_{precision}", **BINDINGS[precision])


def normal(*shape: int, precision: str = "float64", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(precision)


@PRECISIONS
@pytest.mark.parametrize("exponent", [-1000, -120, -106, -26, 0, 15, 95, 105, 120, 1000])
def test_normalise_is_exact(exponent: int, precision: str) -> None:
    """array 2^k is unchanged; a size outside the safe range returns to about 1, any other stays."""
    bias = FORMATS[precision]["EXPONENT_BIAS"]
    if abs(exponent) > bias - 4:
        pytest.skip("outside the format")
    array = np.ldexp(normal(3, 4, precision=precision), exponent)
    before = array.astype(float)
    k = compiled(collective.normalise, precision)(array)
    np.testing.assert_array_equal(np.ldexp(array.astype(float), k), before)
    if abs(exponent) > FORMATS[precision]["RESCALE_AT"] + 4:  # 12 numbers: a size of about 2^3
        assert 1 <= np.abs(array).sum() < 2
    elif abs(exponent) < FORMATS[precision]["RESCALE_AT"] - 5:
        assert k == 0


@PRECISIONS
def test_normalise_row_always_scales(precision: str) -> None:
    """Rows come back with a sum of magnitudes in [1, 2)."""
    for exponent in (-100, -3, 0, 5, 100):
        row = np.ldexp(normal(5, precision=precision), exponent)
        before = row.astype(float)
        k = compiled(rows.rescale, precision)(row)
        assert 1 <= np.abs(row).sum() < 2
        np.testing.assert_array_equal(np.ldexp(row.astype(float), k), before)


@PRECISIONS
@pytest.mark.parametrize("function", [collective.normalise, rows.rescale])
@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -np.inf])
def test_nothing_to_normalise(function: Callable[..., Any], value: float, precision: str) -> None:
    """Zero, infinite and NaN arrays stay what they are, with exponent 0."""
    array = np.full(4, value, precision)
    before = array.copy()
    assert compiled(function, precision)(array) == 0
    np.testing.assert_array_equal(array, before)


@PRECISIONS
@pytest.mark.parametrize("function", [collective.normalise, rows.rescale])
def test_normalise_denormal_numbers(function: Callable[..., Any], precision: str) -> None:
    """Denormal arrays are brought into the normal range without loss."""
    array = np.full(4, 3 * np.finfo(precision).smallest_subnormal, precision)
    before = np.longdouble(array[0])
    k = compiled(function, precision)(array)
    assert np.ldexp(np.longdouble(array[0]), k) == before
    assert 2.0 ** -FORMATS[precision]["RESCALE_AT"] < np.abs(array).sum() < 2


@PRECISIONS
@pytest.mark.parametrize("function", [collective.normalise, rows.rescale])
def test_normalise_the_largest_number(function: Callable[..., Any], precision: str) -> None:
    """It is divided by a power of two whose inverse is a number."""
    array = np.full(1, np.finfo(precision).max, precision)
    before = np.longdouble(array[0])
    k = compiled(function, precision)(array)
    assert 1 <= array[0] < 4
    assert np.ldexp(np.longdouble(array[0]), k) == before


@PRECISIONS
def test_reductions(precision: str) -> None:
    """magnitude, square_norm, spectral_norm and scale against NumPy."""
    a = normal(5, 7, precision=precision)
    rtol = 20 * np.finfo(precision).eps
    wide = a.astype(float)
    for function, want in (
        (collective.magnitude, np.abs(wide).sum()),
        (collective.square_norm, (wide**2).sum()),
    ):
        np.testing.assert_allclose(compiled(function, precision)(a), want, rtol=rtol)
    top = compiled(cpu.spectral_norm, precision)(a, np.zeros(5, np.int32))
    np.testing.assert_allclose(top, np.linalg.norm(wide, 2), rtol=rtol)
    scaled = a.copy()
    compiled(collective.scale, precision)(scaled, np.dtype(precision).type(0.25))
    np.testing.assert_array_equal(scaled, a / 4)
