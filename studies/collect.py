"""From the statistics of the cells to the results: a dataset on the grid, theory beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..engine import STATUS, Array, clip_coordinates, kernel_digest, versions
from .summary import QUANTILES, Summary, describe
from .sweep import Sweep


def collect(sweep: Sweep, summaries: Iterable[Summary | None]) -> xr.Dataset:
    """Lay the cells' statistics out on the grid and set theory beside them.

    Cells that are not measured have no networks, and NaN everywhere; one cell at least is.
    """
    results = [{} if summary is None else summary.results() for summary in summaries]
    table = sweep.variables()
    variables = {}
    for name in max(results, key=len):
        stacked = _stacked([result.get(name) for result in results])
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


def _stacked(values: Sequence[Array | None]) -> Array:
    """The values of all cells; NaN where a cell has fewer, as smaller networks have exponents."""
    present = [value for value in values if value is not None]
    shape = tuple(np.max([value.shape for value in present], axis=0).astype(int))
    counts = all(value.dtype.kind == "i" and value.shape == shape for value in present)
    stacked = np.full((len(values), *shape), 0 if counts else np.nan)
    for k, value in enumerate(values):
        if value is not None:
            place: tuple[Any, ...] = (k, *map(slice, value.shape))
            stacked[place] = value
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
    plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
    return value if plain else json.dumps(value)


def _axis(values: tuple[Any, ...]) -> list[Any]:
    if not all(isinstance(v, (str, int, float)) for v in values):
        return [json.dumps(v) for v in values]
    return [float(v) if isinstance(v, int) and abs(v) >= 2**63 else v for v in values]
