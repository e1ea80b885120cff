"""A results folder: opened for one sweep, filled cell by cell, collected into a dataset."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..engine import STATUS, Array, InputError, Shown, kernel_digest, versions
from ..engine.clip import clip_coordinates
from .store import DamagedCell, load_cell, save_cell, write_atomic
from .summary import QUANTILES, Summary, describe
from .sweep import Cell, Sweep

CONFIGURATION, RESULTS = "configuration.json", "results.nc"


class ResultsFolder:
    """The files of one sweep.

    Parameters
    ----------
    path : path-like
        Made if it does not exist.
    sweep : Sweep

    Raises
    ------
    InputError
        If the folder cannot be written, or holds something else: nothing in it is touched.
    """

    def __init__(self, path: str | os.PathLike[str], sweep: Sweep) -> None:
        self.path, self.sweep = Path(path), sweep
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._claim()
            (self.path / "cells").mkdir(exist_ok=True)
        except OSError as error:
            shown = Shown(f"{self.path} ({error.strerror or error})")
            raise InputError("--out", shown, "a folder that can be written") from None

    def _claim(self) -> None:
        """Write down whose folder this is, or check it."""
        ours = json.loads(json.dumps(self.sweep.configuration()))
        file = self.path / CONFIGURATION
        if not file.exists():
            if any(not entry.name.startswith(".") for entry in self.path.iterdir()):
                shown = Shown(f"{self.path} (not empty, no {CONFIGURATION})")
                raise InputError("--out", shown, "a new folder, or that of an earlier run")
            write_atomic(file, json.dumps(ours, indent=1).encode())
            return
        theirs = read_configuration(self.path)
        for key in ours:
            if theirs.get(key) != ours[key]:
                shown = Shown(f"{self.path} (holds a run with {key} = {theirs.get(key)})")
                raise InputError("--out", shown, f"a new folder, or {key} as stored")

    def load(self, cell: Cell) -> Summary | None:
        """The stored statistics of a cell; None, with a warning if damaged, where it must run."""
        file = self._file(cell)
        try:
            flat, meta = load_cell(file)
            if meta != json.loads(json.dumps(cell.configuration())):
                raise DamagedCell(f"{file}: holds another cell")
            return Summary.from_arrays(flat)
        except FileNotFoundError:
            return None
        except (DamagedCell, ValueError, KeyError) as error:
            print(f"warning: {file}: damaged, computed again ({error})", file=sys.stderr)
            return None

    def save(self, cell: Cell, summary: Summary) -> None:
        """Store the statistics of a cell."""
        save_cell(self._file(cell), summary.arrays(), cell.configuration())

    def _file(self, cell: Cell) -> Path:
        return self.path / "cells" / f"{cell.key}.cell"

    def write(self, data: xr.Dataset, provenance: Mapping[str, Any]) -> None:
        """Write results, table, figures and provenance."""
        write_dataset(self.path / RESULTS, data)
        write_atomic(self.path / "summary.csv", summary_table(data, self.sweep.grid).encode())
        file = self.path / "provenance.json"
        if provenance["cells_measured"] or not file.exists():  # else the run that measured stands
            write_atomic(file, json.dumps(provenance, indent=1).encode())
        try:
            draw(self.path, data)
        except (ValueError, ArithmeticError) as error:  # the results are safe, say so and go on
            print(f"warning: figure not drawn: {error}", file=sys.stderr)


def read_configuration(folder: Path) -> dict[str, Any]:
    """The configuration of a results folder.

    Raises
    ------
    InputError
        If there is none, or it cannot be read.
    """
    file = folder / CONFIGURATION
    try:
        found = json.loads(file.read_text())
        if isinstance(found, dict):
            return found
        problem = "not a table"
    except (OSError, ValueError) as error:
        problem = str(error)
    raise InputError("folder", Shown(f"{file} ({problem})"), "the folder of a run")


def write_dataset(path: Path, data: xr.Dataset) -> None:
    """Write a netCDF file so that a reader sees the old one or the new one whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        data.to_netcdf(temporary, engine="h5netcdf")
        content = temporary.read_bytes()
    finally:
        temporary.unlink(missing_ok=True)
    write_atomic(path, content)


def read_dataset(folder: Path) -> xr.Dataset:
    """The results of a folder, in memory."""
    file = folder / RESULTS
    try:
        with xr.open_dataset(file, engine="h5netcdf") as data:
            if "study" not in data.attrs or "headline" not in data.attrs:
                raise ValueError("not written by this package")
            return data.load()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(
            "folder", Shown(f"{file} ({error})"), "the folder of a finished run"
        ) from None


def draw(folder: Path, data: xr.Dataset) -> None:
    """Draw the study's figure from its results, as PNG and SVG."""
    from .figures import rendered

    with np.errstate(all="ignore"):  # of axes that span more than a float
        files = rendered(data)
    for suffix, content in files.items():
        write_atomic(folder / f"figure.{suffix}", content)


def collect(sweep: Sweep, summaries: Iterable[Summary]) -> xr.Dataset:
    """Lay the cells' statistics out on the grid and set theory beside them."""
    results = [summary.results() for summary in summaries]
    table = sweep.variables()
    variables = {}
    for name in results[0]:
        stacked = _stacked([result[name] for result in results])
        dims, attributes = describe(name, table)
        axes, values = sweep.on_grid(stacked)
        variables[name] = ((*axes, *dims), values, attributes)
    grid = {axis: (axis, _axis(v), {"long_name": axis}) for axis, v in sweep.grid.items()}
    data = xr.Dataset(variables, grid)
    data = data.assign_coords(_trailing_coordinates(sweep, data))
    data.attrs = {
        **{key: _attribute(value) for key, value in sweep.configuration().items()},
        "summary": sweep.study.summary,
        "headline": sweep.study.headline,
        "versions": json.dumps(versions()),
        "kernel_digest": kernel_digest(),
    }
    return sweep.study.complete(data, sweep)


def _stacked(values: Sequence[Array]) -> Array:
    """The values of all cells; NaN where a cell has fewer, as smaller networks have exponents."""
    shape = np.max([value.shape for value in values], axis=0).astype(int)
    if all(value.shape == tuple(shape) for value in values):
        return np.stack(values)
    stacked = np.full((len(values), *shape), np.nan)
    for one, value in zip(stacked, values, strict=True):
        one[tuple(map(slice, value.shape))] = value
    return stacked


def _trailing_coordinates(sweep: Sweep, data: xr.Dataset) -> dict[str, Any]:
    """Coordinates of the axes behind those of the grid."""
    known: dict[str, Any] = {"quantile": list(QUANTILES), "norm": ["frobenius", "spectral"]}
    for name in ("lag", "step"):
        steps = np.arange(data.sizes.get(name, 0))
        known[name] = (name, steps, {"units": "steps", "long_name": name})
    found = {name: value for name, value in known.items() if name in data.dims}
    return {"status": list(STATUS), **found, **clip_coordinates(sweep.study.clip)}


def _attribute(value: Any) -> Any:
    """Texts and numbers as they are, anything else as JSON: netCDF knows no tables."""
    return value if isinstance(value, (str, int, float)) else json.dumps(value)


def _axis(values: tuple[Any, ...]) -> list[Any]:
    plain = all(isinstance(v, (str, int, float)) for v in values)
    return list(values) if plain else [json.dumps(v) for v in values]


def summary_table(data: xr.Dataset, grid: Iterable[str]) -> str:
    """Comma-separated: a line per cell, the grid's values and all variables without other axes."""
    axes = list(grid)
    flat = {name: v.values for name, v in data.data_vars.items() if list(v.dims) == axes}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*axes, *flat])
    for index in np.ndindex(*(data.sizes[axis] for axis in axes)):
        point = [data[axis].values[k] for axis, k in zip(axes, index, strict=True)]
        writer.writerow([*point, *(values[index] for values in flat.values())])
    return text.getvalue()
