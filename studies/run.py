"""Run a sweep into a folder: resume, measure, collect, draw."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from ..engine import InputError, Shown, kernel_digest, versions
from .collect import collect
from .display import Display
from .errors import RunIncomplete
from .executors import Workers, threads
from .measuring import Progress, interruptible, measure_segments
from .results import ResultsFolder
from .segment import Segment
from .sweep import Cell, Sweep, check

Crew = Callable[[int], AbstractContextManager[Workers]]


@dataclass(frozen=True)
class Means:
    """With what a sweep is measured.

    Attributes
    ----------
    workers : int, optional
        Tasks at a time; default one per available core.
    crew : callable
        From that number to a context with the workers: see `executors`.
    log : Path, optional
        A file for the events of the run, see `Display`.
    """

    workers: int | None = None
    crew: Crew = threads
    log: Path | None = None


def run_sweep(sweep: Sweep, folder: Path, means: Means = Means()) -> xr.Dataset:
    """Measure what is missing in a folder and write its results.

    Parameters
    ----------
    sweep : Sweep
    folder : Path
        New, or of an earlier run of the same sweep, whose stored cells are used.
    means : Means

    Returns
    -------
    xarray.Dataset
        What was written to ``results.nc``.

    Raises
    ------
    InputError
        Before anything is run, for a specification or a folder that cannot be used.
    RunIncomplete
        After an interruption, or if cells failed; the results so far are written.
    MachineFault
        If the machine cannot measure; the cells so far are stored.
    """
    count, progress = check(sweep, means.workers), Progress()
    with means.crew(count) as workers, ResultsFolder.opened(folder, sweep) as store:
        _measure(store, segments(store), progress, workers, means.log)
        while not progress.stop and store.want(further_networks(store, progress)):
            _measure(store, segments(store), progress, workers, means.log)
        data = write_results(sweep, store, progress)
    if progress.stop or progress.failures:
        raise RunIncomplete(told(sweep, progress), progress.stop)
    return data


def run_shard(sweep: Sweep, folder: Path, shard: tuple[int, int], means: Means = Means()) -> None:
    """Measure the i-th of n parts of a sweep; the parts may run at once, on several machines.

    Parameters
    ----------
    sweep : Sweep
    folder : Path
        That of all parts.
    shard : (int, int)
        i and n, from 1 to n.
    means : Means

    Raises
    ------
    InputError, RunIncomplete, MachineFault
        As `run_sweep`.
    """
    count = check(sweep, means.workers)
    part, parts = shard
    if sweep.target is not None:
        allowed = "nothing beside --target-error: how many networks it takes, all shards would say"
        raise InputError("--shard", Shown(f"{part}/{parts}"), allowed)
    progress = Progress()
    name = f"{part}-of-{parts}"
    with means.crew(count) as workers, ResultsFolder.opened(folder, sweep, name) as store:
        _measure(store, dealt(segments(store), part, parts), progress, workers, means.log)
        store.note(provenance(sweep, progress))
    if progress.stop or progress.failures:
        raise RunIncomplete(told(sweep, progress), progress.stop)


def segments(store: ResultsFolder) -> list[Segment]:
    """All that is to be measured, in order."""
    return [segment for cell in store.sweep.distinct for segment in store.segments(cell)]


def dealt(wanted: Sequence[Segment], part: int, parts: int) -> list[Segment]:
    """A part of some segments: about as much work as the others."""
    by_work = sorted(wanted, key=lambda s: s.count * s.measurement.operations, reverse=True)
    return by_work[part - 1 :: parts]


def further_networks(store: ResultsFolder, progress: Progress) -> dict[str, int]:
    """Key of each cell that has not failed -> networks that its target asks for."""
    sweep, found = store.sweep, {}
    for cell in sweep.distinct if sweep.target is not None else ():
        summary = None if cell.key in progress.failures else store.summary(cell)
        if sweep.target is not None and summary is not None:
            found[cell.key] = sweep.target.networks(
                summary, sweep.target_variable, cell.measurement.block
            )
    return found


def _measure(
    store: ResultsFolder,
    wanted: Sequence[Segment],
    progress: Progress,
    workers: Workers,
    log: Path | None,
) -> None:
    """Measure what is not complete of some segments."""
    sweep = store.sweep
    stored = ((segment, segment.usable(store.load(segment))) for segment in wanted)
    missing = {segment: found for segment, found in stored if found.networks < segment.count}
    total = sum(segment.count for segment in wanted)
    left = sum(segment.count - found.networks for segment, found in missing.items())
    with Display(sweep.study.name, total, total - left, log) as display:
        if missing:
            with interruptible(progress):
                measure_segments(missing, workers, store.save, progress, display.update)
        for line in told(sweep, progress):
            display.tell("failed", reason=line)
        store.remember(progress.failures)
        progress.seconds += display.seconds


def write_results(sweep: Sweep, store: ResultsFolder, progress: Progress) -> xr.Dataset:
    """Collect what is stored into the results; the cells that are there, if not all are."""
    found = {cell.key: store.summary(cell) for cell in sweep.distinct}
    if not any(found.values()):
        lines = [*told(sweep, progress), "nothing is measured yet"]
        raise RunIncomplete(lines, progress.stop)
    data = collect(sweep, [found[cell.key] for cell in sweep.cells])
    store.write(data)
    store.note(provenance(sweep, progress))
    return data


def provenance(sweep: Sweep, progress: Progress) -> dict[str, Any]:
    """What was run, with what, and how fast."""
    measured, seconds = progress.measured, progress.seconds
    return {
        **sweep.configuration(),
        "versions": versions(),
        "python": sys.version.split()[0],
        "kernel_digest": kernel_digest(),
        "cells": len(sweep.distinct),
        "networks_measured": measured,
        "failed": told(sweep, progress),
        "wall_time_seconds": round(seconds, 3),
        "networks_per_second": round(measured / seconds, 1) if measured else None,
    }


def told(sweep: Sweep, progress: Progress) -> list[str]:
    """Why a run is incomplete: the cells that failed, a line each."""
    failed = [cell for cell in sweep.distinct if cell.key in progress.failures]
    lines = [f"failed: {named(cell)}: {progress.failures[cell.key]}" for cell in failed]
    return [*lines, "interrupted"] if progress.stop else lines


def named(cell: Cell) -> str:
    """A cell by its point of the grid and its seed."""
    point = [f"{axis} = {value}" for axis, value in cell.point.items()]
    return ", ".join([*point, f"seed {cell.seed}"])


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
