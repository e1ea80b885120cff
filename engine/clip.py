"""Gradient clipping: what a threshold does to the BPTT gradient of a network.

By global norm (Pascanu, Mikolov and Bengio 2013): g -> g min(1, c / |g|), g all of dL/dW, dL/dU and
dL/db. By value (Mikolov 2012): every entry is limited to [-c, c]. Gradients arrive as numbers times
powers of two, so that norms beyond any number format are clipped as others are.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..kernels.contract import Array, WeightGradient
from .errors import InputError
from .spec import as_float
from .variable import Arrays, Variable

ClipArgument = Mapping[str, Any] | None

KINDS = ("norm", "value")
ALLOWED = 'a table of "norm" or "value" and thresholds, finite numbers > 0'


class Clip(NamedTuple):
    """A kind of clipping and its threshold c."""

    kind: str
    threshold: float

    @property
    def label(self) -> str:
        """Its name on the axis ``clip``; different thresholds have different ones."""
        short = f"{self.threshold:.15g}"
        return f"{self.kind} {short if float(short) == self.threshold else repr(self.threshold)}"


def checked_clips(clip: Any) -> tuple[Clip, ...]:
    """The clippings that an argument like ``{"norm": 1.0, "value": [0.1, 0.01]}`` names.

    Raises
    ------
    InputError
        Naming the kind or the threshold that is not allowed.
    """
    if clip is None:
        return ()
    if not isinstance(clip, Mapping):
        raise InputError("clip", clip, ALLOWED)
    found: list[Clip] = []
    for kind, thresholds in clip.items():
        if kind not in KINDS:
            raise InputError("clip", kind, ALLOWED)
        if isinstance(thresholds, np.ndarray):
            thresholds = list(thresholds) if thresholds.ndim else thresholds[()]
        several = isinstance(thresholds, Sequence) and not isinstance(thresholds, str | bytes)
        if several and len(thresholds) == 0:
            raise InputError(f"clip.{kind}", thresholds, "at least one finite number > 0")
        for threshold in thresholds if several else [thresholds]:
            number = as_float(threshold)
            if not 0 < number <= sys.float_info.max:
                raise InputError(f"clip.{kind}", threshold, "a finite number > 0")
            found.append(Clip(kind, number))
    if len({c.label for c in found}) < len(found):
        raise InputError("clip", clip, "each threshold once")
    return tuple(found)


def clip_coordinates(clip: ClipArgument) -> dict[str, Any]:
    """Coordinates of the axis ``clip``; nothing where nothing is clipped."""
    clips = checked_clips(clip)
    if not clips:
        return {}
    return {
        "clip": [c.label for c in clips],
        "clip_kind": ("clip", [c.kind for c in clips]),
        "clip_threshold": ("clip", [c.threshold for c in clips]),
    }


VARIABLES = {
    "log_grad_norm": Variable(("network",), "nats", "ln of the norm of the gradient of W, U and b"),
    "log_clipped_norm": Variable(("network", "clip"), "nats", "ln of its norm after clipping"),
    "clipped_share": Variable(("network", "clip"), "1", "share of entries that clipping changed"),
    "clip_angle": Variable(("network", "clip"), "radians", "angle by which clipping turned it"),
}


def clipping(gradient: WeightGradient, tied: bool, clips: Sequence[Clip]) -> Arrays:
    """The variables of `VARIABLES` for the networks of a chunk."""
    parts = [_magnitudes(gradient, k, tied) for k in range(3)]
    largest = np.concatenate([exponent for _, exponent in parts], axis=1).max(axis=1)
    relative = _joined(np.ldexp(m, (e - largest[:, None])[..., None]) for m, e in parts)
    with np.errstate(divide="ignore"):
        before = np.log(np.linalg.norm(relative, axis=1)) + math.log(2) * largest
    after, share, angle = (np.empty((len(before), len(clips))) for _ in range(3))
    for j, (kind, threshold) in enumerate(clips):
        if kind == "norm":
            share[:, j] = before > math.log(threshold)
            after[:, j] = np.minimum(before, math.log(threshold))
            angle[:, j] = 0  # the gradient is multiplied by a number
            continue
        clipped = _joined(_limited(m, e, threshold) for m, e in parts)
        share[:, j] = _joined(_exceeds(m, e, threshold) for m, e in parts).mean(axis=1)
        changed = share[:, j] > 0
        with np.errstate(divide="ignore"):
            norm = np.log(np.linalg.norm(clipped, axis=1)) + math.log(threshold)
        after[:, j] = np.where(changed, norm, before)
        angle[:, j] = np.where(changed, _angle(relative, clipped), 0)
    return {
        "log_grad_norm": before,
        "log_clipped_norm": after,
        "clipped_share": share,
        "clip_angle": angle,
    }


def _magnitudes(gradient: WeightGradient, k: int, tied: bool) -> tuple[Array, Array]:
    """(m, e): the entries of dL/dW, dL/dU or dL/db are of size m 2^e; (N, K', entries), (N, K')."""
    entries = np.abs(gradient[k].astype(np.float64))
    exponent = gradient.sum_exponent[:, k, None] if tied else gradient.exponent[:, k, ::-1]
    return entries.reshape(*entries.shape[:2], -1), exponent.astype(np.int64)


def _joined(parts: Iterable[Array]) -> Array:
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _limit(exponent: Array, threshold: float) -> Array:
    """The threshold at the scale of the entries; 0 or inf beyond float64, which acts the same."""
    with np.errstate(over="ignore"):
        return np.ldexp(threshold, -exponent)[..., None]


def _exceeds(m: Array, exponent: Array, threshold: float) -> Array:
    return m > _limit(exponent, threshold)


def _limited(m: Array, exponent: Array, threshold: float) -> Array:
    """Sizes of the clipped entries, in units of the threshold."""
    limit = _limit(exponent, threshold)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(m > limit, 1, np.where(m > 0, m / limit, 0))


def _angle(x: Array, y: Array) -> Array:
    """Angle between rows, accurate for small ones too (Kahan 2006)."""
    # a gradient that is zero, or far below the threshold: nothing is turned
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y))
    angle: Array = 2 * np.arctan2(*(np.linalg.norm(v, axis=1) for v in (x - y, x + y)))
    return angle
