"""The study ``spectrum``: oracle values and laws, on small ensembles with a fixed seed."""

from __future__ import annotations

import numpy as np
import pytest

from gradhorizon.engine import InputError, NetworkSpec, measure
from gradhorizon.studies import spectrum
from gradhorizon.studies.theory import gaussian_product_exponents, lyapunov_spectrum

SMALL = {"networks": 3, "steps": 14}


@pytest.fixture(scope="module")
def chaotic(results):
    """Undriven tanh networks of 64 units at g = 3, where oracle A has a table."""
    at = ("net=tanh", "hidden_size=32,64", "weight_scale=3")
    return results("spectrum", *at, networks=48, steps=400).squeeze()


def test_leading_exponent_at_the_oracles_size(chaotic):
    """lambda_1 = 0.268 at N = 64, in theory 0.310: |z| < 4, one seed in 16,000 fails.

    The table's last digit adds 0.0005. Its standard deviation over networks, 0.010, is that of
    longer chains: over 360 steps they differ by more, and 48 of them by no less than half of it.
    """
    one = chaotic.sel(hidden_size=64)
    error = one.leading_exponent_sd / 48**0.5
    assert error < 0.004
    assert abs(one.leading_exponent_mean - 0.268) < 4 * error + 0.0005
    assert one.leading_exponent_sd > 0.005
    assert one.theory_leading_exponent == pytest.approx(0.310249, abs=1e-6)
    assert one.theory_leading_exponent - one.leading_exponent_mean > 4 * error


def test_wider_networks_are_nearer_to_the_theory(chaotic):
    """All exponents of 64 units are within 0.1 of it, those of 32 on average 0.3 below.

    Of networks of 32 units a share is periodic at g = 3. Means have errors of 0.015 (N = 32) and
    0.003 (N = 64): the bounds are 5 of them away, one seed in a million fails.
    """
    excess = chaotic.lyapunov_exponent_mean - chaotic.theory_exponent
    assert (abs(excess.sel(hidden_size=64)) < 0.1).all()
    assert excess.sel(hidden_size=32).mean() < -0.2
    below = chaotic.theory_leading_exponent - chaotic.leading_exponent_mean
    error = chaotic.leading_exponent_sd / 48**0.5
    assert below.sel(hidden_size=32) - below.sel(hidden_size=64) > 4 * np.hypot(*error)


def test_places_and_theory_of_a_spectrum(chaotic):
    """N = 32 has half as many exponents as N = 64: NaN beyond, and the theory at its own places."""
    for size in (32, 64):
        one = chaotic.sel(hidden_size=size)
        place = (np.arange(size) + 0.5) / size
        np.testing.assert_allclose(one.place[:size], place, rtol=1e-14)
        law = lyapunov_spectrum("tanh", weight_scale=3.0)
        np.testing.assert_allclose(one.theory_exponent[:size], law.exponents(place), rtol=1e-12)
        for name in ("place", "theory_exponent", "lyapunov_exponent_mean"):
            assert one[name][size:].isnull().all() and one[name][:size].notnull().all()


def test_only_what_the_study_keeps_is_stored(chaotic):
    stored = {str(name) for name in chaotic.data_vars}
    assert "lyapunov_exponent_mean" in stored
    assert not [name for name in stored if name.startswith(("local_exponent", "worst"))]


def test_fresh_gaussian_weights_are_exact(results):
    """Newman's law for the sum of 16 exponents and for the last one, |z| < 4: one seed in 8,000.

    A tanh net whose states have died away is linear. The order of the other exponents is chosen
    on the chain itself, which moves them.
    """
    at = ("net=tanh", "hidden_size=16", "weight_scale=0.5", "tied=false")
    data = results("spectrum", *at, networks=64, steps=141, burn_in=40).squeeze()
    law, count = gaussian_product_exponents(16, 0.5), 64 * 100
    found = data.lyapunov_exponent_mean.values
    error = np.sqrt(law.step_variance.sum() / count)
    assert abs(found.sum() - law.exponent.sum()) < 4 * error < 0.1
    assert abs(found[-1] - law.exponent[-1]) < 4 * np.sqrt(law.step_variance[-1] / count)
    assert (data.dimension_share_mean, data.unstable_share_mean) == (0, 0)


def test_derived_variables_are_as_described():
    found = measure(
        NetworkSpec(hidden_size=8, weight_scale=3.0), networks=5, steps=60, products=("lyapunov",)
    )
    derived = spectrum.derive({str(name): v.values for name, v in found.data_vars.items()})
    assert set(derived) == set(spectrum.STUDY.derived()) == set(spectrum.THEORY)
    exponents = found.lyapunov_exponent.values
    positive = np.where(exponents > 0, exponents, 0)
    np.testing.assert_array_equal(derived["leading_exponent"], exponents.max(axis=1))
    np.testing.assert_allclose(derived["entropy_share"], positive.mean(axis=1), rtol=1e-13)
    np.testing.assert_array_equal(derived["unstable_share"], (exponents > 0).mean(axis=1))
    np.testing.assert_array_equal(derived["dimension_share"], found.kaplan_yorke_dimension / 8)


@pytest.mark.parametrize(
    ("overrides", "known"),
    [
        (("net=tanh",), True),
        (("net=tanh orthogonal", "tied=false"), True),
        (("net=tanh driven", "bias_scale=0.1", "batch_size=2"), True),
        (("net=tanh driven", "gate_bias.hidden=1"), False),
        (("net=tanh driven", "normalization=layer"), False),
        (("net=tanh driven", "weights=uniform"), False),
        (("net=tanh", "skip=1"), False),
        (("net=tanh", "bias_scale=1e200"), False),  # its square is not a float
    ],
)
def test_where_there_is_theory(cells, overrides, known):
    (cell,) = cells("spectrum", "hidden_size=8", "weight_scale=3", *overrides, steps=20)
    assert (spectrum._law(cell) is not None) == known


def test_no_weights_have_no_theory(cells):
    (cell,) = cells("spectrum", "hidden_size=8", "weight_scale=0", "net=tanh", steps=20)
    assert spectrum._law(cell) is None


@pytest.mark.parametrize(
    "overrides",
    [
        ("net=tanh", "hidden_size=4", "weight_scale=2"),
        ("net=tanh driven,tanh orthogonal", "hidden_size=5,3", "weight_scale=4,1"),
        ("net=tanh", "hidden_size=4", "weight_scale=1,2", "skip=0.5,0"),  # an axis that is held
        ("net=tanh driven", "hidden_size=4", "weight_scale=1,2", "batch_size=2"),
    ],
)
def test_a_part_of_the_grid_is_drawn(results, overrides, capsys):
    results("spectrum", *overrides, **SMALL)
    assert "not drawn" not in capsys.readouterr().err


def test_dead_networks_leave_gaps(results, capsys):
    """Biases that saturate every unit: all exponents are -inf."""
    at = ("net=tanh", "hidden_size=4", "weight_scale=1", "bias_scale=1e6")
    data = results("spectrum", *at, **SMALL)
    assert data.status_count.sel(status="dead") == 3
    assert data.leading_exponent_mean.isnull().all() and data.place.isnull().all()
    assert "not drawn" not in capsys.readouterr().err


def test_an_unknown_net_is_refused():
    with pytest.raises(InputError, match="tanh driven"):
        spectrum.fields({"net": "tan", "hidden_size": 4, "weight_scale": 1.0})
