"""Whether what a file says of some networks can be so.

A checksum tells a torn file, not one that somebody wrote. What has another form than the program's
own statistics is refused here, and numbers of networks that do not agree with each other.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np

from ..engine import STATUS, Array
from .segment import BLOCKS, Fold, Segment
from .sketch import ACCURACY, Sketch
from .statistics import LogMean, Moments
from .store import MAXIMUM_HEADER
from .summary import Summary, kinds

Part = Moments | Sketch | LogMean
Shape = tuple[int, ...]

INTEGERS = {"count", "buckets", "counts", "status_count", "gone_count"}
SCALARS = {"count", "minimum", "maximum", "accuracy"}
BY_BUCKET = {"buckets", "counts"}


def largest_file(segment: Segment) -> int:
    """Bytes that the file of a segment has at most."""
    # a variable has up to six arrays of its own shape, a sketch up to two numbers per network
    shapes = segment.measurement.shapes.values()
    numbers = sum(6 * math.prod(shape) + 2 * segment.size + 8 for shape in shapes)
    return MAXIMUM_HEADER + 2 * 8 * numbers


def check_fold(found: Fold, segment: Segment) -> None:
    """Refuse what cannot be the statistics of a segment's first networks.

    Raises
    ------
    ValueError
        Saying what is wrong.
    """
    block, shapes = segment.measurement.block, segment.measurement.shapes
    if type(found.blocks) is not int or not 0 <= found.blocks <= BLOCKS:
        raise ValueError("an impossible number of blocks")
    if (found.whole is None) != (found.blocks == 0):
        raise ValueError("blocks without statistics, or statistics without blocks")
    if found.whole is not None:
        _check_summary(found.whole, shapes, [found.blocks * block])
    if found.tail is not None:
        _check_summary(found.tail, shapes, range(1, block if found.blocks < BLOCKS else 0))


def _check_summary(found: Summary, shapes: Mapping[str, Shape], networks: Collection[int]) -> None:
    """Refuse statistics of other variables, or of another number of networks than one of these."""
    status, gone, most = found.status_count, found.gone_count, max(networks, default=0)
    _check_form("status_count", status, (len(STATUS),))
    _check_form("gone_count", gone, (2,))
    counted = np.concatenate([status, gone])
    if counted.min() < 0 or counted.max() > most or int(status.sum()) not in networks:
        raise ValueError("an impossible number of networks")
    table = {name: kinds(name, len(shape) + 1) for name, shape in shapes.items()}
    if found.parts.keys() != {(name, kind) for name, of in table.items() for kind in of}:
        raise ValueError("statistics of other variables")
    for name, shape in shapes.items():
        parts = [found.parts[name, kind] for kind in table[name]]
        for part in parts:
            _check_part(name, part, shape, int(status[STATUS["ok"]]))
        if len({int(part.count) for part in parts}) > 1:
            raise ValueError(f"{name}: numbers of networks that do not agree")


def _check_part(name: str, part: Part, shape: Shape, good: int) -> None:
    """Refuse a statistic of more networks than are good; a study may leave some out."""
    buckets = (part.buckets.size,) if isinstance(part, Sketch) else ()
    for key, array in part.arrays().items():
        own = () if key in SCALARS else buckets if key in BY_BUCKET else shape
        _check_form(f"{name}/{key}", array, own)
    if not (0 <= part.count <= good and _possible(part, good)):
        raise ValueError(f"{name}: not the statistics of {good} networks")


def _check_form(name: str, array: Array, shape: Shape) -> None:
    dtype = np.dtype(np.int64 if name.rpartition("/")[2] in INTEGERS else np.float64)
    if array.dtype != dtype or array.shape != shape:
        found = f"{array.dtype} of shape {array.shape}"
        raise ValueError(f"{name}: {found} instead of {dtype} of shape {shape}")


def _possible(part: Part, good: int) -> bool:
    """Whether numbers agree with each other."""
    if isinstance(part, LogMean):
        return bool((part.total >= 0).all()) and not np.isnan(part.peak).any()
    if isinstance(part, Moments):
        # of no network there is no mean; infinite values have no spread
        finite = np.isfinite(part.mean)
        spread = part.squares >= 0
        return bool((spread == finite).all() if part.count else not (finite | ~spread).any())
    buckets, counts = part.buckets, part.counts
    if not counts.size:
        return bool(np.isnan(part.minimum) and np.isnan(part.maximum))
    ascending = (buckets[1:] > buckets[:-1]).all() and part.minimum <= part.maximum
    return bool(
        ascending and part.accuracy == ACCURACY and 1 <= counts.min() <= counts.max() <= good
    )
