"""Labels of an ensemble: what they say is done, and a result has those that came in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import reference
import xarray as xr

from gradhorizon.engine import STATUS, InputError, NetworkSpec, measure, sample

PRODUCTS = ("trajectory", "gradient", "weights")
KEEP = ("states", "gradients")
SPEC = NetworkSpec(hidden_size=4, input_size=3, batch_size=2)
ENSEMBLE = sample(SPEC, 8, 20, burn_in=5)


def measured(ensemble: xr.Dataset, **options: Any) -> xr.Dataset:
    return measure(ensemble, products=PRODUCTS, keep=KEEP, **options)


WHOLE = measured(ENSEMBLE)


def assert_refused(ensemble: xr.Dataset, message: str, **options: Any) -> None:
    with pytest.raises(InputError, match=f"^{message}") as caught:
        measured(ensemble, **options)
    assert "allowed: " in str(caught.value) and "\n" not in str(caught.value)


def test_networks_keep_their_labels() -> None:
    """What xarray then subtracts is the same network's."""
    part = measured(ENSEMBLE.sel(network=[5, 7]))
    np.testing.assert_array_equal(part.network, [5, 7])
    assert part.equals(WHOLE.sel(network=[5, 7]))
    assert list((WHOLE.rate - part.rate).network.values) == [5, 7]
    assert (WHOLE.rate - part.rate == 0).all()


def test_steps_with_negative_labels_are_burn_in() -> None:
    """A selection without them: all 20 steps are measured, from the initial state at step 0."""
    part = ENSEMBLE.sel(step=slice(0, None))
    data = measured(part)
    assert data.attrs["burn_in"] == 0 and data.attrs["steps"] == 20
    expected = reference.measure(part.assign_attrs(burn_in=0))
    np.testing.assert_allclose(data.log_gradient, expected["log_gradient"], atol=1e-10)
    np.testing.assert_allclose(data.rate, expected["rate"], atol=1e-10)
    np.testing.assert_array_equal(data.step, np.arange(20))


@pytest.mark.parametrize("first, last", [(-2, 19), (-5, 11), (0, 11), (4, 19), (3, 8)])
def test_a_result_has_the_steps_that_were_measured(first: int, last: int) -> None:
    part = ENSEMBLE.sel(step=slice(first, last))
    data = measured(part)
    labels = np.arange(max(first, 0), last + 1)
    np.testing.assert_array_equal(data.step, labels)
    np.testing.assert_array_equal(data.state.step, labels)
    assert data.attrs["burn_in"] == max(-first, 0)
    expected = reference.measure(part.assign_attrs(burn_in=max(-first, 0)))
    np.testing.assert_allclose(data.log_gradient, expected["log_gradient"], atol=1e-10)
    assert data.step.attrs == WHOLE.step.attrs


def test_a_burn_in_that_the_user_asks_for() -> None:
    """Steps keep their labels, whichever of them are measured."""
    more, none = measured(ENSEMBLE, burn_in=8), measured(ENSEMBLE, burn_in=0)
    np.testing.assert_array_equal(more.step, np.arange(3, 20))
    np.testing.assert_array_equal(none.step, np.arange(-5, 20))
    np.testing.assert_array_equal(more.state, WHOLE.state.sel(step=slice(3, None)))
    np.testing.assert_array_equal(none.state.sel(step=slice(0, None)), WHOLE.state)


def test_steps_without_labels() -> None:
    """The attribute says then which are burn-in; without it none are."""
    bare = ENSEMBLE.drop_vars("step")
    assert measured(bare).equals(WHOLE)
    del bare.attrs["burn_in"]
    assert measured(bare).sizes["step"] == 25
    labelled = ENSEMBLE.copy()
    del labelled.attrs["burn_in"]
    assert measured(labelled).equals(WHOLE)


UNTIED = sample(NetworkSpec(hidden_size=4, input_size=3, tied=False), 2, 20, burn_in=5)


@pytest.mark.parametrize("ensemble", [ENSEMBLE, UNTIED], ids=["tied", "untied"])
@pytest.mark.parametrize(
    "steps", [slice(None, None, 2), slice(None, None, -1), [0, 1, 3, 4], [3, 3, 4], [-1, 0, 2]]
)
def test_steps_that_do_not_follow_one_another_are_refused(ensemble: Any, steps: Any) -> None:
    assert_refused(ensemble.sel(step=steps), r"ensemble\.step: .*each the last one plus 1")


@pytest.mark.parametrize(
    "labels",
    [np.arange(25.0), pd.date_range("2020", periods=25), list("abcdefghijklmnopqrstuvwxy")],
    ids=["floats", "dates", "letters"],
)
def test_labels_of_steps_are_integers(labels: Any) -> None:
    assert_refused(ENSEMBLE.assign_coords(step=labels), r"ensemble\.step: ")


def test_unsigned_labels_are_not_counted_round() -> None:
    labels = np.arange(25, dtype=np.uint8)
    assert measured(ENSEMBLE.assign_coords(step=labels)).sizes["step"] == 25
    assert_refused(ENSEMBLE.assign_coords(step=labels + np.uint8(240)), r"ensemble\.step: 240, 241")


def test_attributes_that_labels_contradict_are_refused() -> None:
    assert_refused(ENSEMBLE.assign_attrs(burn_in=3), r"ensemble\.attrs\.burn_in: 3 .*allowed: 5, ")
    for wrong in (-1, 2.7, "5", 10**9):
        changed = ENSEMBLE.assign_attrs(burn_in=wrong)
        assert_refused(changed, r"ensemble\.attrs\.burn_in: ")
        assert_refused(changed.drop_vars("step"), r"ensemble\.attrs\.burn_in: ")
    assert_refused(ENSEMBLE.assign_attrs(every="no"), r"ensemble\.attrs\.every: 'no'")


def test_nothing_but_burn_in_is_refused() -> None:
    assert_refused(ENSEMBLE.sel(step=slice(None, -1)), "burn_in and steps: 5")


def test_losses_have_the_labels_of_the_measured_steps() -> None:
    ensemble = sample(SPEC, 2, 20, burn_in=5, loss="every")
    whole = measured(ensemble)
    labelled = ensemble.assign_coords(loss_step=np.arange(20))
    assert measured(labelled).equals(whole)
    part = dict(step=slice(4, 15), loss_step=slice(4, 15))
    data = measured(labelled.sel(part))
    assert data.sizes["lag"] == 12
    assert_refused(labelled.sel(part | {"loss_step": slice(3, 14)}), r"ensemble\.loss_step: 3, 4")
    assert_refused(ensemble.sel(step=slice(4, None)), r"ensemble\.readout_gradient")


def test_labels_of_every_axis_go_through() -> None:
    """Names, further coordinates of an axis, those of the whole ensemble, and their attributes."""
    names = {
        "network": ("network", list("abcdefgh"), {"long_name": "run"}),
        "epoch": ("network", np.arange(8) * 10),
        "sequence": ["first", "second"],
        "unit": ["u1", "u2", "u3", "u4"],
        "source": ["u1", "u2", "u3", "u4"],
        "feature": ["x", "y", "z"],
        "time": ("step", np.arange(25) * 0.1),
        "place": ((), "here"),
    }
    data = measured(ENSEMBLE.assign_coords(names))
    for name in ("network", "epoch", "sequence", "unit", "source", "feature", "place"):
        np.testing.assert_array_equal(data[name], ENSEMBLE.assign_coords(names)[name])
    np.testing.assert_array_equal(data.time, np.arange(5, 25) * 0.1)
    assert data.network.attrs == {"long_name": "run"}
    assert data.drop_vars(names).equals(WHOLE.drop_vars("network"))
    few = measure(ENSEMBLE.assign_coords(names))
    assert {"network", "epoch", "place"} <= few.coords.keys()
    assert not {"unit", "step", "time", "feature"} & few.coords.keys()


def test_networks_of_two_axes() -> None:
    both = pd.MultiIndex.from_product([[1, 2], list("abcd")], names=["size", "run"])
    grid = ENSEMBLE.assign_coords(xr.Coordinates.from_pandas_multiindex(both, "network"))
    data = measured(grid)
    np.testing.assert_array_equal(data.rate.sel(size=2, run="c"), WHOLE.rate[6])


def test_networks_that_were_put_together() -> None:
    """Of two samples, each with its own labels 0, 1: they stand there twice, as they came."""
    other = sample(SPEC, 2, 20, seed=1, burn_in=5)
    both = xr.concat([ENSEMBLE.isel(network=[0, 1]), other], "network", join="exact")
    data = measured(both)
    np.testing.assert_array_equal(data.network, [0, 1, 0, 1])
    np.testing.assert_array_equal(data.rate[2:], measured(other).rate)
    bare = measured(both.drop_vars("network"))
    np.testing.assert_array_equal(bare.network, np.arange(4))


def test_a_label_named_like_a_result_is_refused() -> None:
    for name in ("rate", "status", "log_gradient", "lag"):
        changed = ENSEMBLE.assign_coords({name: ("network", np.zeros(8))})
        assert_refused(changed, rf"ensemble\.{name}: a coordinate")
    labelled = ENSEMBLE.assign_coords(rate=("network", np.zeros(8)))
    assert "rate" in measure(labelled, products=("trajectory",)).coords


def test_columns_in_another_order_than_rows_are_refused() -> None:
    names = [*"abcd"]
    labelled = ENSEMBLE.assign_coords(unit=names, source=names)
    assert_refused(
        labelled.isel(unit=[1, 0, 2, 3]), r"ensemble\.source: a, b, c, d .*of ensemble\.unit"
    )
    turned = measured(labelled.isel(unit=[1, 0, 2, 3], source=[1, 0, 2, 3]))
    np.testing.assert_allclose(turned.rate, WHOLE.rate, rtol=1e-12)
    assert list(turned.unit.values) == [*"bacd"]


def test_an_input_of_fewer_steps_is_told() -> None:
    """xarray aligns what is put into a dataset: steps that the input has not are NaN."""
    data = ENSEMBLE.copy()
    data["input"] = ENSEMBLE.input.sel(step=slice(0, None))
    np.testing.assert_array_equal(measured(data).status, STATUS["bad_input"])
    data["input"] = ENSEMBLE.input.sel(network=[0, 1, 2, 3])
    np.testing.assert_array_equal(measured(data).status, [0] * 4 + [STATUS["bad_input"]] * 4)


def test_an_input_of_more_steps_is_told() -> None:
    """Joined to an ensemble, it has more: those that only the input has are measured, and said."""
    longer = sample(SPEC, 8, 23, burn_in=5)
    joined = xr.merge([ENSEMBLE.drop_vars("input"), longer[["input"]]], join="outer")
    data = measured(joined.assign_attrs(ENSEMBLE.attrs))
    np.testing.assert_array_equal(data.step, np.arange(23))
    assert (data.status == 0).all()
    np.testing.assert_array_equal(data.state, measured(longer).state)
    shifted = longer[["input"]].assign_coords(step=np.arange(28))
    joined = xr.merge([ENSEMBLE.drop_vars("input"), shifted], join="outer")
    data = measured(joined.assign_attrs(ENSEMBLE.attrs))
    np.testing.assert_array_equal(data.status, STATUS["bad_input"])


def test_labels_survive_a_file(tmp_path: Any) -> None:
    ENSEMBLE.sel(network=[5, 7]).to_netcdf(tmp_path / "e.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "e.nc", engine="h5netcdf") as stored:
        assert measured(stored).equals(WHOLE.sel(network=[5, 7]))


READ = xr.DataArray(
    np.random.default_rng(0).standard_normal((3, 20, 2)),
    dims=("sequence", "step", "feature"),
    coords={
        "sequence": [*"abc"],
        "age": ("sequence", [31, 45, 27], {"units": "years"}),
        "feature": ["x", "y"],
    },
)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_results_say_which_sequences_were_read(batch_size: int) -> None:
    """By label: what network 2 has read is measured again, alone, as that of network 0."""
    spec = NetworkSpec(hidden_size=4, input_size=2, batch_size=batch_size)
    data = measure(spec, networks=4, steps=20, inputs=READ, burn_in=0, products=PRODUCTS, keep=KEEP)
    read = data.input_sequence.transpose("network", ...).values.reshape(4, batch_size)
    assert "".join(read.ravel()) == "abcabcab"[: 4 * batch_size]
    assert data.input_age.attrs == {"units": "years"}
    np.testing.assert_array_equal(data.input_age.values.ravel() == 45, read.ravel() == "b")
    assert list(data.grad_U.feature.values) == ["x", "y"]
    ensemble = sample(spec, 4, 20, inputs=READ, burn_in=0)
    for network in range(4):
        stored = ensemble.input[network].values
        np.testing.assert_array_equal(stored, READ.sel(sequence=list(read[network])).values)
    again = measured(ensemble)
    assert again.equals(data)
    np.testing.assert_array_equal(again.input_sequence, data.input_sequence)


def test_inputs_without_labels_add_none() -> None:
    spec = NetworkSpec(hidden_size=4, input_size=2)
    bare = measure(spec, networks=2, steps=20, inputs=READ.drop_vars(["sequence", "age"]))
    assert not [name for name in bare.coords if str(name).startswith("input_")]
