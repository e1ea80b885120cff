"""What a measured variable is."""

from __future__ import annotations

from typing import NamedTuple

from ..kernels.contract import Array

Arrays = dict[str, Array]
"""Values by the name of their variable."""


class Variable(NamedTuple):
    """Dimensions, units and meaning of a measured variable."""

    dims: tuple[str, ...]
    units: str
    long_name: str
