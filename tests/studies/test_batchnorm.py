"""The study ``batchnorm``: what its figure says, on small ensembles with a fixed seed."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.engine import InputError
from gradhorizon.studies import batchnorm


@pytest.fixture(scope="module")
def data(results):
    return results("batchnorm", "batch_size=4,16", "norm_scale=0.1,1", networks=32, steps=40)


def test_feed_forward_batch_norm_explodes(data):
    """At every batch size, gamma and activation; the less, the larger the batch."""
    one = data.sel(net="feed-forward batch")
    assert (one.rate_low > 0).all()
    usual = one.sel(norm_scale=1)
    assert (usual.rate_low.sel(batch_size=4) > usual.rate_high.sel(batch_size=16)).all()


def test_recurrent_batch_norm_vanishes_at_a_small_gamma(data):
    one = data.sel(norm_scale=0.1, batch_size=16)
    assert (one.rate_high.sel(net="recurrent batch") < -2).all()
    apart = one.rate_mean.sel(net="recurrent batch-separate")
    assert ((apart > -0.4) & (apart < -0.05)).all()


def test_theory_of_wide_networks_is_near(data):
    """Large batches, gamma = 1: within 0.04 nats per step at n = 64."""
    one = data.sel(batch_size=16, norm_scale=1)
    assert (abs(one.rate_mean - one.theory_rate) < 0.04).all()


def test_gamma_drops_out_for_relu_without_input(data):
    """ReLU is homogeneous and so is the norm, but for its epsilon."""
    rate = data.rate_mean.sel(net="feed-forward batch", activation="relu", batch_size=16)
    np.testing.assert_allclose(rate[0], rate[1], atol=0.01)


def test_there_is_no_theory_where_its_mean_square_is_infinite(results):
    data = results("batchnorm", "batch_size=2", "net=recurrent batch", networks=8, steps=20)
    assert data.theory_rate.isnull().all()
    assert data.rate_mean.notnull().any()


@pytest.mark.parametrize(
    ("overrides", "known"),
    [
        (("net=recurrent batch",), True),
        (("net=recurrent batch", "bias_scale=0.5"), False),  # but for the limit of large batches
        (("net=recurrent batch-separate", "bias_scale=0.5"), True),
        (("net=recurrent layer", "bias_scale=0.5"), True),
        (("net=recurrent layer", "gate_bias.hidden=1"), False),
        (("net=recurrent batch", "gate_bias.hidden=1"), False),
        (("net=recurrent layer", "cell=gru"), False),
        (("net=feed-forward batch", "cell=lstm"), False),
    ],
)
def test_where_there_is_theory(cells, overrides, known):
    at = ("activation=tanh", "batch_size=4", "norm_scale=1")
    (cell,) = cells("batchnorm", *at, *overrides)
    assert np.isfinite(batchnorm._theory(cell)) == known


def test_feed_forward_nets_draw_no_input_weights_to_speak_of(cells):
    at = ("activation=tanh", "batch_size=4", "norm_scale=1")
    sizes = {cell.point["net"]: cell.spec.input_size for cell in cells("batchnorm", *at)}
    assert {n.split()[0]: size for n, size in sizes.items()} == {"feed-forward": 1, "recurrent": 64}


def test_an_unknown_net_is_refused():
    with pytest.raises(InputError, match="recurrent layer"):
        batchnorm.fields({"net": "recurrent", "activation": "tanh"})
