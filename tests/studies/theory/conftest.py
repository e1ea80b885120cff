from __future__ import annotations

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="module", autouse=True)
def one_thread_of_blas():
    """Matrices are small, and other processes may compile: threads would wait for one another."""
    with threadpool_limits(1, user_api="blas"):
        yield
