"""Blocks of the CUDA simulator, whose own waiting for a barrier takes milliseconds.

A barrier that not all threads of a block reach is an error here, as on a GPU it would be a program
that never ends.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numba.cuda.simulator.kernel import BlockManager, BlockThread

PATIENCE = 60.0
"""Seconds that threads wait for each other at most."""


def run(manager: Any, grid_point: Any, *arguments: Any) -> None:
    """In the place of `BlockManager.run`."""
    points = list(np.ndindex(*manager._block_dim))
    manager.barrier = threading.Barrier(len(points), timeout=PATIENCE)
    threads = [
        BlockThread(lambda: _body(manager, arguments), manager, grid_point, point, False)
        for point in points
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first = next((t.exception for t in threads if _own(t.exception)), None)
    if first is not None:
        raise first[0].with_traceback(first[1])


def _body(manager: Any, arguments: Any) -> None:
    try:
        manager._f(*arguments)
        manager.barrier.wait()  # all end together: none has left a barrier out
    except BaseException:
        manager.barrier.abort()
        raise


def _own(exception: Any) -> bool:
    return exception is not None and not isinstance(exception[0], threading.BrokenBarrierError)


def wait(thread: Any) -> None:
    """In the place of `BlockThread.syncthreads`."""
    thread._manager.barrier.wait()


def install() -> None:
    """Let the simulator use this."""
    BlockManager.run = run
    BlockThread.syncthreads = wait
