"""The study ``gates``: what its figure says, on small ensembles with a fixed seed."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.engine import InputError
from gradhorizon.studies import gates


@pytest.fixture(scope="module")
def data(results):
    return results(
        "gates",
        "hidden_size=32",
        "ensemble=pytorch,gaussian 1",
        "bias=-1,0,2,4",
        steps=100,
    )


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_positive_bias_opens_the_path(data, cell):
    """Far apart: each step of the bias raises the mean rate by more than its 95 % intervals."""
    for ensemble in data.ensemble.values:
        one = data.sel(cell=cell, ensemble=ensemble, input_scale=1)
        assert (one.rate_low.values[1:] > one.rate_high.values[:-1]).all()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_with_bias_zero_memory_is_about_two_steps(data, cell):
    horizon = data.horizon_quantile.sel(quantile=0.5, cell=cell, bias=0, input_scale=1)
    assert ((horizon > 1.5) & (horizon < 3)).all()


def test_the_zero_fixed_point_tells_the_rate_without_input(data):
    """Within 0.06, what the spectral radius of a 32 x 32 block leaves the disc by."""
    one = data.sel(ensemble="gaussian 1", input_scale=0)
    there = one.fixed_point_rate.notnull()
    assert there.sum() == 6
    assert (abs(one.rate_mean - one.fixed_point_rate).where(there, 0) < 0.06).all()
    formula = np.log(0.5 + 0.25 * 1.0)
    assert one.fixed_point_rate.sel(bias=0).values == pytest.approx([formula, formula])


def test_unstable_zero_has_no_theory(data):
    """f + i o > 1 for the LSTM from a forget bias of ln 3 on."""
    assert data.fixed_point_rate.sel(cell="lstm", ensemble="gaussian 1", bias=[2, 4]).isnull().all()


@pytest.mark.parametrize(
    ("overrides", "known"),
    [
        ((), True),
        (("bias_scale=0.1",), False),  # moves the fixed point
        (("tied=false",), False),
        (("skip=1",), False),
        (("normalization=layer",), False),
        (("ensemble=pytorch",), True),
        (("ensemble=pytorch", "tied=false"), False),
    ],
)
@pytest.mark.parametrize("gated", ["lstm", "gru"])
def test_where_there_is_theory(cells, gated, overrides, known):
    at = (f"cell={gated}", "ensemble=gaussian 0.5", "bias=0", "input_scale=0")
    (cell,) = cells("gates", *at, *overrides)
    assert np.isfinite(gates._fixed_point_rate(cell)) == known


@pytest.mark.parametrize(("scales", "words"), [("0", ""), ("1,0", ", with inputs")])
def test_titles_say_what_is_driven(results, scales, words):
    at = ("hidden_size=4", "ensemble=pytorch", "bias=0,1", f"input_scale={scales}")
    data = results("gates", *at, networks=4, steps=10)
    titles = [ax.get_title() for ax in gates.figure(data).axes]
    assert [t for t in titles if "horizon" in t] == [
        f"(c) LSTM: horizon{words}",
        f"(d) GRU: horizon{words}",
    ]


def test_the_gate_is_that_of_the_cell():
    point = {"ensemble": "gaussian 0.5", "bias": 3.0, "input_scale": 1.0}
    assert gates.fields({**point, "cell": "lstm"})["gate_bias"] == {"forget": 3.0}
    assert gates.fields({**point, "cell": "gru"})["gate_bias"] == {"update": 3.0}
    assert gates.fields({**point, "cell": "gru"})["weight_scale"] == 0.5


@pytest.mark.parametrize(
    "change", [{"cell": "rnn"}, {"ensemble": "gaussian wide"}, {"ensemble": "uniform"}]
)
def test_unknown_words_are_refused(change):
    point = {"cell": "lstm", "ensemble": "pytorch", "bias": 0.0, "input_scale": 1.0}
    with pytest.raises(InputError):
        gates.fields({**point, **change})
