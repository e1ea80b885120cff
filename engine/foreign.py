"""Arrays of numbers that a user gives, of any library: taken with their meaning, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.contract import Array
from .errors import InputError, Shown

EXACT = 2**53
"""The integers up to this one are floats."""

NESTED = 3
"""Lists within lists that are looked into: an array of more axes has no meaning here."""


def real_array(field: str, given: Any, allowed: str) -> Array:
    """An array of real numbers, of a type whose values float64 has; a masked value is NaN.

    Parameters
    ----------
    field : str
        What it is given for.
    given : object
        An array of any library, or lists of numbers or of arrays.
    allowed : str
        What it may be, for the text of an error.

    Raises
    ------
    InputError
        For anything that is no array, has labels, or has values that are no real numbers.
    """
    try:
        array = _array(field, given, NESTED)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # of the library that made it: any
        raise InputError(field, Shown(f"{_kind(given)} ({error})"), allowed) from None
    if array.ndim == 0 and array.dtype.kind == "O":
        raise InputError(field, given, allowed)
    return real_numbers(field, array)


def real_numbers(field: str, array: Array) -> Array:
    """The same of an array of numpy, masked or not."""
    if array.dtype.kind not in "fiu":
        raise InputError(f"{field}.dtype", Shown(array.dtype), "real numbers")
    mask = np.ma.getmask(array)
    values: Array = np.ma.filled(array, 0)
    if values.dtype.kind in "iu" and values.dtype.itemsize >= 8 and values.size > 0:
        for end in (int(values.min()), int(values.max())):
            if abs(end) > EXACT:
                raise InputError(field, end, "integers from -2^53 to 2^53, or floats")
    if values.dtype.itemsize > 8:
        with np.errstate(over="ignore"):  # a value that float64 cannot hold is infinite
            values = values.astype(np.float64)
    return np.where(mask, np.nan, values) if np.any(mask) else values


def _array(field: str, given: Any, nested: int) -> Array:
    """An array of numpy; that of lists of arrays is put together from them one by one."""
    if hasattr(given, "to_numpy"):
        raise InputError(
            field,
            Shown(f"{_kind(given)} with labels"),
            "an array without them, as .to_numpy() gives it, for they are not read",
        )
    if isinstance(given, list | tuple) and nested and any(map(_is_array, given)):
        parts = [_array(field, part, nested - 1) for part in given]
        masked = any(np.ma.is_masked(part) for part in parts)
        return np.ma.stack(parts) if masked else np.stack(parts)
    return np.asanyarray(given) if np.ma.isMaskedArray(given) else np.asarray(given)


def _is_array(item: Any) -> bool:
    """Whether an entry of a list is a list or an array, and no number."""
    if isinstance(item, float | int | np.generic):
        return False
    return isinstance(item, list | tuple) or hasattr(item, "__array__")


def _kind(given: Any) -> str:
    """The type of an object, with the library that it is of."""
    kind = type(given)
    library = kind.__module__.partition(".")[0]
    return kind.__name__ if library == "builtins" else f"{library}.{kind.__name__}"
