"""Logarithms of norms against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.kernels.library import log_norms_kernel
from gradhorizon.kernels.logarithms import log_norms


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_against_numpy(precision: str) -> None:
    """To three units in the last place, over the whole range of the format and of exponents.

    Zero has the logarithm -inf; infinity and NaN stay what they are.
    """
    limits, generator = np.finfo(precision), np.random.default_rng(0)
    size = np.exp2(generator.uniform(limits.minexp - 20, limits.maxexp, 4000))
    near_one = 1 + np.float64(limits.eps) * np.arange(-40, 40)
    square = np.concatenate([size, near_one, [0, np.inf, np.nan]]).astype(precision)
    exponent = generator.integers(-3000, 3000, square.size).astype(np.int32)
    exponent[-83:] = 0
    with np.errstate(divide="ignore"):
        expected = 0.5 * np.log(square.astype(float)) + np.log(2) * exponent
    terms = np.abs(np.log(2) * exponent) + np.abs(expected)
    for function in (log_norms, log_norms_kernel()):
        out = np.empty(square.size)
        function(square, exponent, out)
        wrong = np.abs(out[:-3] - expected[:-3])
        assert (wrong <= 3 * np.finfo(float).eps * terms[:-3]).all()
        np.testing.assert_array_equal(out[-3:], [-np.inf, np.inf, np.nan])
