"""The study ``tied``: exact laws and oracle values, on small ensembles with a fixed seed."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import InputError, NetworkSpec, measure, sample
from gradhorizon.studies import tied
from gradhorizon.studies.theory import critical_weight_scale, spectral_radius_rate

NETWORKS = 512


@pytest.fixture(scope="module")
def linear(results):
    return results("tied", "net=linear", "hidden_size=16,64", networks=NETWORKS, steps=65).squeeze()


@pytest.mark.parametrize("size", [16, 64])
@pytest.mark.parametrize("lag", [8, 64])
def test_fresh_weights_follow_the_exact_law(linear, size, lag):
    """Mean and sd, |z| < 4 each: one of the eight fails once in 2,000 seeds.

    ln chi^2 of 16 degrees of freedom and more is near enough to normal for the error of the sd.
    """
    one = linear.sel(tied=False, hidden_size=size, lag=lag)
    assert abs(one.log_gradient_mean - one.theory_log_gradient) < 4 * one.theory_sd / NETWORKS**0.5
    assert abs(one.log_gradient_sd - one.theory_sd) < 4 * one.theory_sd / (2 * NETWORKS) ** 0.5


@pytest.mark.parametrize("lag", [8, 32])
def test_fresh_weights_keep_the_mean_square(linear, lag):
    """E|.|^2 = 1 and Var|.|^2 = (1 + 2/N)^T - 1, exactly, as each step is a chi^2_N / N.

    Beyond 4 errors once in 5,000 seeds, the skew of the square included.
    """
    one = linear.sel(tied=False, hidden_size=64, lag=lag)
    error = np.sqrt(((1 + 2 / 64) ** lag - 1) / NETWORKS)
    assert abs(one.square_gradient_mean - 1) < 4 * error
    assert one.annealed_error == pytest.approx(error, rel=0.3)
    np.testing.assert_allclose(linear.theory_annealed, 0, atol=1e-12)


def test_spread_at_the_oracles_size_and_lag(linear):
    """N = 64, T = 64: sd 3.0 tied and 0.69 untied; to T = 8 they are nearly equal.

    The sd of 512 networks has an error of 0.106 tied (measured, from 102,400 networks, whose own is
    2.89) and 0.022 untied; 4 of them are passed once in 5,000 seeds.
    """
    sd = linear.log_gradient_sd.sel(hidden_size=64)
    assert sd.sel(tied=True, lag=64) == pytest.approx(3.0, abs=0.43)
    assert sd.sel(tied=False, lag=64) == pytest.approx(0.69, abs=0.09)
    mean = linear.log_gradient_mean.sel(hidden_size=64)
    difference = mean.sel(tied=True) - mean.sel(tied=False)
    error = np.hypot(sd.sel(tied=True), sd.sel(tied=False)) / NETWORKS**0.5
    assert abs(difference.sel(lag=8)) < 4 * error.sel(lag=8) < 0.08
    assert difference.sel(lag=64) > 10 * error.sel(lag=64)


def test_the_tied_mean_square_is_beyond_what_networks_show(linear):
    """ln E|.|^2 of a sample grows with it: medians are 21 for 512 networks and 24.7 for 4096.

    The oracle, 24, is of such a sample. Of 200 sets of 512 networks all were between 16.1 and 32.8
    and had a relative error above 0.39, so that fewer than one seed in 60 fails.
    """
    one = linear.sel(hidden_size=64, lag=64)
    annealed = 2 * one.log_gradient_annealed
    assert 15 < annealed.sel(tied=True) < 34
    assert abs(annealed.sel(tied=False)) < 0.5
    assert one.annealed_error.sel(tied=True) > tied.RESOLVED


@pytest.mark.parametrize(
    ("size", "networks", "mean", "sd"), [(16, 2000, 0.061, 0.113), (64, 300, 0.053, 0.047)]
)
def test_at_practical_sizes_weight_scale_one_is_supercritical(size, networks, mean, sd):
    """E ln rho of real Ginibre matrices, |z| < 4 for mean and sd: one in 4,000 seeds fails."""
    spec = NetworkSpec(activation="linear", hidden_size=size, input_size=1)
    W = sample(spec, networks=networks, steps=2).W.values[:, 0]
    rate = spectral_radius_rate(W)
    assert rate.mean() == pytest.approx(mean, abs=0.0005 + 4 * sd / networks**0.5)
    assert rate.std() == pytest.approx(sd, abs=0.0005 + 4 * sd / networks**0.5)  # kurtosis < 5


def test_the_tied_rate_is_that_of_the_spectral_radius():
    """Gelfand's formula, network by network: the error falls as 1 / T."""
    spec = NetworkSpec(activation="linear", hidden_size=16, input_size=1)
    ensemble = sample(spec, networks=64, steps=2001)
    log = measure(ensemble, products=("gradient",)).log_gradient
    rate = spectral_radius_rate(ensemble.W.values[:, 0])
    for lag in (200, 2000):
        assert (abs(log.sel(lag=lag) / lag - rate) < 8 / lag).all()


def test_tied_weights_matter_less_with_inputs(results):
    """Without inputs the tied mean is far below the other, with inputs within 4 errors of it."""
    at = ("net=tanh,tanh driven", "hidden_size=32")
    data = results("tied", *at, networks=256, steps=46).squeeze().isel(lag=45)
    mean, sd = data.log_gradient_mean, data.log_gradient_sd
    difference = mean.sel(tied=True) - mean.sel(tied=False)
    error = np.hypot(sd.sel(tied=True), sd.sel(tied=False)) / 16
    assert difference.sel(net="tanh") < -8 * error.sel(net="tanh")
    assert abs(difference.sel(net="tanh driven")) < 4 * error.sel(net="tanh driven")
    ratio = sd.sel(tied=True) / sd.sel(tied=False)
    assert ratio.sel(net="tanh") > 1.8 > 1.5 > ratio.sel(net="tanh driven")


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_the_power_of_a_spread_that_scales(power):
    """A spread of lag / N^power reaches 1 at N^power, here between lags."""
    sizes, lag = np.array([20, 50, 90]), np.arange(100)
    sd = xr.DataArray(lag / sizes[:, None] ** power, {"hidden_size": sizes, "lag": lag})
    found = tied.spread(xr.Dataset({"log_gradient_sd": sd}))
    np.testing.assert_allclose(found.spread_lag, sizes**power, rtol=1e-12)
    assert found.spread_exponent == pytest.approx(power)
    short = tied.spread(xr.Dataset({"log_gradient_sd": sd.isel(lag=slice(6))}))
    assert list(short.spread_lag.notnull()) == [power == 0.5, False, False]
    assert short.spread_exponent.isnull()


def test_the_driven_net_is_critical():
    fields = tied.NETS["tanh driven"]
    assert fields["weight_scale"] == round(critical_weight_scale("tanh", input_variance=1.0), 4)


@pytest.mark.parametrize(
    ("overrides", "known"),
    [
        (("net=linear",), "all"),
        (("net=linear", "bias_scale=0.5"), "all"),  # a linear gradient does not see it
        (("net=linear", "batch_size=2"), "wide"),  # the norm is that of both sequences
        (("net=linear", "weights=orthogonal"), "none"),
        (("net=linear", "skip=1"), "none"),
        (("net=tanh",), "wide"),
        (("net=tanh driven", "bias_scale=0.1"), "wide"),
        (("net=tanh driven", "gate_bias.hidden=1"), "none"),
        (("net=tanh driven", "normalization=layer"), "none"),
        (("net=tanh driven", "bias_scale=1e200"), "none"),  # its square is not a float
    ],
)
@pytest.mark.parametrize("arrangement", ["true", "false"])
def test_where_there_is_theory_of_fresh_weights(cells, overrides, known, arrangement):
    (cell,) = cells("tied", "hidden_size=8", f"tied={arrangement}", *overrides, steps=20)
    finite = np.isfinite(tied._theory(cell)).all(axis=1)
    assert list(finite) == {"all": [1, 1, 1], "wide": [0, 0, 1], "none": [0, 0, 0]}[known]


def test_derived_variables_are_as_described():
    found = measure(NetworkSpec(hidden_size=8), networks=5, steps=10)
    derived = tied.derive({"log_gradient": found.log_gradient.values})
    np.testing.assert_array_equal(derived["square_gradient"], np.exp(2 * found.log_gradient))
    huge = tied.derive({"log_gradient": np.array([[0.0, 400.0]])})
    assert np.isinf(huge["square_gradient"][0, 1])


@pytest.mark.parametrize(
    "overrides",
    [
        ("net=linear", "tied=true", "hidden_size=4"),
        ("net=tanh driven", "tied=false", "hidden_size=4,8"),
        ("net=linear,tanh", "hidden_size=4", "weights=orthogonal"),  # no spread, no theory
        ("net=tanh", "hidden_size=4", "bias_scale=0,0.5"),  # an axis that the figure does not draw
    ],
)
def test_a_part_of_the_grid_is_drawn(results, overrides, capsys):
    results("tied", *overrides, networks=4, steps=14)
    assert "not drawn" not in capsys.readouterr().err


def test_dead_networks_leave_gaps(results, capsys):
    """Biases that saturate every unit: no network has a gradient, and there is nothing to draw."""
    at = ("net=tanh", "hidden_size=4", "bias_scale=1e6")
    data = results("tied", *at, networks=4, steps=14)
    assert data.log_gradient_mean.isnull().all()
    assert data.spread_lag.isnull().all()
    assert "not drawn" not in capsys.readouterr().err


def test_an_unknown_net_is_refused():
    with pytest.raises(InputError, match="tanh driven"):
        tied.fields({"net": "tan", "tied": True, "hidden_size": 4})
