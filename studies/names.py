"""Names that a sweep knows: the fields of `NetworkSpec`, and single gate biases.

The bias of one gate is a name of its own, ``gate_bias.forget``: on an axis of a grid, in a sweep's
file or after ``--set``. Inside a sweep, tables of gate biases are taken apart into such names, and
put together again where a specification is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from ..engine import NetworkSpec

FIELDS = tuple(f.name for f in fields(NetworkSpec))
TABLE = "gate_bias"
KNOWN = (*FIELDS, f"{TABLE}.GATE")
"""What may be named, for the text of an error."""


def is_field(name: str) -> bool:
    """Whether a name is a field of `NetworkSpec` or the bias of a single gate."""
    return name in FIELDS or name.startswith(f"{TABLE}.")


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields with a table of gate biases taken apart: ``{"gate_bias.forget": 1.0}``."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name == TABLE and isinstance(value, Mapping):
            found |= {f"{TABLE}.{gate}": bias for gate, bias in value.items()}
        else:
            found[name] = value
    return found


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Inverse of `flat`: fields as `NetworkSpec` takes them."""
    start = f"{TABLE}."
    found = {name: value for name, value in values.items() if not name.startswith(start)}
    gates = {n.removeprefix(start): v for n, v in values.items() if n.startswith(start)}
    return {**found, TABLE: gates} if gates else found


def overlapping(name: str, others: Iterable[str]) -> list[str]:
    """Those names that say the same as `name`, wholly or in part."""
    return [
        other
        for other in others
        if other == name or other.startswith(f"{name}.") or name.startswith(f"{other}.")
    ]
