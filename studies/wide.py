"""Which wide network, whose theory is known, the networks of a cell are finite samples of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..engine import NetworkSpec
    from .sweep import Cell

LARGEST = 1e100
"""Scale beyond which the theory's squares leave float64."""


def is_bare(spec: NetworkSpec) -> bool:
    """Whether a cell stands alone, h' = f(net): nothing skips it, nothing normalises net."""
    return (spec.skip, spec.branch, spec.normalization) == (0, 1, "none")


def is_plain(spec: NetworkSpec) -> bool:
    """Whether networks are h' = phi(W h + U x + b), of which the theory of wide networks is."""
    return spec.cell == "rnn" and is_bare(spec)


def is_moderate(spec: NetworkSpec) -> bool:
    """Whether the theory can compute with all scales of a network."""
    return max(spec.slope, spec.weight_scale, spec.bias_scale, spec.input_scale) <= LARGEST


def wide_network(cell: Cell) -> dict[str, Any] | None:
    """Arguments of `theory.mean_field` for a cell; None where it does not know its networks.

    The theory is of plain nets without fixed biases whose inputs are N(0, 1) or nothing. Which
    weights it holds for is left to the caller.
    """
    spec, inputs = cell.spec, cell.sweep.inputs_name
    known = is_plain(spec) and is_moderate(spec) and inputs in ("gaussian", "zero")
    if not known or any(spec.gate_bias.values()):
        return None
    return {
        "activation": spec.activation,
        "slope": spec.slope,
        "weight_scale": spec.weight_scale,
        "bias_scale": spec.bias_scale,
        "input_variance": spec.input_scale**2 if inputs == "gaussian" else 0.0,
    }
