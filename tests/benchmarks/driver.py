"""What a task costs whoever deals it out: ``PYTHONPATH=tests python -m benchmarks.driver``.

Takes a quarter of an hour of an idle machine with two cores. First tasks that do nothing, with the
processor time of each process; then a job of about a minute of one core; then what a task takes.
"""

from __future__ import annotations

import itertools
import os
import pickle
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple
from unittest.mock import patch

from children import children_of
from dask_processes import cluster

from gradhorizon.studies import executors, segment
from gradhorizon.studies.executors import Workers
from gradhorizon.studies.measuring import Progress, measure_segments
from gradhorizon.studies.options import Options, settle
from gradhorizon.studies.results import ResultsFolder
from gradhorizon.studies.schedule import attempt
from gradhorizon.studies.segment import Fold, Segment
from gradhorizon.studies.study import Study
from gradhorizon.studies.sweep import Sweep

from .ready import Ready

ROUNDS, WORKERS = 3, 2
TASKS, BUSY = 2000, 200
"""Tasks that do nothing, and those of three quarters of a minute of one core."""

DISTURBED, TRIES = 0.02, 6
"""A measurement during which others used more of the machine than this is made again."""

SIZES = (16, 32, 128, 512)
KINDS = ("threads", "processes", "dask")


class Cost(NamedTuple):
    """Of a task: seconds on the clock and of processors, bytes over the network interface."""

    clock: float
    driver: float
    scheduler: float
    workers: float
    sent: float
    others: float

    @property
    def disturbance(self) -> float:
        """Share of the machine that other programs had."""
        # clocks tick a hundred times a second: less than nothing is nothing
        return max(0.0, self.others) / (self.clock * (os.cpu_count() or 1))


def sweep(tasks: int, hidden_size: int = 32) -> Sweep:
    """So many blocks of plain networks over 100 steps."""
    base, grid = {"hidden_size": hidden_size}, {"weight_scale": (1.0,)}
    study = Study("driver", "", base=base, grid=grid, steps=100)
    block = settle(study, Options(networks=1)).distinct[0].measurement.block
    return settle(study, Options(networks=tasks * block))


def cost(kind: str, workers: int, tasks: int) -> Cost:
    """Of each of some tasks, by workers that have had a few before."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        crew, scheduler = getattr(executors, kind, None), []
        if kind == "dask":
            found = stack.enter_context(cluster(workers))
            crew, scheduler = (
                lambda count: executors.scheduler(found.address),
                [found.scheduler.pid],
            )
        crowd = stack.enter_context(crew(workers))
        measure(crowd, folder / "before", 3 * workers)
        others = [pid for pid in children_of(os.getpid()) if pid not in scheduler]
        groups = [[os.getpid()], scheduler, others]
        before = counters(groups)
        measure(crowd, folder / "run", tasks)
        passed = zip(before, counters(groups), strict=True)
        return Cost(*((late - early) / tasks for early, late in passed))


def counters(groups: list[list[int]]) -> list[float]:
    """The fields of a `Cost`, so far."""
    ours = [cpu_seconds(pids) for pids in groups]
    ticks = sum(map(int, Path("/proc/stat").read_text().split()[1:4]))  # user, nice, system
    others = ticks / os.sysconf("SC_CLK_TCK") - sum(ours)
    return [time.perf_counter(), *ours, loopback_bytes(), others]


def measure(workers: Workers, folder: Path, tasks: int) -> None:
    """As a run does it, without the figures at its end."""
    asked, progress = sweep(tasks), Progress()
    with ResultsFolder.opened(folder, asked) as store:
        missing = {piece: Fold() for cell in asked.distinct for piece in store.segments(cell)}
        measure_segments(missing, workers, store.save, progress, lambda count: None)
    assert progress.measured == asked.networks, progress.failures


def cpu_seconds(pids: list[int]) -> float:
    """Processor time that living processes have had."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def loopback_bytes() -> int:
    """What processes of this machine have sent each other over its network interface."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    return sum(int(line.split(":")[1].split()[8]) for line in lines if line.strip()[:3] == "lo:")


def undisturbed(kind: str, workers: int, tasks: int) -> Cost:
    """A `cost`, measured while others are quiet, or by the last of a few tries."""
    for _ in range(TRIES):
        found = cost(kind, workers, tasks)
        if found.disturbance < DISTURBED:
            break
    return found


def medians(counts: Sequence[int], tasks: int) -> dict[tuple[str, int], Cost]:
    """Of rounds in which all kinds and numbers of workers take turns."""
    contestants = list(itertools.product(KINDS, counts))
    rounds = [[undisturbed(*one, tasks) for one in contestants] for _ in range(ROUNDS)]
    return {
        one: Cost(*map(median, zip(*costs, strict=True)))
        for one, costs in zip(contestants, zip(*rounds, strict=True), strict=True)
    }


def idle_table(tasks: int = TASKS) -> Iterator[str]:
    """Tasks that do nothing."""
    yield "| idle | tasks/s | driver ms | scheduler ms | worker ms | kB sent | disturbed |"
    yield "|---|---|---|---|---|---|---|"
    with patch.object(segment, "Task", Ready):
        for (kind, _), one in medians([WORKERS], tasks).items():
            times = " | ".join(f"{1e3 * x:.2f}" for x in one[1:4])
            rate, end = f"{1 / one.clock:.0f}", f"{one.sent / 1e3:.1f} | {one.disturbance:.3f}"
            yield f"| {kind} | {rate} | {times} | {end} |"


def busy_table(tasks: int = BUSY) -> Iterator[str]:
    """Tasks that measure."""
    yield "| busy | tasks/s, 1 worker | 2 workers | efficiency | disturbed |"
    yield "|---|---|---|---|---|"
    found = medians([1, WORKERS], tasks)
    for kind in KINDS:
        both = [found[kind, 1], found[kind, WORKERS]]
        one, two = (1 / each.clock for each in both)
        end = f"{two / one / WORKERS:.3f} | {max(each.disturbance for each in both):.3f}"
        yield f"| {kind} | {one:.2f} | {two:.2f} | {end} |"


def task_table(rounds: int = ROUNDS) -> Iterator[str]:
    """What a task takes by itself, and its bytes when it travels and comes back."""
    yield "| n | networks | seconds | bytes out | bytes back |"
    yield "|---|---|---|---|---|"
    for n in SIZES:
        (cell,) = sweep(1, n).distinct
        (task,) = Segment.all(cell.measurement, cell.measurement.block)[0].tasks(0)
        taken = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            found = task()
            taken.append(time.perf_counter() - start)
        sizes = [len(pickle.dumps(thing)) for thing in (partial(attempt, task), found)]
        row = (n, task.count, f"{median(taken[1:]):.3f}", *sizes)
        yield f"| {' | '.join(map(str, row))} |"


def main() -> None:
    """Print the tables as they come."""
    for table in (task_table, idle_table, busy_table):
        for line in table():
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main()
