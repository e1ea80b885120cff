"""Unit loops around the scalar kernel functions, compiled as the sweeps compile them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gradhorizon.kernels.precision import FORMATS
from gradhorizon.kernels.specialise import specialise

Array = np.ndarray


def one_loop(x: Any, out: Any) -> None:
    for i in range(x.size):
        out[i] = scalar(x[i])


def pair_loop(x: Any, first: Any, second: Any) -> None:
    for i in range(x.size):
        first[i], second[i] = scalar(x[i])


def scalar(x: Any) -> Any:
    """What the loops call; bound by `specialise`."""


def compiled_loop(function: Callable[..., Any], precision: str, outputs: int = 1) -> Any:
    """The loop over `function`, not cached on disk, so that its code can be inspected."""
    loop = one_loop if outputs == 1 else pair_loop
    name = f"{function.__module__.rpartition('.')[2]}_{function.__name__}_{precision}"
    return specialise(loop, name, entry=False, scalar=function, **FORMATS[precision])


def evaluate(function: Callable[..., Any], x: Any, precision: str, outputs: int = 1) -> Any:
    """Values of a scalar kernel function at `x`, compiled."""
    x = np.atleast_1d(np.asarray(x, precision))
    results = [np.empty_like(x) for _ in range(outputs)]
    runner(function, precision, outputs)(x, *results)
    return results[0] if outputs == 1 else results


def evaluate_plain(function: Callable[..., Any], x: Any, outputs: int = 1) -> Any:
    """The same in float64, the source run as plain Python."""
    values = [function(np.float64(e)) for e in np.atleast_1d(x)]
    return np.array(values) if outputs == 1 else list(np.array(values).T)


_runners: dict[tuple[Any, ...], Any] = {}


def runner(function: Callable[..., Any], precision: str, outputs: int) -> Any:
    """A loop that Python may call; the inner loops of `specialise` have no wrapper for that."""
    key = (function, precision, outputs)
    if key not in _runners:
        loop = one_loop if outputs == 1 else pair_loop
        name = f"{function.__module__.rpartition('.')[2]}_{function.__name__}_{precision}"
        _runners[key] = specialise(loop, name, scalar=function, **FORMATS[precision])
    return _runners[key]
