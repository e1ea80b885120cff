"""A results folder: opened for one sweep, and filled piece by piece."""

from __future__ import annotations

import errno
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import xarray as xr

from ..engine import InputError, Shown, one_line
from ..engine.spec import check_integer
from .claim import claim, read_table
from .files import check_writable, write_atomic
from .lock import InUse, locked
from .outputs import FIGURES, RESULTS, draw, summary_table, write_dataset
from .plausible import check_fold, largest_file
from .segment import Fold, Segment
from .store import DamagedCell, load_cell, save_cell
from .streams import warn
from .summary import Summary
from .sweep import Cell, Sweep
from .target import LARGEST

NETWORKS = "networks.json"

SUMMARY = "summary.csv"

PATIENCE = 10.0
"""Seconds to wait while another shard claims the folder."""


class ResultsFolder:
    """The files of one sweep; to be had by `opened`.

    Attributes
    ----------
    path : Path
    sweep : Sweep
    part : str
        Which part of it is run; empty: all.
    """

    def __init__(self, path: Path, sweep: Sweep, part: str) -> None:
        self.path, self.sweep, self.part = path, sweep, part

    @classmethod
    @contextmanager
    def opened(
        cls, path: Path, sweep: Sweep, part: str = "", called: str = "--out"
    ) -> Iterator[Self]:
        """A folder for a sweep alone, or for a part of it beside the others.

        Parameters
        ----------
        path : Path
            Made if it does not exist.
        sweep : Sweep
        part : str
            The part's name, of which one run at a time may be under way.
        called : str
            What the user calls the folder.

        Raises
        ------
        InputError
            If the folder cannot be written, is in use, or holds something else: nothing in it is
            touched.
        """
        with ExitStack() as locks:
            try:
                path.mkdir(parents=True, exist_ok=True)
                locks.enter_context(locked(path / ".lock", shared=bool(part)))
                if part:
                    locks.enter_context(locked(path / f".lock-{part}"))
                else:
                    sweep_up(path)
                with locked(path / ".lock-claim", patience=PATIENCE):
                    claim(path, sweep, called)
                    (path / "cells").mkdir(exist_ok=True)
                _check_outputs(path, part)
            except InUse:
                allowed = "a folder that no other run is using: wait for it, or stop it"
                raise InputError(called, Shown(f"{path} (in use)"), allowed) from None
            except OSError as error:
                shown = Shown(f"{path} ({error.strerror or error})")
                raise InputError(called, shown, "a folder that can be written") from None
            yield cls(path, sweep, part)

    def load(self, segment: Segment) -> Fold:
        """All that is stored of a segment; nothing, with a warning, of a damaged one."""
        file = self._file(segment)
        try:
            flat, meta = load_cell(file, largest_file(segment))
            blocks = meta.pop("blocks")
            if meta != json.loads(json.dumps(_identity(segment))):
                raise DamagedCell("holds another cell")
            found = Fold.from_arrays(blocks, flat)
            check_fold(found, segment)
            return found
        except FileNotFoundError:
            return Fold()
        except (ValueError, KeyError, OSError) as error:
            told = f"{file}: damaged, as good as missing ({one_line(error)})"
            warn(f"warning: {told}")
            return Fold()

    def save(self, segment: Segment, found: Fold) -> None:
        """Store what is known of a segment."""
        meta = _identity(segment) | {"blocks": found.blocks}
        save_cell(self._file(segment), found.arrays(), meta)

    def networks(self, cell: Cell) -> int:
        """How many networks of a cell are wanted: those of the sweep, or what a target asks for."""
        return max(self.sweep.networks, self._goals.get(cell.key, 0))

    def segments(self, cell: Cell) -> list[Segment]:
        """The pieces in which their statistics are stored."""
        return cell.segments(self.networks(cell))

    def want(self, networks: Mapping[str, int]) -> bool:
        """Raise the networks of cells, by key, once for all; returns whether any are more.

        It is written down before they are measured: a killed run has the same rounds as another.
        """
        goals = {key: max(count, self._goals.get(key, 0)) for key, count in networks.items()}
        more = goals != {key: self._goals.get(key, self.sweep.networks) for key in goals}
        if more:
            self._goals |= goals
            write_atomic(self.path / NETWORKS, json.dumps(self._goals, indent=1).encode())
        return more

    @cached_property
    def _goals(self) -> dict[str, int]:
        file = self.path / NETWORKS
        found = read_table(file) if os.path.lexists(file) else {}
        for key, networks in found.items():
            check_integer(f"{file}: {key}", networks, 1, LARGEST)
        return found

    def summary(self, cell: Cell) -> Summary | None:
        """All that is stored of a cell, up to the first of its segments that is not whole."""
        total: Summary | None = None
        for index in itertools.count():
            segment = Segment(cell.measurement, index, 0)
            found = self.load(segment)
            if found.total is not None:
                total = found.total if total is None else total.merge(found.total)
            if found.networks < segment.size:
                return total
        raise AssertionError  # files are finite

    def _file(self, segment: Segment) -> Path:
        return self.path / "cells" / f"{segment.measurement.key}-{segment.index}.cell"

    def write(self, data: xr.Dataset) -> None:
        """Write results, table and figures."""
        write_dataset(self.path, data)
        write_atomic(self.path / SUMMARY, summary_table(data, self.sweep.grid).encode())
        try:
            draw(self.path, data)
        except (ValueError, ArithmeticError) as error:  # the results are safe, say so and go on
            warn(f"warning: figure not drawn: {error}")

    def remember(self, failures: Mapping[str, str]) -> None:
        """Write down which cells failed, by key, for `status`; until they are measured."""
        file = self.path / of_part("failures", self.part)
        if failures:
            write_atomic(file, json.dumps(dict(failures), indent=1).encode())
        else:
            file.unlink(missing_ok=True)

    def failures(self) -> dict[str, str]:
        """What runs wrote down, of all parts."""
        found: dict[str, str] = {}
        for file in sorted(self.path.glob("failures*.json")):
            found |= {key: one_line(reason) for key, reason in read_table(file).items()}
        return found

    def note(self, provenance: Mapping[str, Any]) -> None:
        """Write down what this run did; where it measured nothing, the one that did stands."""
        file = self.path / of_part("provenance", self.part)
        if provenance["networks_measured"] or not file.exists():
            write_atomic(file, json.dumps(provenance, indent=1).encode())


def of_part(name: str, part: str) -> str:
    """The file of a part's own."""
    return f"{name}-{part}.json" if part else f"{name}.json"


def _check_outputs(path: Path, part: str) -> None:
    """Refuse, before anything is measured, a folder in which results could not be written."""
    own = (of_part("provenance", part), of_part("failures", part))
    for name in (RESULTS, SUMMARY, *FIGURES, NETWORKS, *own):
        if (path / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, f"{name} is a folder")
    check_writable(path / "cells" / "x.cell")


def sweep_up(folder: Path) -> None:
    """Delete what killed runs left."""
    for torn in (*folder.glob(".*.tmp"), *folder.glob("cells/.*.tmp"), *folder.glob(".lock-*")):
        torn.unlink(missing_ok=True)


def _identity(segment: Segment) -> dict[str, Any]:
    """What a stored segment says of itself."""
    return {**segment.measurement.configuration, "segment": [segment.index, segment.size]}
