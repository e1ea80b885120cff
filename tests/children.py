"""The processes that a process has started, and what one of them tells of itself."""

from __future__ import annotations

import os

from threadpoolctl import threadpool_info


def children_of(parent):
    """Process numbers."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.append(int(entry))
    return found


def blas_threads():
    """Threads that BLAS uses in this process."""
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
