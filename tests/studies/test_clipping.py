"""The study ``clipping``: what its figure says, on small ensembles with a fixed seed."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.studies import clipping


@pytest.fixture(scope="module")
def data(results):
    return results("clipping", "hidden_size=32", "weight_scale=0.5,1.41,4", steps=80)


def test_clipping_bounds_the_step(data):
    """The mean over networks of the norm after, for the norm at most the threshold itself."""
    for c in clipping.NORM:
        after = data.sel(clip=f"norm {c:g}")
        assert (after.log_clipped_norm_mean <= np.log(c) + 1e-9).all()
    assert (data.log_grad_norm_mean.sel(weight_scale=4) > np.log(max(clipping.NORM))).all()


def test_norm_clipping_turns_nothing_and_value_clipping_does(data):
    angle = data.clip_angle_mean
    assert (angle[:, :, (data.clip_kind == "norm").values] == 0).all()
    assert (angle.sel(weight_scale=4)[:, (data.clip_kind == "value").values] > 0.5).all()
    turned = angle.sel(clip="value 1")
    assert (turned.sel(weight_scale=0.5) < turned.sel(weight_scale=4) / 10).all()


def test_clipping_leaves_the_rate_alone(data):
    """All terms are multiplied by one number: the same slope over the lags, down to rounding."""
    shift = data.clipped_contribution_U_mean - data.contribution_U_mean
    np.testing.assert_allclose(shift - shift.isel(lag=0), 0, atol=1e-9)
    lags = data.lag.values[10:]
    slope = np.polyfit(lags, data.clipped_contribution_U_mean.sel(activation="tanh")[:, 10:].T, 1)
    np.testing.assert_allclose(slope[0], data.rate_mean.sel(activation="tanh"), atol=0.03)


def test_a_vanishing_gradient_is_clipped_too(data):
    """Its recent terms are of a norm over 1; at a threshold of 100 nothing happens to it."""
    vanishing = data.sel(weight_scale=0.5)
    assert (vanishing.rate_high < -0.5).all()
    assert (vanishing.clipped_share_mean.sel(clip="norm 1") == 1).all()
    assert (vanishing.clipped_share_mean.sel(clip="norm 100") == 0).all()


def test_histograms_are_shares_of_networks(data):
    np.testing.assert_allclose(data.norm_histogram_mean.sum("bin"), 1, rtol=1e-12)
    np.testing.assert_allclose(data.clipped_norm_histogram_mean.sum("bin"), 1, rtol=1e-12)
    width = float(data.bin[1] - data.bin[0])
    far = data.clipped_norm_histogram_mean.sel(clip="norm 10").where(data.bin > 1 + width, 0)
    assert (far == 0).all()


def test_a_histogram_holds_what_is_beyond_in_its_end_bins():
    low, high = clipping.DECADES
    log_norm = np.log(10) * np.array([-500.0, low + 0.01, high - 0.01, 500.0])
    found = clipping._histogram(log_norm)
    assert list(found.argmax(axis=1)) == [0, 0, clipping.BINS - 1, clipping.BINS - 1]
    assert (found.sum(axis=1) == 1).all()


def test_the_panel_of_terms_fits_what_it_shows(data):
    """80 steps are too few for the fixed range of a run of the usual length."""
    panels = clipping.figure(data).axes[-2:]
    low, high = panels[0].get_ylim()
    drawn = [line.get_ydata() for ax in panels for line in ax.lines]
    drawn = np.concatenate([y for y in drawn if len(y)])
    assert low < drawn.min() < drawn.max() < high
    assert high - low < 2 * np.ptp(drawn)
