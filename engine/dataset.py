"""From the arrays of all chunks to a labelled dataset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import xarray as xr

from ..kernels.cells import CELLS
from ..kernels.digest import kernel_digest
from .arguments import LOSSES
from .clip import ClipArgument, clip_coordinates
from .eigenvalue import visited_lags
from .ensemble import Source
from .keep import kept_variables
from .products import product_variables
from .spectrum import block_ends
from .status import STATUS
from .variable import Arrays, Variable


def result_variables(
    source: Source, products: Sequence[str], keep: Sequence[str], clip: ClipArgument = None
) -> dict[str, Variable]:
    """What a measurement returns, by name."""
    kept = kept_variables(source.spec)
    table: dict[str, Variable] = product_variables(products, clip)
    for name in keep:
        table |= kept[name]
    meaning = ", ".join(f"{code} {name}" for name, code in STATUS.items())
    table["status"] = Variable(("network",), "1", f"what became of the network: {meaning}")
    return table


def results_dataset(
    source: Source,
    found: Arrays,
    products: Sequence[str],
    keep: Sequence[str],
    clip: ClipArgument = None,
) -> xr.Dataset:
    """Say what each variable is.

    Parameters
    ----------
    source : Source
    found : mapping
        Values by name, network axis first.
    products, keep, clip
        As given to `measure`.
    """
    table = result_variables(source, products, keep, clip)
    data = xr.Dataset({name: (v.dims, found[name], _attributes(v)) for name, v in table.items()})
    T, cell = source.window.steps, CELLS[source.spec.cell]
    axes: dict[str, Any] = {
        "network": np.arange(data.sizes["network"]),
        "lag": ("lag", np.arange(T), {"units": "steps", "long_name": "lag"}),
        "step": ("step", np.arange(T), {"units": "steps", "long_name": "step"}),
        "norm": ["frobenius", "spectral"],
        "block": (
            "block",
            block_ends(T, source.window.burn_in),
            {"units": "steps", "long_name": "lag at the end of the block"},
        ),
        "visit": ("visit", visited_lags(T), {"units": "steps", "long_name": "lag of the step"}),
        "gate": list(cell.gates),
        "own_gate": list(cell.apart),
    }
    data = data.assign_coords({k: v for k, v in axes.items() if k in data.dims})
    data = data.assign_coords(clip_coordinates(clip))
    data.attrs = run_attributes(source)
    return data


def _attributes(variable: Variable) -> dict[str, str]:
    return {"units": variable.units, "long_name": variable.long_name}


def run_attributes(source: Source) -> dict[str, Any]:
    """What computed a result, for the attributes of a dataset."""
    return {
        "spec": source.spec.to_json(),
        "steps": source.window.steps,
        "burn_in": source.window.burn_in,
        "loss": LOSSES[source.window.every],
        "versions": json.dumps(versions()),
        "kernel_digest": kernel_digest(),
    }


@cache
def versions() -> dict[str, str]:
    """Versions of this package and of what it computes with."""
    found = {}
    for name in ("gradhorizon", "numba", "numpy", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a source tree
            found[name] = "not installed"
    return found
