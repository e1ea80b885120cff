"""A dask cluster whose scheduler and workers are processes of their own, without dashboards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

QUIET = ("--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")
"""Without a dashboard there is a web server all the same, on every interface unless told."""

PATIENCE = 60.0
"""Seconds for a process to start."""


@dataclass(frozen=True)
class Cluster:
    """Where it is, and its processes."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


@contextmanager
def cluster(workers: int = 2, nanny: bool = False) -> Iterator[Cluster]:
    """A scheduler and workers of one thread each, on this machine alone.

    With a `nanny`, a worker that dies is started again.
    """
    from distributed import Client

    with ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "scheduler.json"
        scheduler = _start(stack, "scheduler", "--port", "0", "--scheduler-file", file)
        address = _address(file)
        one = (address, "--nthreads", "1", "--nanny" if nanny else "--no-nanny")
        crew = [_start(stack, "worker", *one) for _ in range(workers)]
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=PATIENCE)
        yield Cluster(address, scheduler, crew)


def _start(stack: ExitStack, role: str, *arguments: object) -> subprocess.Popen[bytes]:
    module = f"distributed.cli.dask_{role}"
    command = [sys.executable, "-m", module, *QUIET, *arguments]
    process = subprocess.Popen(
        [str(part) for part in command],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},  # it finds what we find
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return process


def _address(file: Path) -> str:
    """What the scheduler has written of itself."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return str(json.loads(file.read_text())["address"])
        except (OSError, ValueError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
