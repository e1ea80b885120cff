from __future__ import annotations

import mpmath
import pytest

DIGITS = 40


@pytest.fixture
def many_digits():
    """mpmath computes in 40 digits during a test, and as ever after it."""
    with mpmath.workdps(DIGITS):
        yield
