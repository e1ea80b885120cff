"""Run tasks on workers that may die; what comes of them comes in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from .errors import MachineFault, of_machine, told_as
from .executors import Workers
from .summary import Summary
from .task import Task

STARTS = 3
"""How often workers may die before they do anything."""

DEADLY = "it takes down the process that runs it"

PAUSE = 0.1
"""Seconds between looks at whether what waits is still wanted."""

GUARD = "does the script have its  if __name__ == '__main__'  ?"

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True)
class Job(Generic[K]):
    """A task, and whose it is."""

    owner: K
    task: Task


@dataclass(frozen=True)
class Failure:
    """Why there are no statistics.

    Attributes
    ----------
    reason : str
    of_machine : bool
        Whether all other tasks would fail too.
    """

    reason: str
    of_machine: bool = False


Queue: TypeAlias = "deque[tuple[Job[K], Future[Summary | Failure]]]"


def in_order(
    jobs: Iterator[Job[K]],
    workers: Workers,
    wanted: Callable[[Job[K]], bool] = lambda job: True,
) -> Iterator[tuple[Job[K], Summary | Failure]]:
    """What comes of each job, in the order of the jobs.

    As many wait or run at a time as `workers` has room for; further ones are asked for as others
    are done with. When a process dies, those that were under way are run again one by one: the one
    that took it down is told from its neighbours.

    Parameters
    ----------
    jobs : iterator of Job
    workers : Workers
    wanted : callable
        Whether a job that has been handed out still is: if not, it is taken back unless it has
        begun. Once it is not, it must not be again.

    Raises
    ------
    OSError
        If nobody runs tasks any more.
    MachineFault
        If the machine of a task cannot run any.
    """
    waiting: Queue[K] = deque()

    def fill() -> bool:
        while len(waiting) < workers.room:
            job = next(jobs, None)
            if job is None:
                break
            waiting.append((job, workers.submit(partial(attempt, job.task))))
        return bool(waiting)

    try:
        while fill():
            if not _first_done(waiting, wanted):
                continue
            job, future = waiting.popleft()
            outcome = _outcome(future, workers)
            if outcome is not None:
                fill()  # before the others: nobody waits for whoever reads them
                yield job, _checked(outcome)
                continue
            suspects = [(job, future), *waiting]
            waiting.clear()
            wait([future for _, future in suspects])  # from here on, each is alone
            for suspect, before in suspects:
                if wanted(suspect):
                    yield suspect, _checked(_again(suspect.task, before, workers))
    finally:
        for _, future in waiting:
            future.cancel()


def _first_done(waiting: Queue[K], wanted: Callable[[Job[K]], bool]) -> bool:
    """Wait for the first; False if all were taken back meanwhile.

    They are taken back from the end, so that none is missing between two that are done.
    """
    while waiting and not wait([waiting[0][1]], PAUSE).done:
        while waiting and not wanted(waiting[-1][0]) and waiting[-1][1].cancel():
            waiting.pop()
    return bool(waiting)


def attempt(task: Task) -> Summary | Failure:
    """Run a task; its errors are results, unlike those of whoever carries it."""
    try:
        return task()
    except MemoryError as error:
        return Failure(f"too little memory for a single one ({told_as(error)})")
    except Exception as error:
        return Failure(told_as(error), of_machine(error))


def _checked(outcome: T) -> T:
    """An outcome that concerns its task alone."""
    if isinstance(outcome, Failure) and outcome.of_machine:
        raise MachineFault(outcome.reason)
    return outcome


def _outcome(future: Future[T], workers: Workers) -> T | None:
    """What a future holds; None if its process died."""
    try:
        return future.result()
    except workers.lost:
        return None
    except CancelledError:
        raise ConnectionError("nobody runs the tasks any more") from None


def _again(task: Task, before: Future[Summary | Failure], workers: Workers) -> Summary | Failure:
    """Run a task alone, unless it was done when the process died."""
    found = _outcome(before, workers)
    for _ in range(workers.attempts):
        if found is not None:
            return found
        _revive(workers)
        found = _outcome(workers.submit(partial(attempt, task)), workers)
    return Failure(DEADLY) if found is None else found


def _revive(workers: Workers) -> None:
    """Have workers that do something: a task that kills them is told from those that cannot start.

    Raises
    ------
    OSError
        If there are none to be had.
    """
    for tried in range(STARTS):
        if tried:
            workers.renew()
        if _outcome(workers.submit(os.getpid), workers) is not None:
            return
    raise ConnectionError(f"workers die before they do anything; {GUARD}")
