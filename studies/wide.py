"""Which wide network, whose theory is known, the networks of a cell are finite samples of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .decay import LARGEST

if TYPE_CHECKING:
    from .sweep import Cell


def wide_network(cell: Cell) -> dict[str, Any] | None:
    """Arguments of `theory.mean_field` for a cell; None where it does not know its networks.

    The theory is of plain nets without fixed biases whose inputs are N(0, 1) or nothing. Which
    weights it holds for is left to the caller.
    """
    spec, inputs = cell.spec, cell.sweep.inputs_name
    plain = (spec.cell, spec.normalization, spec.skip, spec.branch) == ("rnn", "none", 0, 1)
    moderate = max(spec.slope, spec.weight_scale, spec.bias_scale, spec.input_scale) <= LARGEST
    known = plain and moderate and inputs in ("gaussian", "zero")
    if not known or any(spec.gate_bias.values()):
        return None
    return {
        "activation": spec.activation,
        "slope": spec.slope,
        "weight_scale": spec.weight_scale,
        "bias_scale": spec.bias_scale,
        "input_variance": spec.input_scale**2 if inputs == "gaussian" else 0.0,
    }
