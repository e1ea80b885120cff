"""Run tasks on workers that may die; what comes of them comes in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from .executors import Workers
from .summary import Summary
from .task import Task

ATTEMPTS = 3
"""How often a task may take its process down by itself before it is given up."""

GUARD = "does the script have its  if __name__ == '__main__'  ?"

K = TypeVar("K")


@dataclass(frozen=True)
class Job(Generic[K]):
    """A task, and whose it is."""

    owner: K
    task: Task


@dataclass(frozen=True)
class Failure:
    """Why there are no statistics."""

    reason: str


def in_order(
    jobs: Iterator[Job[K]], workers: Workers
) -> Iterator[tuple[Job[K], Summary | Failure]]:
    """What comes of each job, in the order of the jobs.

    As many wait or run at a time as `workers` has room for; further ones are asked for as others
    are done with. When a process dies, those that were under way are run again one by one: the one
    that took it down is told from its neighbours.

    Raises
    ------
    OSError
        If nobody runs tasks any more.
    """
    waiting: deque[tuple[Job[K], Future[Summary | Failure]]] = deque()
    proven = False

    def fill() -> None:
        while len(waiting) < workers.room:
            job = next(jobs, None)
            if job is None:
                return
            waiting.append((job, workers.submit(partial(attempt, job.task))))

    try:
        fill()
        while waiting:
            job, future = waiting.popleft()
            outcome = _outcome(future, workers)
            if outcome is None:
                suspects = [(job, future), *waiting]
                waiting.clear()
                for suspect, before in suspects:
                    found = _again(suspect.task, before, workers)
                    proven |= not isinstance(found, Failure)
                    yield suspect, found
                if not proven:
                    raise ConnectionError(f"no worker has done anything before it died; {GUARD}")
            proven = True
            fill()  # before the others: nobody waits for whoever reads them
            if outcome is not None:
                yield job, outcome
    finally:
        for _, future in waiting:
            future.cancel()


def attempt(task: Task) -> Summary | Failure:
    """Run a task; its errors are results, unlike those of whoever carries it."""
    try:
        return task()
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}".splitlines()[0])


def _outcome(future: Future[Summary | Failure], workers: Workers) -> Summary | Failure | None:
    """What a future holds; None if its process died."""
    try:
        return future.result()
    except workers.lost:
        return None
    except CancelledError:
        raise ConnectionError("nobody runs the tasks any more") from None


def _again(task: Task, before: Future[Summary | Failure], workers: Workers) -> Summary | Failure:
    """Run a task alone, unless it was done when the process died."""
    found = _outcome(before, workers) if before.done() else None
    for tried in range(ATTEMPTS + 1):  # the first may find that the processes are gone already
        if found is not None:
            return found
        if tried:
            workers.renew()
        found = _outcome(workers.submit(partial(attempt, task)), workers)
    return found or Failure(f"its process died {ATTEMPTS} times")
