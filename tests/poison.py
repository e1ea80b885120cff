"""A cell that takes down whatever process measures it; importable in processes that are started."""

from __future__ import annotations

import os


def deadly(measured):
    """Ends the process where gradients vanish at once."""
    if measured["rate"].mean() < -2:
        os._exit(1)
    return {}
