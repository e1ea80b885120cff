"""The arrays themselves, for small ensembles: states and weight gradients in true size."""

from __future__ import annotations

import numpy as np

from ..kernels.contract import Array
from .chunk import Run
from .products import Arrays, Variable

_UNTIED_NOTE = "a leading step axis when the weights are fresh at every step"


def states(run: Run) -> Arrays:
    """h after every measured step; inf where it exceeds float64."""
    first = run.window.burn_in + 1
    state = run.tape.state[:, first:, :, 0].astype(np.float64)
    with np.errstate(over="ignore"):
        state = np.ldexp(state, run.tape.exponent[:, first:, :, None])
    return {"state": np.ascontiguousarray(state.swapaxes(1, 2))}


def gradients(run: Run) -> Arrays:
    """dL/dW, dL/dU and dL/db; inf where they exceed float64."""
    gates = run.tape.net.shape[3]
    if run.spec.tied:
        result = run.weight_gradient
        parts = {"W": result.W[:, 0], "U": result.U[:, 0], "b": result.b[:, 0, :, 0]}
        exponents = {name: result.sum_exponent[:, k] for k, name in enumerate(parts)}
    else:
        parts, exponents = _terms(run)
    if parts["U"].shape[-1] == 0:  # not driven
        parts["U"] = np.zeros((*parts["U"].shape[:-1], run.spec.input_size))
    arrays = {}
    for name, value in parts.items():
        exponent = exponents[name].reshape(
            exponents[name].shape + (1,) * (value.ndim - exponents[name].ndim)
        )
        with np.errstate(over="ignore"):
            full = np.ldexp(value.astype(np.float64), exponent)
        lead = 1 if run.spec.tied else 2
        split = (*full.shape[:lead], gates, full.shape[lead] // gates, *full.shape[lead + 1 :])
        arrays[f"grad_{name}"] = full.reshape(split)
    return arrays


def _terms(run: Run) -> tuple[dict[str, Array], dict[str, Array]]:
    """Gradients of the weights of each step, with exponents (network, step)."""
    first = run.window.burn_in
    delta = run.tape.net[:, first:].reshape(run.count, run.window.steps, run.spec.batch_size, -1)
    lag_exponent = run.adjoint.exponent[:, ::-1].astype(np.int64)
    common = run.tape.exponent[:, first:-1].max(axis=2)
    shift = run.tape.exponent[:, first:-1] - common[:, :, None]
    state = np.ldexp(run.tape.state[:, first:-1, :, 0], shift[..., None])
    parts = {
        "W": np.einsum("ktbi,ktbj->ktij", delta, state),
        "U": np.einsum("ktbi,ktbj->ktij", delta, run.ensemble.input[:, first:]),
        "b": delta.sum(axis=2),
    }
    return parts, {"W": lag_exponent + common, "U": lag_exponent, "b": lag_exponent}


def kept_variables(tied: bool) -> dict[str, dict[str, Variable]]:
    """Variables of each thing that can be kept."""
    lead = ("network",) if tied else ("network", "step")
    note = "" if tied else f" ({_UNTIED_NOTE})"
    return {
        "states": {"state": Variable(("network", "sequence", "step", "unit"), "1", "state h")},
        "gradients": {
            "grad_W": Variable((*lead, "gate", "unit", "source"), "1", f"dL/dW{note}"),
            "grad_U": Variable((*lead, "gate", "unit", "feature"), "1", f"dL/dU{note}"),
            "grad_b": Variable((*lead, "gate", "unit"), "1", f"dL/db{note}"),
        },
    }


KEEPERS = {"states": states, "gradients": gradients}
