"""The study ``depth``: what its figure says, on small ensembles with a fixed seed."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.engine import InputError, NetworkSpec, measure
from gradhorizon.studies import depth

DEPTH = 60


@pytest.fixture(scope="module")
def data(results):
    return results("depth", networks=128, steps=DEPTH)


def test_which_layers_learn(data):
    share = data.learning_share_mean
    assert (share.sel(net=["tanh 1", "tanh critical", "relu he"]) > 0.9).all()
    assert share.sel(net="tanh pytorch") < 0.1
    assert share.sel(net="relu batch") < 0.25
    for activation in ("tanh", "relu"):
        plain, skip = f"{activation} batch", f"{activation} batch residual"
        assert share.sel(net=skip) > 2 * share.sel(net=plain)


def test_batch_norm_makes_gradients_explode_and_skip_connections_tame_it(data):
    """The growth over all layers, beside that of the theory of the batch size, to 10 %."""
    for activation in ("tanh", "relu"):
        one = data.sel(net=f"{activation} batch").isel(lag=-1)
        assert one.log_gradient_mean == pytest.approx(float(one.theory_log_gradient), rel=0.1)
        assert one.log_gradient_low > 3
        tamed = data.log_gradient_mean.sel(net=f"{activation} batch residual").isel(lag=-1)
        assert abs(tamed) < one.log_gradient_mean / 2


def test_he_initialised_relu_loses_what_theory_says(data):
    """Exact at every width (Hanin and Nica 2020); |z| < 4 fails once in 16,000 seeds."""
    one = data.sel(net="relu he").isel(lag=-1)
    error = float(one.log_gradient_sd) / np.sqrt(data.attrs["networks"])
    assert abs(one.log_gradient_mean - one.theory_log_gradient) < 4 * error
    assert one.theory_log_gradient < -0.9


def test_residual_theory(data):
    one = data.sel(net="tanh residual").isel(lag=-1)
    assert one.log_gradient_mean == pytest.approx(float(one.theory_log_gradient), rel=0.1)


@pytest.mark.parametrize("net", ["tanh 1", "tanh critical"])
def test_theory_of_plain_tanh_from_the_first_state_on(data, net):
    """Theory is of the mean square; 64 units scatter, so that the mean ln is a variance below."""
    one = data.sel(net=net)
    mean_square = one.log_gradient_mean + one.log_gradient_sd**2
    assert (abs(mean_square - one.theory_log_gradient) < 0.5).all()
    assert (abs(one.log_gradient_mean - one.theory_log_gradient)[:10] < 0.2).all()
    assert (one.log_gradient_mean < one.theory_log_gradient)[-20:].all()


@pytest.mark.parametrize(
    ("overrides", "known"),
    [
        (("net=tanh 1",), True),
        (("net=tanh 1", "bias_scale=0.1"), True),
        (("net=tanh 1", "weight_scale=0"), False),
        (("net=tanh 1", "weight_scale=1e-4"), False),  # the state leaves every float
        (("net=tanh 1", "gate_bias.hidden=1"), False),
        (("net=tanh 1", "gate_bias.hidden=0"), True),
        (("net=tanh 1", "cell=gru"), False),
        (("net=tanh pytorch", "cell=lstm"), False),
        (("net=tanh 1", "tied=true"), False),
        (("net=relu he", "bias_scale=0.1"), False),
        (("net=tanh batch",), True),
        (("net=tanh batch", "bias_scale=0.1"), False),
        (("net=tanh batch", "gate_bias.hidden=1"), False),
        (("net=tanh batch", "cell=gru"), False),
    ],
)
def test_where_there_is_theory(cells, overrides, known):
    (cell,) = cells("depth", *overrides, steps=100)
    theory = depth._theory(cell)
    assert theory.shape == (100,)
    assert np.isfinite(theory).all() if known else np.isnan(theory).all()


def test_variances_are_those_of_the_states(data):
    """Tanh with critical weights holds its variance, ReLU residual nets do not."""
    variance = data.log_activation_variance_mean
    held = variance.sel(net="tanh critical").isel(step=[10, DEPTH - 1])
    assert abs(float(held[1] - held[0])) < 0.3
    grown = variance.sel(net="relu residual").isel(step=[10, DEPTH - 1])
    assert float(grown[1] - grown[0]) > 0.8 * (DEPTH - 11) * np.log(2)


def test_derived_variables_are_as_described():
    spec = NetworkSpec(tied=False, hidden_size=8)
    products = ("trajectory", "weights")
    found = measure(spec, networks=5, steps=10, inputs="zero", products=products)
    derived = depth.derive({str(k): v.values for k, v in found.data_vars.items()})
    norms = np.exp(found.contribution_W.values)
    relative = norms / norms.max(axis=1)[:, None]
    np.testing.assert_allclose(np.exp(derived["relative_W"]), relative, rtol=1e-12)
    np.testing.assert_array_equal(derived["learning_share"], (relative >= 0.1).mean(axis=1))


def test_an_unknown_net_is_refused():
    with pytest.raises(InputError, match="tanh critical"):
        depth.fields({"net": "tan"})
    with pytest.raises(InputError, match="tanh critical"):
        depth.fields({"net": ["tanh 1"]})
