"""Labels of arrays that a user gives: they are obeyed, and a result has those of its ensemble."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from ..kernels.contract import Array
from .ensemble import LARGEST_STEPS, Window
from .errors import InputError, Shown
from .spec import check_integer

SEQUENCES = ("sequence", "step", "feature")
"""Axes of real inputs."""

SHARED = {"network", "sequence", "step", "unit", "source", "feature", "gate", "own_gate"}
"""Axes that ensembles and results have in common."""

REPLACED = {"network", "step", "gate", "own_gate"}
"""Their labels that a result has anyway."""


def sequences_by_name(inputs: xr.DataArray) -> Any:
    """Real inputs with named axes, in the order in which they are read.

    Raises
    ------
    InputError
        If the axes are others, or labels put the steps into another order.
    """
    if set(inputs.dims) != set(SEQUENCES):
        found = Shown(", ".join(map(str, inputs.dims)))
        raise InputError("inputs.dims", found, ", ".join(SEQUENCES))
    if "step" in inputs.coords and list(inputs["step"].values) != list(range(inputs.sizes["step"])):
        raise InputError("inputs.step", _shown(inputs["step"].values), "0, 1, 2, ..., or no labels")
    return inputs.transpose(*SEQUENCES).data


def labelled_window(ensemble: xr.Dataset, burn_in: int | None) -> Window:
    """Which steps of an ensemble are measured.

    Parameters
    ----------
    ensemble : xarray.Dataset
        Steps with negative labels are burn-in. Where steps have no labels, the attribute
        ``burn_in`` says how many there are.
    burn_in : int, optional
        What the user says instead.

    Raises
    ------
    InputError
        If labels contradict each other or the attributes.
    """
    _check_units(ensemble)
    own = ensemble.attrs.get("burn_in")
    if own is not None:
        own = check_integer("ensemble.attrs.burn_in", own, 0, LARGEST_STEPS)
    every = bool(check_integer("ensemble.attrs.every", ensemble.attrs.get("every", 0), 0, 1))
    labels = _steps(ensemble)
    skipped = burn_in if burn_in is not None else own or 0
    if labels is not None and burn_in is None:
        skipped = int(np.count_nonzero(labels < 0))
        if own is not None and own < skipped:
            allowed = f"{skipped}, for so many steps have negative labels"
            raise InputError("ensemble.attrs.burn_in", own, allowed)
    if labels is not None and "loss_step" in ensemble.coords:
        losses = ensemble["loss_step"].values
        if list(losses) != list(labels[skipped:]):
            raise InputError("ensemble.loss_step", _shown(losses), "the measured steps in order")
    return Window(ensemble.sizes["step"] - skipped, skipped, every)


def check_free(ensemble: xr.Dataset, names: Iterable[str]) -> None:
    """Refuse labels that have the name of a result, which would take their place."""
    for name in names:
        if name in ensemble.coords and name not in REPLACED:
            raise InputError(f"ensemble.{name}", Shown("a coordinate"), "a name that no result has")


def with_labels(data: xr.Dataset, ensemble: xr.Dataset, window: Window) -> xr.Dataset:
    """A result with the labels of the ensemble it was measured on."""
    axes = SHARED & set(data.dims)
    measured = ensemble.isel(step=slice(window.burn_in, None))
    other = [name for name, values in measured.variables.items() if not set(values.dims) <= axes]
    own = measured.drop_vars({*other, *measured.data_vars}).coords
    labelled = data.assign_coords(own)
    for name in REPLACED & own.keys():
        labelled[name].attrs = {**data[name].attrs, **own[name].attrs}
    return labelled


def with_input_labels(data: xr.Dataset, inputs: Any, batch_size: int) -> xr.Dataset:
    """A result, or an ensemble, of random networks with the labels of what they read.

    Network i reads the sequences i B, ..., i B + B - 1, counted round. A label ``sequence`` of
    `inputs` becomes ``input_sequence`` (network, sequence), or (network) for B = 1; likewise every
    other coordinate of that axis.
    """
    if not isinstance(inputs, xr.DataArray):
        return data
    count = data.sizes["network"] * batch_size
    read = (np.arange(count) % inputs.sizes["sequence"]).reshape(-1, batch_size)
    axes, place = (("network", "sequence"), read) if batch_size > 1 else (("network",), read[:, 0])
    found: dict[str, Any] = {
        f"input_{name}": (axes, values.values[place], values.attrs)
        for name, values in inputs.coords.items()
        if values.dims == ("sequence",)
    }
    if "feature" in data.dims:
        own = inputs.coords.items()
        found |= {str(name): values for name, values in own if values.dims == ("feature",)}
    return data.assign_coords(found)


def _steps(ensemble: xr.Dataset) -> Array | None:
    """The labels of the steps, which follow one another; None if there are none."""
    if "step" not in ensemble.coords:
        return None
    labels = ensemble["step"].values
    if labels.dtype.kind in "iu":
        numbers = labels.astype(np.int64)
        if (np.diff(numbers) == 1).all():
            return numbers
    raise InputError("ensemble.step", _shown(labels), "integers, each the last one plus 1")


def _check_units(ensemble: xr.Dataset) -> None:
    """Refuse rows and columns of W whose labels say that they are in different order."""
    if {"unit", "source"} <= ensemble.coords.keys():
        place = {label: k for k, label in enumerate(ensemble["unit"].values.tolist())}
        sources = ensemble["source"].values
        if any(place.get(label, k) != k for k, label in enumerate(sources.tolist())):
            raise InputError("ensemble.source", _shown(sources), "the order of ensemble.unit")


def _shown(labels: Array) -> Shown:
    """The first few of some labels."""
    few = ", ".join(str(label) for label in labels[:6])
    return Shown(few + ", ..." * (len(labels) > 6))
