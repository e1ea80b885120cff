"""The one form of an error about what a user gave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


class InputError(ValueError):
    """A value from the user is not usable; the message is one line.

    Parameters
    ----------
    field : str
        What it was given for.
    value : object
        What was given.
    allowed : str
        What would have been right.
    """

    def __init__(self, field: str, value: Any, allowed: str) -> None:
        shown = value if isinstance(value, Shown) else _written(value)
        text = one_line(shown, 240 if isinstance(value, Shown) else 80)
        super().__init__(f"{field}: {text} is not allowed; allowed: {allowed}")


def _written(value: Any) -> str:
    """A value as Python writes it, or its type: an object of any kind may fail to be written."""
    try:
        return repr(value)
    except Exception:  # not even an integer of more than 4300 digits is
        return f"an object of type {type(value).__name__}"


class Shown(str):
    """Text to be shown in an `InputError` as it is, without quotation marks."""


def one_line(text: object, longest: int = 240) -> str:
    """A text without line breaks and what else steers a terminal, cut where it is too long."""
    line = " ".join(str(text).split())
    line = line if len(line) <= longest else line[: longest - 3] + "..."
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def listed(names: Iterable[str]) -> str:
    """Names in one line."""
    return ", ".join(names)
