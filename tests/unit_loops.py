"""Unit loops around the scalar kernel functions, compiled as the sweeps compile them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradhorizon.kernels.precision import FORMATS
from gradhorizon.kernels.specialise import Caller, specialise

Array = np.ndarray


def scalar(x: Any) -> Any:
    """What the loops call; bound by `specialise`."""


def one_loop(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = scalar(x[i])


def pair_loop(x: Any, first: Any, second: Any) -> None:
    for i in range(x.size):
        first[i], second[i] = scalar(x[i])


LOOPS = {1: one_loop, 2: pair_loop}


def compiled_loop(
    function: Callable[..., Any], precision: str, outputs: int, called_from: Caller = "python"
) -> Any:
    """The loop over a function with one or two results."""
    name = f"{function.__module__.rpartition('.')[2]}_{function.__name__}_{precision}"
    return specialise(LOOPS[outputs], name, called_from, scalar=function, **FORMATS[precision])


def evaluate(function: Callable[..., Any], x: Any, precision: str, outputs: int = 1) -> list[Array]:
    """Values of a scalar kernel function at `x`, compiled."""
    x = np.atleast_1d(np.asarray(x, precision))
    results = [np.empty_like(x) for _ in range(outputs)]
    compiled_loop(function, precision, outputs)(x, *results)
    return results


def evaluate_plain(function: Callable[..., Any], x: Any, outputs: int = 1) -> list[Array]:
    """The same in float64, the source run as plain Python."""
    values = np.array([function(np.float64(e)) for e in np.atleast_1d(x)])
    return list(values.reshape(len(values), outputs).T)
