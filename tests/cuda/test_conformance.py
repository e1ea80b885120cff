"""The suite of the CPU on a GPU: every cell and norm against the naive reference."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from conformance import KEEP, PRODUCTS, SKIPS, architecture, compare, draw

from gradhorizon.engine import NetworkSpec, measure
from gradhorizon.engine.spec import CHOICES


def cases() -> list[Any]:
    """Every cell with every norm; precision, weights and skips take turns."""
    turns = zip(
        itertools.cycle(["float64", "float32", "float64"]),
        itertools.cycle([True, False]),
        itertools.cycle(SKIPS),
        strict=False,
    )
    found = itertools.product(CHOICES["cell"], CHOICES["normalization"])
    return [
        pytest.param(*names, *turn, id="-".join(map(str, (*names, *turn))))
        for names, turn in zip(found, turns, strict=False)
    ]


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("cell, normalization, precision, tied, skip", cases())
def test_products_equal_the_reference(
    cell: str, normalization: str, precision: str, tied: bool, skip: str
) -> None:
    """All variables of all products, and the arrays themselves."""
    keep_h, branch, weight_scale = SKIPS[skip]
    spec = NetworkSpec(
        hidden_size=3,
        input_size=2,
        weight_scale=weight_scale,
        tied=tied,
        skip=keep_h,
        branch=branch,
        batch_size=4 if normalization.startswith("batch") else 2,
        precision=precision,
        **architecture(cell, normalization),
    )
    case = draw(spec, 2, 3, burn_in=1, loss="every")
    compare(measure(case.ensemble, products=PRODUCTS, keep=KEEP, device="cuda"), case)


@pytest.mark.parametrize("activation", CHOICES["activation"])
def test_every_activation(activation: str) -> None:
    """The plain network, one sequence, fewer units than lanes."""
    spec = NetworkSpec(hidden_size=3, weight_scale=0.8, **architecture("rnn", "none", activation))
    case = draw(spec, 1, 4)
    compare(measure(case.ensemble, products=PRODUCTS, keep=KEEP, device="cuda"), case)
