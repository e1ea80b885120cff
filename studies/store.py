r"""Immutable files for the cells of a sweep, written so that a killed run leaves no torn one.

One file holds the arrays of one cell::

    64 hexadecimal digits \n    SHA-256 of everything after this line
    JSON header \n              format, meta and, per array, dtype, shape and offset
    raw bytes                   the arrays, little-endian, C order, sorted by name, no gaps

Equal content gives equal bytes. A reader believes nothing that the file claims about itself until
it agrees with the file's real size; nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .files import check_readable, write_atomic

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"

MAXIMUM_HEADER = 1 << 20  # bytes; far above any real header, far below any memory

_FORMAT = "gradhorizon-cell-1"
_DIGEST_LINE = hashlib.sha256().digest_size * 2 + 1
_INTEGERS = {"|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8"}
_MAXIMUM_NDIM = 32  # the least that any numpy allows
_DTYPES = {"|b1", *_INTEGERS, "<f2", "<f4", "<f8"}


class DamagedCell(ValueError):  # noqa: N818 - it names what was found
    """A cell file that is truncated, altered or not a cell file at all."""


def save_cell(
    path: str | os.PathLike[str], arrays: Mapping[str, ArrayLike], meta: Mapping[str, JSON]
) -> None:
    """Write the arrays and the metadata of one cell, atomically.

    It is not forced to disk, which takes milliseconds: `load_cell` tells a file that a power cut
    has torn by its checksum, and a run computes that cell again.

    Parameters
    ----------
    path : path-like
        The file; its folder must exist.
    arrays : mapping of str to array
        Booleans, integers and floats of at most 64 bits, of any shape and layout.
    meta : mapping of str to JSON
        Finite numbers, strings, booleans, None, and lists and string-keyed mappings of them.
        Tuples come back as lists.

    Raises
    ------
    ValueError, TypeError
        If a dtype or the metadata cannot be stored; nothing is written.
    OSError
        If the file cannot be written.
    """
    entries: dict[str, JSON] = {}
    blocks: list[bytes] = []
    offset = 0
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        dtype = array.dtype.newbyteorder("<")
        if dtype.str not in _DTYPES or array.ndim > _MAXIMUM_NDIM:
            raise ValueError(f"array {name!r}: cannot store {array.ndim} axes of {array.dtype}")
        blocks.append(array.astype(dtype, copy=False).tobytes())
        entries[name] = {"dtype": dtype.str, "shape": list(array.shape), "offset": offset}
        offset += len(blocks[-1])
    header = _dumped({"format": _FORMAT, "meta": _plain(meta), "arrays": entries}) + b"\n"
    if len(header) > MAXIMUM_HEADER:
        raise ValueError(f"header of {len(header)} bytes; at most {MAXIMUM_HEADER} are allowed")
    body = b"".join([header, *blocks])
    write_atomic(path, _digest_line(body) + body, durable=False)


def load_cell(
    path: str | os.PathLike[str], largest: int = sys.maxsize
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read a cell file.

    Parameters
    ----------
    path : path-like
        A file written by `save_cell`.
    largest : int
        Bytes that it can have; of a larger one nothing is read.

    Returns
    -------
    arrays : dict of str to array
        Writable, in native byte order.
    meta : dict
        The metadata.

    Raises
    ------
    DamagedCell
        If the file is not, whole and unaltered, what `save_cell` wrote.
    OSError
        If it cannot be read at all.
    """
    try:
        body = _verified_body(Path(path), largest)
        header, start = _parse_header(body)
        data = memoryview(body)[start:]
        return _unpack(header["arrays"], data), header["meta"]
    except ValueError as damage:
        raise DamagedCell(f"{os.fspath(path)}: {damage}") from None


def cell_key(configuration: Mapping[str, JSON]) -> str:
    """Name a configuration: 20 hexadecimal digits of the SHA-256 of its canonical JSON.

    The order of keys does not matter; 1 and 1.0 differ, tuples and lists do not.

    Raises
    ------
    ValueError, TypeError
        If the configuration holds NaN, an infinity, a key that is not a string, or anything
        else that JSON cannot express.
    """
    return hashlib.sha256(_canonical_json(configuration)).hexdigest()[:20]


def _canonical_json(value: JSON) -> bytes:
    return _dumped(_plain(value))


def _dumped(plain: JSON) -> bytes:
    text = json.dumps(plain, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return text.encode("ascii")


def _plain(value: JSON) -> JSON:
    """Turn any mapping into a dict with string keys, any sequence into a list."""
    if isinstance(value, Mapping):
        for key in value:
            # json.dumps would write the key 1 as "1", and two configurations would share a name.
            if not isinstance(key, str):
                raise TypeError(f"keys must be strings, got {key!r}")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _digest_line(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode("ascii") + b"\n"


def _verified_body(path: Path, largest: int) -> bytes:
    check_readable(path, largest)
    with open(path, "rb") as file:
        line = file.read(_DIGEST_LINE)
        # Told from the first bytes, so that a large foreign file is not read in.
        if len(line) < _DIGEST_LINE:
            raise DamagedCell("truncated or not a cell file: no complete checksum line")
        if set(line[:-1]) - set(b"0123456789abcdef"):
            raise DamagedCell("not a cell file: it does not begin with a checksum line")
        body = file.read()
    if _digest_line(body) != line:
        raise DamagedCell("truncated or altered: the checksum does not match")
    return body


def _parse_header(body: bytes) -> tuple[dict[str, Any], int]:
    # A matching checksum proves no good intent: from here on, every claim is checked.
    end = body.find(b"\n", 0, MAXIMUM_HEADER)
    if end < 0:
        raise DamagedCell(f"no header line within {MAXIMUM_HEADER} bytes")
    try:
        header = json.loads(body[:end])
        # One text per content: this also refuses NaN, overflowing numbers and repeated keys.
        canonical = _dumped(header) == body[:end]
    except (ValueError, RecursionError):
        raise DamagedCell("the header is not valid JSON") from None
    if not canonical:
        raise DamagedCell("the header is not canonical JSON")
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise DamagedCell(f"the format is not {_FORMAT}")
    if set(header) != {"format", "meta", "arrays"}:
        raise DamagedCell("the header has missing or unknown entries")
    if not isinstance(header["meta"], dict) or not isinstance(header["arrays"], dict):
        raise DamagedCell("meta and arrays must be JSON objects")
    return header, end + 1


def _unpack(entries: dict[str, Any], data: memoryview) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    position = 0
    for name in sorted(entries):
        dtype, shape = _checked_entry(name, entries[name], position)
        size = math.prod(shape) * dtype.itemsize
        if size > len(data) - position:
            raise DamagedCell(f"array {_short(name)} claims more bytes than the file has")
        block = data[position : position + size]
        arrays[name] = _array_from(block, dtype, shape)
        position += size
    if position != len(data):
        raise DamagedCell(f"{len(data) - position} bytes belong to no array")
    return arrays


def _checked_entry(name: str, entry: Any, offset: int) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "offset"}:
        raise DamagedCell(f"array {_short(name)} must have a dtype, a shape and an offset")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in _DTYPES:
        raise DamagedCell(f"array {_short(name)} has a dtype that is not allowed")
    dtype, shape = np.dtype(entry["dtype"]), entry["shape"]
    if not isinstance(shape, list) or any(type(n) is not int or n < 0 for n in shape):
        raise DamagedCell(
            f"array {_short(name)} has a shape that is not a list of non-negative integers"
        )
    # An empty array may not have absurd axes either: numpy itself limits what they span.
    if (
        len(shape) > _MAXIMUM_NDIM
        or math.prod(n for n in shape if n) * dtype.itemsize > sys.maxsize
    ):
        raise DamagedCell(f"array {_short(name)} has a shape that no array can have")
    if type(entry["offset"]) is not int or entry["offset"] != offset:
        raise DamagedCell(f"array {_short(name)} does not follow the array before it")
    return dtype, tuple(shape)


def _array_from(block: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if dtype.kind == "b":
        # A byte other than 0 and 1 is no valid numpy boolean: later results would be undefined.
        return np.frombuffer(block, np.uint8).astype(np.bool_).reshape(shape)
    array: NDArray[Any] = np.frombuffer(block, dtype).reshape(shape)
    return np.array(array, dtype=dtype.newbyteorder("="))  # a copy, and so writable


def _short(name: str) -> str:
    return repr(name[:40])
