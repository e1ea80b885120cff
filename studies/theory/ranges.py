"""Ranges of the numbers that functions of theory take."""

from __future__ import annotations

from math import inf


def check_positive(**numbers: float) -> None:
    """Raise ValueError for a number that is not finite and > 0."""
    for name, value in numbers.items():
        if not 0.0 < value < inf:
            raise ValueError(f"{name}={value} must be finite and > 0")


def check_not_negative(**numbers: float) -> None:
    """Raise ValueError for a number that is not finite and >= 0."""
    for name, value in numbers.items():
        if not 0.0 <= value < inf:
            raise ValueError(f"{name}={value} must be finite and >= 0")
