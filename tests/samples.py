"""Samples of numbers for accumulators, and splits of them into chunks."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

cuts = st.lists(st.integers(0, 60), max_size=5)


def samples(limit, *, infinite=False, maximum_size=60):
    """Draw float64 samples of up to `maximum_size` networks."""
    bounds = {} if infinite else {"min_value": -limit, "max_value": limit}
    numbers = st.floats(allow_nan=False, allow_infinity=infinite, allow_subnormal=False, **bounds)
    return arrays(np.float64, st.integers(0, maximum_size), elements=numbers)


def split(values, cuts):
    """Split values at the given places, repeated ones giving empty parts."""
    return np.split(values, sorted(cut % (len(values) + 1) for cut in cuts))


def same_bits(left, right):
    """Compare two accumulators bit for bit."""
    ours, theirs = left.arrays(), right.arrays()
    return ours.keys() == theirs.keys() and all(
        ours[name].shape == theirs[name].shape and ours[name].tobytes() == theirs[name].tobytes()
        for name in ours
    )
