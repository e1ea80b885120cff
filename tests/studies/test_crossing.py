"""Where a curve crosses zero."""

from __future__ import annotations

from math import nan

import numpy as np
import pytest

from gradhorizon.studies.crossing import first_rise


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([-1, 1, 3, 5], 0.5),
        ([-1, nan, 1, 5], 1.0),  # across a gap
        ([-3, -1, 0, 1], 2.0),
        ([-1, 1, -1, 1], 0.5),  # the first
        ([1, -1, -1, 1], 2.5),  # the first rise
        ([1, 1, 1, 1], nan),
        ([-1, -1, -1, -1], nan),
        ([nan] * 4, nan),
    ],
)
def test_where_a_curve_first_rises_through_zero(y, expected):
    found = first_rise(np.arange(4.0), np.array(y, dtype=float))
    assert found == pytest.approx(expected, nan_ok=True)
