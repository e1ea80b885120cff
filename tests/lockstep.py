"""Blocks of the CUDA simulator, one thread at a time: a missing barrier gives wrong numbers.

The simulator lets all threads of a block run at once, and a number that another thread ought to
have written first is mostly there in time. Here a thread runs to the next barrier before the next
one starts: forward, whatever a thread wants of a later one is not there yet; backward, of an
earlier one. Between the two orders, two threads that touch a number between the same two barriers
are seen in either order.

A barrier that not all threads of a block reach at the same place of the program is an error here,
as on a GPU it would be a program that never ends.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba.cuda.simulator.kernel import BlockManager, BlockThread

PATIENCE = 60.0
"""Seconds that a thread waits for its turn at most."""

END = ("the end",)
"""The barrier after the last one."""

backwards = False


class OutOfStepError(RuntimeError):
    """Another thread of the block has failed, or has not come to the barrier."""


class Turns:
    """Whose turn it is among the threads of a block."""

    def __init__(self, threads: int) -> None:
        order = range(threads)[::-1] if backwards else range(threads)
        self.first = order[0]
        self.after = dict(zip(order, [*order[1:], self.first], strict=True))
        self.gates = [threading.Semaphore(0) for _ in order]
        self.place: tuple[Any, ...] = ()
        self.failed = False

    def wait(self, thread: int) -> None:
        """Until it is this thread's turn."""
        if not self.gates[thread].acquire(timeout=PATIENCE) or self.failed:
            raise OutOfStepError

    def arrive(self, thread: int, place: tuple[Any, ...]) -> None:
        """Hand the turn on, at a barrier; the first thread of a round says at which."""
        if thread == self.first:
            self.place = place
        if place != self.place:
            raise AssertionError(f"threads wait at different barriers: {place}, {self.place}")
        self.gates[self.after[thread]].release()

    def stop(self) -> None:
        """Let nobody wait for a thread that has failed."""
        self.failed = True
        for gate in self.gates:
            gate.release()


def run(manager: Any, grid_point: Any, *arguments: Any) -> None:
    """In the place of `BlockManager.run`."""
    points = list(np.ndindex(*manager._block_dim))
    manager.turns = turns = Turns(len(points))

    def body() -> None:
        thread = threading.current_thread().thread_id  # type: ignore[attr-defined]
        try:
            turns.wait(thread)
            manager._f(*arguments)
            turns.arrive(thread, END)
        except BaseException:
            turns.stop()
            raise

    threads = [BlockThread(body, manager, grid_point, point, False) for point in points]
    for thread in threads:
        thread.start()
    turns.gates[turns.first].release()
    for thread in threads:
        thread.join()
    failures = [t.exception for t in threads if t.exception]
    failures.sort(key=lambda failure: isinstance(failure[0], OutOfStepError))
    if failures:
        raise failures[0][0].with_traceback(failures[0][1])


def syncthreads(thread: Any) -> None:
    """In the place of `BlockThread.syncthreads`."""
    frames = (
        sys._getframe(2),
        sys._getframe(3),
    )  # who calls the simulator's function, and its caller
    place = tuple((frame.f_code.co_qualname, frame.f_lineno) for frame in frames)
    thread._manager.turns.arrive(thread.thread_id, place)
    thread._manager.turns.wait(thread.thread_id)


def install() -> None:
    """Let the simulator use this."""
    BlockManager.run = run
    BlockThread.syncthreads = syncthreads


@contextmanager
def last_thread_first() -> Iterator[None]:
    """The other order."""
    global backwards
    backwards = True
    try:
        yield
    finally:
        backwards = False
