"""Ensembles as datasets: what `sample` returns and what `measure` accepts in its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..kernels.cells import CELLS
from ..kernels.contract import Array, Ensemble
from .ensemble import Source, Window, own_bias_gates
from .errors import InputError, Shown
from .foreign import real_array
from .labels import labelled_window
from .place import Memory, Place
from .spec import NetworkSpec

LONG_NAMES = {
    "W": "recurrent weights",
    "U": "input weights",
    "b": "biases, added to the input terms",
    "b_recurrent": "biases of recurrent terms that have their own",
    "input": "inputs x",
    "initial_state": "state h before the first step",
    "readout_gradient": "dL/dh of the loss",
}


def ensemble_dataset(source: Source, networks: int) -> xr.Dataset:
    """The arrays of the first `networks` networks of a source, as a labelled dataset."""
    spec, window = source.spec, source.window
    cell = CELLS[spec.cell]
    drawn = source.draw(0, networks, Memory())
    silent = [(0, 0)] * 2 + [(0, len(cell.input_only))] + [(0, 0)] * 2
    by_sequence = drawn.readout_gradient.reshape(networks, window.losses, spec.batch_size, -1)
    arrays = {
        "W": np.pad(drawn.W, silent),
        "U": drawn.U_transposed.swapaxes(2, 3),
        "b": drawn.b[:, :, list(cell.input_rows)],
        "b_recurrent": drawn.b[:, :, own_bias_gates(spec)],
        "input": _with_features(drawn.input, spec).swapaxes(1, 2),
        **dict(zip(initial_names(spec), drawn.initial_state.swapaxes(0, 1), strict=True)),
        "readout_gradient": by_sequence.swapaxes(1, 2)[:, :, ::-1],
    }
    shapes = dataset_shapes(spec, window, networks)
    variables = {}
    for name, shape in shapes.items():
        attributes = {"units": "1", "long_name": LONG_NAMES.get(name, name.replace("_", " "))}
        values = arrays[name].reshape(tuple(shape.values())).copy()
        variables[name] = (tuple(shape), values, attributes)
    coordinates = {
        "gate": list(cell.gates),
        **({"own_gate": list(cell.apart)} if cell.apart else {}),
        "step": np.arange(-window.burn_in, window.steps),
        "network": np.arange(networks),
    }
    data = xr.Dataset(variables, coordinates)
    return data.assign_attrs(spec=spec.to_json(), burn_in=window.burn_in, every=int(window.every))


def dataset_shapes(spec: NetworkSpec, window: Window, networks: int) -> dict[str, dict[str, int]]:
    """Dimensions and sizes of every array of an ensemble dataset."""
    n, m = spec.hidden_size, spec.input_size
    lead = {"network": networks} | ({} if spec.tied else {"step": window.total})
    cell = CELLS[spec.cell]
    gates, own = {"gate": len(cell.gates)}, {"own_gate": len(cell.apart)}
    sequence = {"network": networks, "sequence": spec.batch_size}
    loss = {"loss_step": window.steps} if window.every else {}
    return {
        "W": lead | gates | {"unit": n, "source": n},
        "U": lead | gates | {"unit": n, "feature": m},
        "b": lead | gates | {"unit": n},
        **({"b_recurrent": lead | own | {"unit": n}} if cell.apart else {}),
        "input": sequence | {"step": window.total, "feature": m},
        **{name: sequence | {"unit": n} for name in initial_names(spec)},
        "readout_gradient": sequence | loss | {"unit": n},
    }


def initial_names(spec: NetworkSpec) -> list[str]:
    """Names of the variables that hold the initial values of the state's slots."""
    return ["initial_state", *(f"initial_{slot}_state" for slot in CELLS[spec.cell].slots[1:])]


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
        networks = ensemble.sizes["network"]
        if networks == 0:
            raise InputError("ensemble", Shown("no networks"), "at least one network")
        window = labelled_window(ensemble, burn_in)
        arrays = {
            name: _checked(ensemble, name, shape, spec)
            for name, shape in dataset_shapes(spec, window, networks).items()
        }
        silent = CELLS[spec.cell].input_only
        if silent and arrays["W"][..., -len(silent) :, :, :].any():
            shown = Shown(f"weights of {', '.join(silent)}")
            raise InputError("ensemble.W", shown, "zeros for gates that do not read h")
        return cls(spec, window, arrays, networks)

    def draw(self, first: int, count: int, place: Place) -> Ensemble:
        """Arrays of the networks first, ..., first + count - 1."""
        part = {name: array[first : first + count] for name, array in self.arrays.items()}
        spec, cell = self.spec, CELLS[self.spec.cell]
        n, m, B = spec.hidden_size, spec.input_size, spec.batch_size
        K, G = 1 if spec.tied else self.window.total, len(cell.gates)
        W = np.ascontiguousarray(part["W"].reshape(count, K, G, n, n)[:, :, : cell.recurrent])
        b = np.zeros((count, K, cell.rows, n), W.dtype)
        b[:, :, list(cell.input_rows)] = part["b"].reshape(count, K, G, n)
        if cell.apart:
            b[:, :, own_bias_gates(spec)] = part["b_recurrent"].reshape(count, K, -1, n)
        initial = np.stack([part[name] for name in initial_names(spec)], axis=1)
        loss = part["readout_gradient"].reshape(count, B, self.window.losses, n)
        arrays = Ensemble(
            W=W,
            W_transposed=np.ascontiguousarray(W.swapaxes(3, 4)),
            U_transposed=np.ascontiguousarray(part["U"].reshape(count, K, G * n, m).swapaxes(2, 3)),
            b=b,
            input=np.ascontiguousarray(part["input"].swapaxes(1, 2)),
            initial_state=np.ascontiguousarray(initial.reshape(count, -1, B * n)),
            readout_gradient=np.ascontiguousarray(
                loss.swapaxes(1, 2)[:, ::-1].reshape(count, -1, B * n)
            ),
        )
        return Ensemble(*map(place.put, Ensemble._fields, arrays))


def _checked(ensemble: xr.Dataset, name: str, shape: dict[str, int], spec: NetworkSpec) -> Array:
    allowed = ", ".join(f"{dim}={size}" for dim, size in shape.items())
    if name not in ensemble:
        raise InputError("ensemble", Shown(f"no variable {name!r}"), f"{name} with ({allowed})")
    variable = ensemble[name]
    if set(variable.dims) != set(shape) or any(variable.sizes[d] != k for d, k in shape.items()):
        found = ", ".join(f"{dim}={size}" for dim, size in variable.sizes.items())
        raise InputError(f"ensemble.{name}", Shown(f"({found})"), f"({allowed})")
    gates = {"gate": CELLS[spec.cell].gates, "own_gate": CELLS[spec.cell].apart}
    for dim in gates.keys() & set(variable.dims) & set(ensemble.coords):
        if list(ensemble[dim].values) != list(gates[dim]):
            shown = Shown(", ".join(map(str, ensemble[dim].values)))
            raise InputError(f"ensemble.{dim}", shown, ", ".join(gates[dim]))
    numbers = real_array(f"ensemble.{name}", variable.transpose(*shape).data, f"({allowed})")
    with np.errstate(over="ignore"):  # what the precision cannot hold is infinite, a bad input
        return numbers.astype(spec.precision)
