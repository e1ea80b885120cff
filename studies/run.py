"""Run a sweep into a folder: resume, measure, collect, draw."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import xarray as xr
from tqdm import tqdm

from ..engine import available_cores, kernel_digest, single_threaded_blas, versions
from .results import ResultsFolder, collect
from .summary import Summary
from .sweep import Cell, Sweep, check, run_cells


def run_sweep(sweep: Sweep, folder: Path, workers: int | None = None) -> xr.Dataset:
    """Measure what is missing in a folder and write its results.

    Parameters
    ----------
    sweep : Sweep
    folder : Path
        New, or of an earlier run of the same sweep, whose stored cells are used.
    workers : int, optional
        Threads; default one per available core.

    Returns
    -------
    xarray.Dataset
        What was written to ``results.nc``.

    Raises
    ------
    InputError
        Before anything is run, for a specification or a folder that cannot be used.
    """
    workers = check(sweep, workers or available_cores())
    store = ResultsFolder(folder, sweep)
    found = {cell.key: store.load(cell) for cell in sweep.distinct}
    missing = [cell for cell in sweep.distinct if found[cell.key] is None]
    started = time.perf_counter()

    def finished(cell: Cell, summary: Summary) -> None:
        store.save(cell, summary)
        found[cell.key] = summary

    total = len(sweep.distinct) * sweep.networks
    bar: Any = tqdm(
        total=total,
        initial=total - len(missing) * sweep.networks,
        desc=sweep.study.name,
        unit=" networks",
        unit_scale=True,
        disable=None,  # silent unless on a terminal
    )
    compiled = "jacobian" in sweep.study.products
    with single_threaded_blas(compiled), ThreadPoolExecutor(workers) as executor, bar:
        run_cells(missing, executor, 2 * workers, finished, bar.update)
    seconds = time.perf_counter() - started
    data = collect(sweep, [s for s in (found[cell.key] for cell in sweep.cells) if s is not None])
    store.write(data, provenance(sweep, len(missing), seconds))
    return data


def provenance(sweep: Sweep, measured: int, seconds: float) -> dict[str, Any]:
    """What was run, with what, and how fast."""
    networks = measured * sweep.networks
    return {
        **sweep.configuration(),
        "versions": versions(),
        "python": sys.version.split()[0],
        "kernel_digest": kernel_digest(),
        "cells": len(sweep.distinct),
        "cells_measured": measured,
        "cells_reused": len(sweep.distinct) - measured,
        "wall_time_seconds": round(seconds, 3),
        "networks_per_second": round(networks / seconds, 1) if networks else None,
    }


def report(data: xr.Dataset, folder: Path) -> Iterable[str]:
    """The short table at the end of a run: the headline variable by the first axis."""
    headline = data.attrs["headline"]
    name = headline if headline in data else f"{headline}_mean"
    first = str(data["status_count"].dims[0])
    values = data[first].values if first != "status" else [None]
    title = f"   {headline}: lowest, median, highest cell" if name in data else ""
    wide = max(14, *(2 + len(str(value)) for value in values))
    yield f"{first if first != 'status' else '':<{wide}}{'networks':>10}{title}"
    for value in values:
        part = data if value is None else data.sel({first: value})
        count = part["status_count"]
        count = count.sum([d for d in count.dims if d != "status"])
        line = f"{'' if value is None else value!s:<{wide}}{int(count.sum()):>10}"
        if name in part:
            mean = part[name]
            ends = (float(mean.min()), float(mean.median()), float(mean.max()))
            line += "   " + "  ".join(f"{x:>9.4f}" for x in ends) + f"  {mean.attrs['units']}"
        bad = [
            f"{int(n)} {s}" for s, n in zip(count.status.values, count, strict=True) if s != "ok"
        ]
        bad = [text for text in bad if not text.startswith("0 ")]
        yield line + (f"   (left out: {', '.join(bad)})" if bad else "")
    yield f"results: {folder}"
