"""Where tasks run: in this thread, on threads, in processes of this machine, or on others.

Whatever runs them is a `concurrent.futures.Executor`. What differs is how it is had again when its
processes have died, and that a process of its own keeps BLAS to one thread by itself.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypeVar

from ..engine import InputError, Shown, available_cores, single_threaded_blas

T = TypeVar("T")

WAITING = 3
"""Tasks per worker that wait or run at a time: memory does not grow with their number."""


class SerialExecutor(Executor):
    """Runs a task where and when it is submitted."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """A future that is done."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass
class Workers:
    """Who runs tasks.

    Attributes
    ----------
    count : int
        Tasks that run at a time.
    start : callable
        Returns an executor; called again when its processes have died.
    elsewhere : bool
        Whether tasks run in other processes.
    lost : tuple of exception types
        What a future raises whose process died.
    attempts : int
        How often a task may be lost that runs alone before it is given up.
    """

    count: int
    start: Callable[[], Executor]
    elsewhere: bool = False
    lost: tuple[type[BaseException], ...] = (BrokenExecutor,)
    attempts: int = 3
    executor: Executor = field(init=False)

    def __post_init__(self) -> None:
        self.executor = self.start()

    @property
    def room(self) -> int:
        """Tasks that wait or run at most."""
        return WAITING * self.count

    def submit(self, task: Callable[[], T]) -> Future[T]:
        """Run a task some time; dead workers show in the future, never here."""
        try:
            if self.elsewhere:
                with without_interrupts():
                    return self.executor.submit(in_worker, task)
            return self.executor.submit(task)
        except self.lost as error:
            future: Future[T] = Future()
            future.set_exception(error)
            return future

    def renew(self) -> None:
        """Have the processes again after one died."""
        self.stop()
        self.executor = self.start()

    def stop(self, patient: bool = True) -> None:
        """Let nothing more begin; wait for what runs if `patient`."""
        self.executor.shutdown(wait=patient)


@contextmanager
def threads(count: int | None = None) -> Iterator[Workers]:
    """Threads of this process, one per available core unless told otherwise."""
    count = count or available_cores()
    with single_threaded_blas():
        workers = Workers(count, lambda: ThreadPoolExecutor(count))
        yield from _until_done(workers)


@contextmanager
def serial() -> Iterator[Workers]:
    """The thread that asks, alone."""
    with single_threaded_blas():
        yield from _until_done(Workers(1, SerialExecutor))


@contextmanager
def processes(count: int | None = None) -> Iterator[Workers]:
    """Processes of this machine, started afresh: threads and a fork do not go together."""
    from concurrent.futures import ProcessPoolExecutor

    count = count or available_cores()
    context = multiprocessing.get_context("spawn")

    def start() -> Executor:
        return ProcessPoolExecutor(count, context, initializer=start_process)

    yield from _until_done(Workers(count, start, elsewhere=True))


@contextmanager
def scheduler(address: str) -> Iterator[Workers]:
    """The workers of a dask cluster.

    Raises
    ------
    InputError
        If dask is not installed, or nobody answers there.
    """
    try:
        from distributed import Client
        from distributed.scheduler import KilledWorker
    except ImportError:
        allowed = "nothing unless the extra dask is installed: pip install 'gradhorizon[dask]'"
        raise InputError("--scheduler", address, allowed) from None
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        allowed = "the address of a dask scheduler, as tcp://host:8786"
        raise InputError("--scheduler", Shown(f"{address} ({error})"), allowed) from None
    with _silent("distributed.client"), client:  # what it lost, futures and errors say
        count = sum(client.nthreads().values())
        if not count:
            raise InputError("--scheduler", Shown(f"{address} (no workers)"), "one with workers")
        # equal tasks are equal keys to it, and a key that failed stays failed
        start = partial(client.get_executor, pure=False)
        lost = (KilledWorker, BrokenExecutor)
        # before it calls a task lost, it has lent it several workers itself
        yield from _until_done(Workers(count, start, True, lost, attempts=1))


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Keep a logger of another library, and the tracebacks that it writes, from the user."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def given(executor: Executor, count: int) -> Iterator[Workers]:
    """Somebody's own executor, as `mpi4py.futures.MPIPoolExecutor`, with `count` workers.

    It is neither shut down nor had again when its processes die.
    """
    elsewhere = not isinstance(executor, ThreadPoolExecutor)
    with nullcontext() if elsewhere else single_threaded_blas():
        yield Workers(count, lambda: executor, elsewhere, ())


def _until_done(workers: Workers) -> Iterator[Workers]:
    patient = True
    try:
        yield workers
    except KeyboardInterrupt:
        patient = False  # a cluster may never be done
        raise
    finally:
        workers.stop(patient)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Processes that start meanwhile leave Ctrl-C to their parent, from their first instruction."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_worker(task: Callable[[], T]) -> T:
    """Run a task in a process that belongs to the workers."""
    prepare_process()
    return task()


@cache
def prepare_process() -> None:
    """BLAS in one thread, once and for all: the tasks are what runs in parallel."""
    single_threaded_blas()


def start_process() -> None:
    """A worker ends with its parent, however that ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent,), daemon=True).start()


def _follow(parent: Any) -> None:
    parent.join()
    os._exit(1)
