"""What a run leaves for its user: results as netCDF, a table, a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import xarray as xr

from ..engine import InputError, Shown
from ..engine.plan import memory_budget
from .files import check_readable, write_atomic

RESULTS = "results.nc"

FIGURES = ("figure.png", "figure.svg")


def write_dataset(folder: Path, data: xr.Dataset) -> None:
    """Write the results so that a reader sees the old ones or the new ones whole."""
    # in memory: HDF5 brings the process down where a disk is full
    write_atomic(folder / RESULTS, bytes(data.to_netcdf(engine="h5netcdf")))


def read_dataset(folder: Path) -> xr.Dataset:
    """The results of a folder, in memory.

    Raises
    ------
    InputError
        If they cannot be read.
    """
    import h5py

    file = folder / RESULTS
    try:
        check_readable(file, memory_budget())
        with h5py.File(file) as opened:  # where the structure is damaged, h5netcdf complains twice
            opened.visit(lambda name: None)
        with xr.open_dataset(file, engine="h5netcdf") as data:
            if "study" not in data.attrs or "headline" not in data.attrs:
                raise ValueError("not written by this package")
            if data.nbytes > memory_budget():
                raise ValueError(f"{data.nbytes} bytes, more than fit into memory")
            return data.load()
    except Exception as error:  # HDF5 and those who read it raise anything for a damaged file
        shown = Shown(f"{file} ({error})")
        raise InputError("folder", shown, "the folder of a finished run") from None


def redraw(folder: Path) -> None:
    """Draw the figure of a folder from its results.

    Raises
    ------
    InputError
        If they cannot be read or drawn.
    """
    data = read_dataset(folder)
    try:
        draw(folder, data)
    except OSError:
        raise
    except Exception as error:  # whatever results of somebody else lack, or hold
        shown = Shown(f"{folder / RESULTS} ({type(error).__name__}: {error})")
        raise InputError("folder", shown, "results that this version can draw") from None


def draw(folder: Path, data: xr.Dataset) -> None:
    """Draw the study's figure from its results, as PNG and SVG."""
    from .figures import rendered

    with np.errstate(all="ignore"):  # of axes that span more than a float
        files = rendered(data)
    for suffix, content in files.items():
        write_atomic(folder / f"figure.{suffix}", content)


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
