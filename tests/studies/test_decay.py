"""The study ``decay``: where theory stands beside the measurement."""

from __future__ import annotations

from math import isnan, log

import pytest

from gradhorizon.studies import decay

ONE = ("activation=tanh", "slope=2", "weight_scale=0.5")
RATE, BOUND, CERTIFIED, PREDICTED = decay.THEORY


def theory(cells, *overrides, **options):
    (cell,) = cells("decay", *ONE, *overrides, **options)
    return dict(zip(decay.THEORY, decay._theory(cell, 0.25), strict=True))


@pytest.mark.parametrize("tied", ["true", "false"])
def test_the_plain_cell_has_all_of_it(cells, tied):
    found = theory(cells, f"tied={tied}")
    assert found[RATE] < found[CERTIFIED] == pytest.approx(log(2))
    assert found[BOUND] == 2
    assert found[PREDICTED] == pytest.approx(log(0.25))


@pytest.mark.parametrize(
    ("overrides", "valid"),
    [
        (("gate_bias.hidden=0",), {RATE, BOUND, CERTIFIED, PREDICTED}),
        (("gate_bias.hidden=1",), {BOUND, CERTIFIED, PREDICTED}),
        (("weights=orthogonal",), {BOUND, PREDICTED}),
        (("weights=pytorch",), {BOUND}),
        (("normalization=layer",), {BOUND}),
        (("normalization=batch", "batch_size=4"), {BOUND}),
        (("skip=1",), {BOUND}),
        (("cell=lstm", "slope=1"), set()),
        (("cell=gru", "slope=1", "gate_bias.update=1"), set()),
        (("cell=minimal_rnn", "slope=1"), set()),
    ],
)
def test_elsewhere_there_is_only_what_is_valid(cells, overrides, valid):
    assert {name for name, v in theory(cells, *overrides).items() if not isnan(v)} == valid
