"""Products of matrices on a GPU, tile by tile: those of NumPy, whatever the shapes."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numba import cuda

from gradhorizon.kernels.cuda_library import BINDINGS, for_cuda
from gradhorizon.kernels.precision import real
from gradhorizon.kernels.specialise import specialise
from gradhorizon.kernels.targets.cuda_room import ROOM_BYTES
from gradhorizon.kernels.targets.cuda_tiles import multiply

format = np.dtype("float64")

SHAPES = [
    (1, 1, 1),  # rows, sum, columns
    (3, 3, 3),
    (1, 40, 37),  # a row
    (1, 7, 300),
    (37, 40, 1),  # a column
    (70, 1, 5),  # one term each
    (16, 200, 16),  # many terms
    (17, 16, 33),  # a little more than a tile
    (150, 9, 6),
    (20, 33, 64),
]


def add_product(rows: Any, matrix: Any, out: Any) -> None:
    """Of arrays whose rows are not neighbours, over shared memory that nothing must be taken of."""
    room = cuda.shared.array(0, format)
    for i in range(cuda.threadIdx.x, room.size, cuda.blockDim.x):
        room[i] = real(np.nan)
    multiply(rows[:, 1:], matrix[:, 1:], out[:, 1:])


@cache
def compiled(precision: str) -> Any:
    return specialise(add_product, f"cuda_{precision}", compiler=for_cuda, **BINDINGS[precision])


def draw(shape: tuple[int, int], precision: str, turned: bool = False) -> Any:
    """Normal numbers, and one column that is not used; row by row in memory, or turned."""
    rows, columns = shape
    numbers = np.random.default_rng(rows).standard_normal((rows, columns + 1)).astype(precision)
    return np.asfortranarray(numbers) if turned else numbers


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("lanes", [4, 64])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    "given, precision", [("float32", "float32"), ("float64", "float64"), ("float32", "float64")]
)
def test_products_are_those_of_numpy(given: str, precision: str, turned: bool, lanes: int) -> None:
    """To the rounding errors of so long a sum, in any order (Higham 2002, section 3.1)."""
    for rows, inner, columns in SHAPES:
        left, right = draw((rows, inner), given, turned), draw((inner, columns), precision)
        out = draw((rows, columns), precision)
        terms = [abs(x[:, 1:].astype("float64")) for x in (left, right, out)]
        wanted = out[:, 1:] + left[:, 1:].astype("float64") @ right[:, 1:].astype("float64")
        before = out[:, 0].copy()
        compiled(precision)[1, lanes, 0, ROOM_BYTES](left, right, out)
        bound = (inner + 1) * np.finfo(precision).eps * (terms[0] @ terms[1] + terms[2])
        assert (abs(out[:, 1:] - wanted) <= bound).all(), (rows, inner, columns)
        np.testing.assert_array_equal(out[:, 0], before)


def test_what_is_not_finite_stays_in_its_row() -> None:
    """A sequence that overflowed leaves the others alone."""
    left, right = draw((6, 5), "float64"), draw((5, 7), "float64")
    left[2, 3] = np.nan
    out = np.zeros((6, 8))
    compiled("float64")[1, 4, 0, ROOM_BYTES](left, right, out)
    assert np.isnan(out[2, 1:]).all()
    assert np.isfinite(np.delete(out, 2, axis=0)).all()
