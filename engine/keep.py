"""The arrays themselves, for small ensembles: states and weight gradients in true size."""

from __future__ import annotations

import numpy as np

from ..kernels.cells import CELLS
from .chunk import Run
from .ensemble import own_bias_gates
from .spec import NetworkSpec
from .variable import Arrays, Variable

_UNTIED_NOTE = "a leading step axis when the weights are fresh at every step"


def states(run: Run) -> Arrays:
    """The state after every measured step, slot by slot; inf where it exceeds float64."""
    first = run.window.burn_in + 1
    count, steps, slots, _ = run.arrays.tape.state[:, first:].shape
    shape = (count, steps, slots, run.spec.batch_size, run.spec.hidden_size)
    state = run.arrays.tape.state[:, first:].reshape(shape).astype(np.float64)
    with np.errstate(over="ignore"):
        state = np.ldexp(state, run.arrays.tape.exponent[:, first:, None, :, None])
    names = slot_names(run.spec)
    return {
        name: np.ascontiguousarray(state[:, :, a].swapaxes(1, 2)) for a, name in enumerate(names)
    }


def slot_names(spec: NetworkSpec) -> list[str]:
    """Names of the state's slots as variables: ``state`` is h."""
    return ["state", *(f"{slot}_state" for slot in CELLS[spec.cell].slots[1:])]


def gradients(run: Run) -> Arrays:
    """dL/dW, dL/dU and dL/db; inf where they exceed float64."""
    cell, n = CELLS[run.spec.cell], run.spec.hidden_size
    result, count = run.arrays.gradient, run.count
    full = {}
    for k, name in enumerate("WUb"):
        value = getattr(result, name)
        exponent = result.sum_exponent[:, k, None]
        if not run.spec.tied:
            exponent = result.exponent[:, k, ::-1]
        with np.errstate(over="ignore"):
            value = np.ldexp(value.astype(np.float64), exponent[..., None, None])
        K, rows, columns = value.shape[1:]
        full[name] = value.reshape(count, K, rows // n, n, columns)
    silent = [(0, 0)] * 2 + [(0, len(cell.input_only))] + [(0, 0)] * 2
    b = full["b"][..., 0]
    arrays = {
        "grad_W": np.pad(full["W"], silent),
        "grad_U": full["U"],
        "grad_b": b[:, :, list(cell.input_rows)],
    }
    if cell.apart:
        arrays["grad_b_recurrent"] = b[:, :, own_bias_gates(run.spec)]
    return {name: a[:, 0] if run.spec.tied else a for name, a in arrays.items()}


def kept_variables(spec: NetworkSpec) -> dict[str, dict[str, Variable]]:
    """Variables of each thing that can be kept."""
    cell = CELLS[spec.cell]
    lead = ("network",) if spec.tied else ("network", "step")
    note = "" if spec.tied else f" ({_UNTIED_NOTE})"
    dims = ("network", "sequence", "step", "unit")
    kept = {
        "states": {
            name: Variable(dims, "1", f"state {slot}")
            for name, slot in zip(slot_names(spec), cell.slots, strict=True)
        },
        "gradients": {
            "grad_W": Variable((*lead, "gate", "unit", "source"), "1", f"dL/dW{note}"),
            "grad_U": Variable((*lead, "gate", "unit", "feature"), "1", f"dL/dU{note}"),
            "grad_b": Variable((*lead, "gate", "unit"), "1", f"dL/db{note}"),
        },
    }
    if cell.apart:
        own = Variable((*lead, "own_gate", "unit"), "1", f"dL/db of recurrent terms{note}")
        kept["gradients"]["grad_b_recurrent"] = own
    return kept


KEEPERS = {"states": states, "gradients": gradients}
