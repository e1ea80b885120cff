"""How far a run is: a bar for people, lines of JSON for machines."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from ..engine import InputError, Shown
from ..engine.progress import progress_bar
from .streams import warn

INTERVAL = 1.0
"""Seconds between two lines about progress, at least."""


def check_log(file: Path) -> None:
    """`InputError` if events cannot be appended to a file."""
    try:
        file.open("a", encoding="utf-8").close()
    except OSError as error:
        shown = Shown(f"{file} ({error.strerror})")
        raise InputError("--log-json", shown, "a file that can be written") from None


class Display:
    """Shows progress on a terminal, silently when piped, and appends events to a file.

    Every line of the file is an object with ``event`` (start, progress, failed, end), ``seconds``
    since the start, ``networks`` done of ``total``, and, of this run, ``networks_per_second`` and
    ``seconds_left``. Each round of networks for a target error starts and ends anew. Time is that
    of a clock that is never set.

    Parameters
    ----------
    name : str
        Of the study.
    total, done : int
        Networks in all, and those that were stored before.
    log : Path, optional
        The file; it is appended to.
    """

    def __init__(self, name: str, total: int, done: int, log: Path | None = None) -> None:
        self.total, self.done, self.before = total, done, done
        self.started = self.told = time.perf_counter()
        self.log = None if log is None else log.open("a", encoding="utf-8", buffering=1)
        look = {"initial": done, "desc": name, "unit": " networks", "unit_scale": True}
        self.bar: Any = progress_bar(total, always=False, **look)
        self.tell("start", study=name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()
        self.tell("end")
        self._end_log()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self.started

    def update(self, networks: int) -> None:
        """So many more networks are measured."""
        self.done += networks
        self.bar.update(networks)
        if time.perf_counter() - self.told >= INTERVAL:
            self.tell("progress")

    def tell(self, event: str, **more: Any) -> None:
        """Append an event to the file."""
        self.told = time.perf_counter()
        if self.log is None:
            return
        seconds, measured = self.seconds, self.done - self.before
        rate = measured / seconds if measured else None
        line = {
            "event": event,
            "seconds": round(seconds, 3),
            "networks": self.done,
            "total": self.total,
            "networks_per_second": rate and round(rate, 1),
            "seconds_left": rate and round((self.total - self.done) / rate, 1),
        }
        try:
            self.log.write(json.dumps(line | more) + "\n")
        except OSError as error:  # a full disk, or a pipe without a reader; the run is whole
            warn(f"warning: {self.log.name}: no further events are written ({error.strerror})")
            self._end_log()

    def _end_log(self) -> None:
        """Close the file of the events, if there is one."""
        if self.log is not None:
            with suppress(OSError):  # what could not be written is tried again
                self.log.close()
            self.log = None
