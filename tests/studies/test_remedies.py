"""The study ``remedies``: settings, ranking and claims, on small ensembles with a fixed seed."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.engine import InputError, NetworkSpec, measure
from gradhorizon.studies import remedies
from gradhorizon.studies.options import Options, settle
from gradhorizon.studies.remedy_settings import REMEDIES
from gradhorizon.studies.run import report


@pytest.fixture(scope="module")
def data(results):
    return results("remedies", "hidden_size=32", networks=32, steps=100)


@pytest.mark.parametrize("name", REMEDIES)
def test_every_remedy_has_as_many_settings_and_a_valid_specification(name):
    remedy = REMEDIES[name]
    assert len(remedy.values) == remedies.SETTINGS
    for setting in range(remedies.SETTINGS):
        NetworkSpec.from_dict(remedy.fields(setting))
        assert remedy.label(setting)


def test_repeated_settings_are_measured_once():
    """Padding, and all of clipping, which is the baseline."""
    sweep = settle(remedies.STUDY, Options())
    specs = {cell.spec for cell in sweep.cells}
    assert len(sweep.distinct) == len(specs) < len(sweep.cells)


@pytest.mark.parametrize(
    "change",
    [{"remedy": "prayer"}, {"setting": 8}, {"setting": -1}, {"setting": 0.5}, {"setting": True}],
)
def test_unknown_remedies_and_settings_are_refused(change):
    with pytest.raises(InputError):
        remedies.fields({"remedy": "tanh", "setting": 0, **change})


def test_lengths_and_their_intervals(data):
    spec = NetworkSpec(weights="pytorch", activation="relu", weight_scale=2.4, hidden_size=32)
    rate = measure(spec, networks=32, steps=100).rate.values
    one = data.sel(remedy="relu", setting=REMEDIES["relu"].values.index(2.4))
    assert one.reach == pytest.approx(1 / abs(rate).mean(), rel=1e-12)
    assert one.reach_of_mean == pytest.approx(1 / abs(rate.mean()), rel=1e-12)
    assert one.reach_low < one.reach < one.reach_high
    contains_zero = data.rate_low * data.rate_high <= 0
    assert contains_zero.any()
    np.testing.assert_array_equal(np.isinf(data.reach_of_mean_high), contains_zero)
    assert (data.reach <= data.reach_of_mean * (1 + 1e-12)).all(), "|mean| <= mean | |"


def test_the_best_setting_reaches_farthest(data):
    eligible = data.reach.where(data.measured_share >= remedies.LEAST_MEASURED)
    chosen = data.reach.sel(setting=data.best)
    np.testing.assert_array_equal(chosen, eligible.max("setting"))


def test_a_setting_that_kills_networks_is_not_the_best(results):
    """ReLU networks of two units: most are dead at one setting or another."""
    data = results("remedies", "remedy=identity relu,relu", "hidden_size=2", networks=64, steps=60)
    alive = data.measured_share >= remedies.LEAST_MEASURED
    assert not alive.all()
    some = alive.any("setting")
    assert (alive.sel(setting=data.best) | ~some).all()


def test_clipping_reaches_as_far_as_the_baseline(data):
    np.testing.assert_array_equal(
        data.log_gradient_mean.sel(remedy="clipping", setting=0),
        data.log_gradient_mean.sel(remedy="tanh", setting=0),
    )


def test_what_the_figure_says(data):
    """Defaults of the usual remedies reach a few steps; their knobs reach ten times as far."""
    default, best = data.reach.sel(setting=0), data.reach.sel(setting=data.best)
    usual = ["tanh", "relu", "leaky relu", "orthogonal", "lstm", "gru", "batch norm", "layer norm"]
    assert (default.sel(remedy=usual) < 4).all()
    far = ["tanh", "orthogonal", "lstm", "gru", "batch norm", "residual", "leaky"]
    assert (best.sel(remedy=far) > 8 * default.sel(remedy=far)).all()
    assert (data.rate_low.sel(remedy="residual", setting=0)) > 0
    spread = data.rate_sd.sel(setting=data.best)
    assert spread.sel(remedy="relu he") > 4 * spread.sel(remedy="orthogonal")


def test_a_part_of_the_grid_is_drawn(results):
    data = results("remedies", "remedy=gru,lstm", "setting=2,3", "hidden_size=8", networks=8)
    assert set(data.best.values) <= {2, 3}
    assert str(data.label.sel(remedy="gru", setting=2).values) == "update bias 2"


def test_the_table_at_the_end_shows_what_the_ranking_is_about(results, tmp_path):
    data = results("remedies", "remedy=gru,lstm", "setting=2,3", "hidden_size=8", networks=8)
    title, gru, lstm, _ = report(data, tmp_path)
    assert "absolute_rate: lowest, median, highest cell" in title
    for line in (gru, lstm):
        one = data.absolute_rate_mean.sel(remedy=line.split()[0])
        assert line.split()[2] == f"{one.min():.4f}"
        assert line.endswith("nats per step")
