"""Activations in arbitrary precision, and the distance of floating point numbers from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import mpmath as mp
import numpy as np

ONE = mp.mpf(1)


def _sigmoid(z: Any) -> Any:
    return ONE / (1 + mp.exp(-z))


def _normal(z: Any) -> tuple[Any, Any]:
    return mp.ncdf(z), mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)


ACTIVATIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "linear": (lambda z: z, lambda z: ONE),
    "tanh": (mp.tanh, lambda z: mp.sech(z) ** 2),
    "sigmoid": (_sigmoid, lambda z: _sigmoid(z) * _sigmoid(-z)),
    "relu": (lambda z: max(z, 0 * z), lambda z: ONE * (z > 0)),
    "leaky_relu": (lambda z: z if z > 0 else z / 100, lambda z: ONE if z > 0 else ONE / 100),
    "softplus": (lambda z: mp.log1p(mp.exp(-abs(z))) + max(z, 0), _sigmoid),
    "elu": (lambda z: z if z > 0 else mp.expm1(z), lambda z: ONE if z > 0 else mp.exp(z)),
    "gelu": (lambda z: z * _normal(z)[0], lambda z: _normal(z)[0] + z * _normal(z)[1]),
    "silu": (lambda z: z * _sigmoid(z), lambda z: _sigmoid(z) * (1 + z * _sigmoid(-z))),
    "erf": (mp.erf, lambda z: 2 * mp.exp(-z * z) / mp.sqrt(mp.pi)),
    "hard_tanh": (lambda z: max(-ONE, min(ONE, z)), lambda z: ONE * (abs(z) < 1)),
    "sin": (mp.sin, mp.cos),
}
"""Name -> (phi, phi')."""


def ulps(got: Iterable[Any], want: Iterable[Any], scale: Iterable[Any] | None = None) -> np.ndarray:
    """|got - want| / |want| in units of the format's epsilon; the denominator may be given.

    Near the smallest normal number, where a result may be flushed to zero, being as small is right.
    """
    got, want = np.asarray(got), list(want)
    info = np.finfo(got.dtype)
    floor = 100 * float(info.tiny)
    errors = []
    for g, w, s in zip(got, want, want if scale is None else scale, strict=True):
        if abs(s) < floor:
            errors.append(0.0 if abs(float(g)) < 2 * floor else np.inf)
        else:
            errors.append(float(abs((mp.mpf(float(g)) - w) / s)))
    return np.array(errors) / float(info.eps)


def at(function: Callable[[Any], Any], x: Iterable[Any]) -> list[Any]:
    """Values at floating point numbers, taken exactly."""
    return [function(mp.mpf(float(e))) for e in x]
