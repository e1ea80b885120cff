"""Ensembles as datasets: what `sample` returns and what `measure` accepts in its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..kernels.cells import CELLS
from ..kernels.contract import Array, Ensemble
from .ensemble import Source, Window
from .errors import InputError, Shown
from .spec import NetworkSpec
from .workspace import Workspace

LONG_NAMES = {
    "W": "recurrent weights",
    "U": "input weights",
    "b": "biases",
    "input": "inputs x",
    "initial_state": "state h before the first step",
    "readout_gradient": "dL/dh of the loss",
}


def ensemble_dataset(source: Source, networks: int) -> xr.Dataset:
    """The arrays of the first `networks` networks of a source, as a labelled dataset."""
    spec, window = source.spec, source.window
    gates = CELLS[spec.cell].gates
    drawn = source.draw(0, networks, Workspace())
    arrays = {
        "W": drawn.W,
        "U": drawn.U,
        "b": drawn.b,
        "input": _with_features(drawn.input, spec).swapaxes(1, 2),
        "initial_state": drawn.initial_state[:, :, 0],
        "readout_gradient": drawn.readout_gradient.swapaxes(1, 2)[:, :, ::-1],
    }
    shapes = dataset_shapes(spec, window, networks)
    variables = {}
    for name, array in arrays.items():
        attributes = {"units": "1", "long_name": LONG_NAMES[name]}
        values = array.reshape(tuple(shapes[name].values())).copy()
        variables[name] = (tuple(shapes[name]), values, attributes)
    coordinates = {
        "gate": list(gates),
        "step": np.arange(-window.burn_in, window.steps),
        "network": np.arange(networks),
    }
    data = xr.Dataset(variables, coordinates)
    return data.assign_attrs(spec=spec.to_json(), burn_in=window.burn_in, every=int(window.every))


def dataset_shapes(spec: NetworkSpec, window: Window, networks: int) -> dict[str, dict[str, int]]:
    """Dimensions and sizes of every array of an ensemble dataset."""
    n, m = spec.hidden_size, spec.input_size
    lead = {"network": networks} | ({} if spec.tied else {"step": window.total})
    gates = {"gate": len(CELLS[spec.cell].gates)}
    sequence = {"network": networks, "sequence": spec.batch_size}
    loss = {"loss_step": window.steps} if window.every else {}
    return {
        "W": lead | gates | {"unit": n, "source": n},
        "U": lead | gates | {"unit": n, "feature": m},
        "b": lead | gates | {"unit": n},
        "input": sequence | {"step": window.total, "feature": m},
        "initial_state": sequence | {"unit": n},
        "readout_gradient": sequence | loss | {"unit": n},
    }


def _with_features(inputs: Array, spec: NetworkSpec) -> Array:
    """Show inputs that are absent as zeros."""
    if inputs.shape[3] == 0:
        return np.zeros((*inputs.shape[:3], spec.input_size), inputs.dtype)
    return inputs


@dataclass(frozen=True)
class GivenSource:
    """Networks whose arrays are given: hand-made, or trained elsewhere."""

    spec: NetworkSpec
    window: Window
    arrays: dict[str, Array]
    networks: int
    given: bool = True

    @classmethod
    def from_dataset(cls, ensemble: xr.Dataset, burn_in: int | None) -> GivenSource:
        """Check a dataset in the form that `sample` returns.

        Raises
        ------
        InputError
            Naming the variable that is missing or has the wrong dimensions, size or type.
        """
        if "spec" not in ensemble.attrs:
            raise InputError(
                "ensemble.attrs", Shown("no 'spec'"), "a dataset as sample() returns it"
            )
        spec = NetworkSpec.from_json(ensemble.attrs["spec"])
        for size in ("network", "step"):
            if size not in ensemble.sizes:
                raise InputError(
                    "ensemble", Shown(f"no dimension {size!r}"), "a dataset as sample() returns it"
                )
        total, networks = ensemble.sizes["step"], ensemble.sizes["network"]
        skipped = ensemble.attrs.get("burn_in", 0) if burn_in is None else burn_in
        every = bool(ensemble.attrs.get("every", 0))
        window = Window(int(total - skipped), int(skipped), every)
        arrays = {
            name: _checked(ensemble, name, shape, spec.precision)
            for name, shape in dataset_shapes(spec, window, networks).items()
        }
        return cls(spec, window, arrays, networks)

    def draw(self, first: int, count: int, workspace: Workspace) -> Ensemble:
        """Arrays of the networks first, ..., first + count - 1."""
        part = {name: array[first : first + count] for name, array in self.arrays.items()}
        n, m = self.spec.hidden_size, self.spec.input_size
        steps = 1 if self.spec.tied else self.window.total
        W = part["W"].reshape(count, steps, -1, n)
        slots = len(CELLS[self.spec.cell].slots)
        initial = np.zeros((count, self.spec.batch_size, slots, n), W.dtype)
        initial[:, :, 0] = part["initial_state"]
        loss = part["readout_gradient"].reshape(count, self.spec.batch_size, self.window.losses, n)
        return Ensemble(
            W=np.ascontiguousarray(W),
            W_transposed=np.ascontiguousarray(W.swapaxes(2, 3)),
            U=np.ascontiguousarray(part["U"].reshape(count, steps, -1, m)),
            b=np.ascontiguousarray(part["b"].reshape(count, steps, -1)),
            input=np.ascontiguousarray(part["input"].swapaxes(1, 2)),
            initial_state=initial,
            readout_gradient=np.ascontiguousarray(loss.swapaxes(1, 2)[:, ::-1]),
        )


def _checked(ensemble: xr.Dataset, name: str, shape: dict[str, int], precision: str) -> Array:
    allowed = ", ".join(f"{dim}={size}" for dim, size in shape.items())
    if name not in ensemble:
        raise InputError("ensemble", Shown(f"no variable {name!r}"), f"{name} with ({allowed})")
    variable = ensemble[name]
    if set(variable.dims) != set(shape) or any(variable.sizes[d] != k for d, k in shape.items()):
        found = ", ".join(f"{dim}={size}" for dim, size in variable.sizes.items())
        raise InputError(f"ensemble.{name}", Shown(f"({found})"), f"({allowed})")
    if variable.dtype.kind not in "fiu":
        raise InputError(f"ensemble.{name}.dtype", Shown(variable.dtype), "real numbers")
    with np.errstate(over="ignore"):  # what the precision cannot hold is infinite, a bad input
        values: Array = variable.transpose(*shape).values.astype(precision)
    return values
