"""A block of networks that costs its worker nothing, so that what is left is the driver's cost."""

from __future__ import annotations

from gradhorizon.studies.summary import Summary
from gradhorizon.studies.task import Task

_MEASURED: list[Summary] = []


class Ready(Task):
    """The first one in a process is measured; later ones return the same statistics at once."""

    def __call__(self) -> Summary:
        if not _MEASURED:
            _MEASURED.append(super().__call__())
        return _MEASURED[0]
