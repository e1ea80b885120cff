"""Measure what is missing of a sweep: segment by segment, whatever becomes of single tasks."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType

from .executors import Workers
from .schedule import Failure, Job, in_order
from .segment import Fold, Segment


@dataclass
class Progress:
    """What a run has done, and what went wrong.

    Attributes
    ----------
    measured : int
        Networks measured.
    seconds : float
        In what time.
    failures : dict
        Key of a measurement -> why it failed.
    stop : bool
        Nothing more is begun; what runs is finished.
    """

    measured: int = 0
    seconds: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)
    stop: bool = False


def measure_segments(
    missing: Mapping[Segment, Fold],
    workers: Workers,
    save: Callable[[Segment, Fold], None],
    progress: Progress,
    update: Callable[[int], object],
) -> None:
    """Measure segments from where they stand.

    Parameters
    ----------
    missing : mapping
        Segment -> what is known of it, in the order in which they are measured.
    workers : Workers
    save : callable
        Gets each complete segment, and those begun when the run ends early.
    progress : Progress
        Is written, and read for `stop`.
    update : callable
        Gets the number of networks of each task that is done.
    """
    begun: dict[Segment, Fold] = {}

    def wanted(job: Job[Segment]) -> bool:
        return not (progress.stop or job.owner.measurement.key in progress.failures)

    try:
        for job, outcome in in_order(_jobs(missing, progress), workers, wanted):
            segment, task, key = job.owner, job.task, job.owner.measurement.key
            if key in progress.failures:
                continue
            if isinstance(outcome, Failure):
                last = task.first + task.count - 1
                progress.failures[key] = f"networks {task.first} to {last}: {outcome.reason}"
                continue
            complete = task.count == segment.measurement.block
            found = begun.pop(segment, missing[segment]).add(outcome, complete)
            if found.networks == segment.count:
                save(segment, found)
            else:
                begun[segment] = found
            progress.measured += task.count
            update(task.count)
    finally:
        for segment, found in begun.items():
            save(segment, found)


def _jobs(missing: Mapping[Segment, Fold], progress: Progress) -> Iterator[Job[Segment]]:
    for segment, found in missing.items():
        for task in segment.tasks(found.blocks):
            if progress.stop:
                return
            if segment.measurement.key in progress.failures:
                break
            yield Job(segment, task)


@contextmanager
def interruptible(progress: Progress) -> Iterator[None]:
    """Ctrl-C once: finish what runs. Twice: `KeyboardInterrupt`, as ever.

    In a process that is told to ignore it, as in the background of a script, nothing changes.
    """
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    if ignored or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        progress.stop = True
        signal.signal(signal.SIGINT, before)
        if sys.__stderr__ is not None:  # else its number may be that of another file
            with suppress(OSError):
                os.write(2, b"gradhorizon: finishing what runs; again to stop now\n")

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
