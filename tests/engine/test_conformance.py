"""One suite for every architecture: all products against the naive reference."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from conformance import (
    KEEP,
    NETWORKS,
    PRODUCTS,
    SKIPS,
    STEPS,
    architecture,
    compare,
    draw,
    understood,
)

from gradhorizon.engine import NetworkSpec, measure, sample
from gradhorizon.engine.spec import CHOICES


def cases() -> list[Any]:
    """(architecture, batch size): every activation, and every cell with every normalisation.

    Batches normalised over their sequences have four of them: with two, nothing but signs is
    left, and three leave one direction, so that little remains of a gradient but rounding.
    """
    found = [("rnn", "none", activation) for activation in CHOICES["activation"]]
    for cell in CHOICES["cell"]:
        for activation in ("tanh", "relu") if cell == "rnn" else ("tanh",):
            for normalization in CHOICES["normalization"]:
                found.append((cell, normalization, activation))
    return [
        pytest.param(architecture(*names), batch, id=f"{'-'.join(names)}-{batch}")
        for names in dict.fromkeys(found)
        for batch in ((4,) if names[1].startswith("batch") else (1, 3))
    ]


def combinations() -> list[Any]:
    """Every case in both precisions, tied and untied; in the long form with all skip connections.

    In the short one the skip connections take turns: every case meets all three, and so do the
    precisions, tied and untied networks, each with every cell and every normalisation.
    """
    found = []
    for k, case in enumerate(cases()):
        for j, (precision, tied) in enumerate(product(("float64", "float32"), (True, False))):
            for i, skip in enumerate(SKIPS):
                turn = (k + j) % len(SKIPS) == i
                name = f"{case.id}-{'tied' if tied else 'untied'}-{skip}-{precision}"
                marks = () if turn else pytest.mark.slow
                found.append(
                    pytest.param(*case.values, tied, skip, precision, id=name, marks=marks)
                )
    return found


@pytest.mark.parametrize("fields, batch_size, tied, skip, precision", combinations())
def test_products_equal_the_reference(
    fields: dict, batch_size: int, tied: bool, skip: str, precision: str
) -> None:
    """All variables of all products, and the arrays themselves."""
    keep_h, branch, weight_scale = SKIPS[skip]
    spec = NetworkSpec(
        hidden_size=7 if fields["cell"] == "rnn" else 4,
        input_size=4,
        weight_scale=weight_scale,
        tied=tied,
        skip=keep_h,
        branch=branch,
        batch_size=batch_size,
        precision=precision,
        **fields,
    )
    loss = "every" if batch_size > 1 else "last"
    case = draw(spec, NETWORKS, STEPS, burn_in=2 if tied else 1, loss=loss)
    compare(measure(case.ensemble, products=PRODUCTS, keep=KEEP), case)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 17, 33])
def test_any_size_equals_the_reference(size: int) -> None:
    """Sizes on both sides of every unrolled loop, inputs of another size."""
    spec = NetworkSpec(hidden_size=size, input_size=size % 3 + 1, batch_size=2, weight_scale=0.7)
    case = draw(spec, 2, 6)
    compare(measure(case.ensemble, products=PRODUCTS, keep=KEEP), case)


@pytest.mark.parametrize("size, batch_size", [(3, 9), (4, 5), (8, 3), (9, 1)])
@pytest.mark.parametrize("normalization", CHOICES["normalization"])
@pytest.mark.parametrize("cell", CHOICES["cell"])
def test_any_shape_equals_the_reference(
    cell: str, normalization: str, size: int, batch_size: int
) -> None:
    """Few units and many sequences, and the other way round."""
    if normalization.startswith("batch") and batch_size < 4:
        batch_size = 6
    spec = NetworkSpec(
        hidden_size=size,
        input_size=3,
        batch_size=batch_size,
        weight_scale=0.7,
        skip=0.6,
        branch=0.5,
        **architecture(cell, normalization),
    )
    case = draw(spec, 1, 3)
    compare(measure(case.ensemble, products=PRODUCTS, keep=KEEP), case)


@pytest.mark.parametrize("normalization", CHOICES["normalization"])
@pytest.mark.parametrize("cell", CHOICES["cell"])
def test_without_inputs(cell: str, normalization: str) -> None:
    """Nothing enters but the initial state: no term of dL/dU is left."""
    fields = architecture(cell, normalization)
    spec = NetworkSpec(hidden_size=5, input_size=2, batch_size=4, weight_scale=1.1, **fields)
    arguments = dict(networks=2, steps=5, seed=8, inputs="zero")
    data = measure(spec, products=PRODUCTS, keep=KEEP, **arguments)
    assert (data.grad_U == 0).all() and (data.log_grad_U == -np.inf).all()
    compare(data, understood(sample(spec, **arguments)))


@pytest.mark.parametrize("loss", ["last", "every"])
@pytest.mark.parametrize("burn_in", [0, 3])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("cell", CHOICES["cell"])
def test_window_and_loss(cell: str, loss: str, burn_in: int, tied: bool) -> None:
    """Where the loss acts and what burn-in leaves out."""
    spec = NetworkSpec(cell=cell, hidden_size=5, tied=tied, batch_size=2, weight_scale=0.9)
    arguments = dict(networks=2, steps=6, seed=3, burn_in=burn_in, loss=loss)
    case = understood(sample(spec, **arguments))
    assert case.ensemble.sizes["step"] == 6 + burn_in
    compare(measure(spec, products=PRODUCTS, keep=KEEP, **arguments), case)
