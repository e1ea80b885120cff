"""What can be done with a results folder by itself: collect it, and tell how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from .claim import stored_sweep
from .errors import RunIncomplete
from .measuring import Progress
from .results import ResultsFolder
from .run import named, write_results
from .sweep import Cell


def collect_folder(folder: Path) -> xr.Dataset:
    """Write the results of a folder from what is stored in it, as the shards of a run left it.

    Raises
    ------
    InputError
        If it is not the folder of a run, or in use.
    RunIncomplete
        If cells are missing; the results so far are written.
    """
    sweep = stored_sweep(folder)
    with ResultsFolder.opened(folder, sweep, called="folder") as store:
        missing = [
            cell for cell in sweep.distinct if networks_of(store, cell) < store.networks(cell)
        ]
        data = write_results(sweep, store, Progress())
    if missing:
        found = f"{len(missing)} of {len(sweep.distinct)} cells are not complete"
        raise RunIncomplete([f"{found}; gradhorizon status {folder} names them"])
    return data


def status(folder: Path) -> Iterator[str]:
    """Lines about a folder: how many cells are complete, which are not, and what failed."""
    sweep = stored_sweep(folder)
    store = ResultsFolder(folder, sweep, "")
    done = {cell: networks_of(store, cell) for cell in sweep.distinct}
    wanted = {cell: store.networks(cell) for cell in done}
    complete = sum(done[cell] == wanted[cell] for cell in done)
    found, total = sum(done.values()), sum(wanted.values())
    yield f"{sweep.study.name}: {complete} of {len(done)} cells, {found} of {total} networks"
    for cell, networks in done.items():
        if networks < wanted[cell]:
            word = "begun" if networks else "missing"
            yield f"{word}: {named(cell)}: {networks} of {wanted[cell]} networks"
    reasons = store.failures()
    for cell in done:
        if cell.key in reasons and done[cell] < wanted[cell]:
            yield f"failed: {named(cell)}: {reasons[cell.key]}"


def networks_of(store: ResultsFolder, cell: Cell) -> int:
    """How many of the wanted networks of a cell are stored."""
    stored = ((segment.count, store.load(segment).networks) for segment in store.segments(cell))
    return sum(min(count, networks) for count, networks in stored)
