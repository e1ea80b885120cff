"""Arrays that other libraries made: read with their meaning, or refused in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray as xr

from gradhorizon.engine import STATUS, InputError, NetworkSpec, measure, sample
from gradhorizon.studies.options import read_inputs

SPEC = NetworkSpec(hidden_size=4, input_size=3)
VALUES = np.random.default_rng(1).integers(-5, 6, (2, 6, 3)) / 4
ARGUMENTS: dict[str, Any] = {"networks": 2, "steps": 5, "products": ("gradient", "weights")}


def measured(inputs: Any, **changes: Any) -> xr.Dataset:
    return measure(SPEC, **(ARGUMENTS | changes), inputs=inputs)


PLAIN = measured(VALUES)


def masked(place: tuple[int, int, int], behind: float = 3.0) -> Any:
    values = VALUES.copy()
    values[place] = behind
    mask = np.zeros(VALUES.shape, bool)
    mask[place] = True
    return np.ma.masked_array(values, mask)


@pytest.mark.parametrize("behind", [3.0, np.nan])
def test_a_masked_value_is_missing(behind: float) -> None:
    """Whatever lies behind the mask: the network that would read the value has bad input."""
    data = measured(masked((1, 2, 0), behind))
    np.testing.assert_array_equal(data.status, [0, STATUS["bad_input"]])
    assert data.isel(network=0).equals(PLAIN.isel(network=0))
    missing = VALUES.copy()
    missing[1, 2, 0] = np.nan
    assert data.identical(measured(missing))


def test_a_masked_value_that_nothing_reads_is_of_no_account() -> None:
    """The sixth step is read by no network without burn-in, and is the burn-in of one step."""
    unread = masked((0, 5, 1))
    assert measured(unread, burn_in=0).identical(measured(VALUES, burn_in=0))
    np.testing.assert_array_equal(measured(unread, burn_in=1).status, [STATUS["bad_input"], 0])


def test_masked_integers_and_masked_arrays_in_lists() -> None:
    """Integers have no NaN; numpy drops the masks of arrays in a list."""
    whole = np.arange(36).reshape(2, 6, 3) % 5
    expected = measured(whole)
    hidden = np.ma.masked_equal(np.where(np.arange(36).reshape(2, 6, 3) == 4, 2**60, whole), 2**60)
    for inputs in (hidden, list(hidden), [hidden[0], whole[1]], [list(s) for s in hidden]):
        data = measured(inputs)
        np.testing.assert_array_equal(data.status, [STATUS["bad_input"], 0])
        np.testing.assert_array_equal(data.rate[1], expected.rate[1])
    entry = VALUES.tolist()
    entry[0][1][2] = np.ma.masked
    np.testing.assert_array_equal(measured(entry).status, [STATUS["bad_input"], 0])


def test_a_mask_that_hides_nothing_changes_nothing() -> None:
    nothing = np.ma.masked_array(VALUES, np.zeros(VALUES.shape, bool))
    for inputs in (nothing, np.ma.masked_array(VALUES), list(nothing)):
        assert measured(inputs).identical(PLAIN)


class Convertible:
    """An array of a library that numpy does not know."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return VALUES


@pytest.mark.parametrize(
    "same",
    [
        VALUES.astype("f4"),
        VALUES.astype("f2"),
        VALUES.astype(">f8"),
        VALUES.astype(np.longdouble),
        np.asfortranarray(VALUES),
        VALUES.tolist(),
        list(VALUES),
        tuple(list(sequence) for sequence in VALUES),
        Convertible(),
        [Convertible().__array__()[0], VALUES[1].tolist()],
        memoryview(VALUES),
    ],
    ids=lambda same: type(same).__name__,
)
def test_arrays_of_every_kind_are_read(same: Any) -> None:
    """The values are quarters, which every one of these types has."""
    assert measured(same).identical(PLAIN)


class Broken:
    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise OSError("the file\nis gone")


class OnDevice:
    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use `.get()`")


FRAMES = [pd.DataFrame(VALUES[0], columns=[*"abc"]), pd.DataFrame(VALUES[1], columns=[*"cab"])]
RECORD = np.zeros((2, 6), [("x", "f8"), ("y", "f8"), ("z", "f8")])
REFUSED: dict[str, tuple[Any, str]] = {
    "bool": (VALUES > 0, "inputs.dtype: bool"),
    "complex": (VALUES * 1j, "inputs.dtype: complex128"),
    "dates": (VALUES.astype("M8[s]"), r"inputs.dtype: datetime64\[s\]"),
    "spans of time": (VALUES.astype("m8[s]"), r"inputs.dtype: timedelta64\[s\]"),
    "objects": (VALUES.astype(object), "inputs.dtype: object"),
    "text": (VALUES.astype(str), "inputs.dtype: <U"),
    "bytes": (b"\0" * 48, "inputs.dtype: [|]S"),
    "records": (RECORD, r"inputs.dtype: \[\('x'"),
    "masked records": (np.ma.masked_array(RECORD), "inputs.dtype"),
    "masked dates": (np.ma.masked_array(VALUES.astype("M8[s]")), "inputs.dtype: datetime64"),
    "large integers": (np.full((2, 6, 3), 2**53 + 1), "inputs: 9007199254740993"),
    "small integers": (np.full((2, 6, 3), -(2**63)), "inputs: -9223372036854775808"),
    "unsigned": (np.full((2, 6, 3), 2**64 - 1, np.uint64), "inputs: 18446744073709551615"),
    "python's own": ([[[1] * 3] * 6, [[2**70] * 3] * 6], "inputs.dtype: obj"),
    "unequal lengths": ([VALUES[0], VALUES[1, :5]], "inputs: list .*same shape"),
    "unequal lists": ([[[1.0, 2.0, 3.0]], [[1.0]]], "inputs: list"),
    "sparse": (scipy.sparse.eye_array(3), "inputs: "),
    "sparse ones": ([scipy.sparse.eye_array(3)], "inputs"),
    "a table": (FRAMES[0], "inputs: pandas.DataFrame with labels .*to_numpy"),
    "tables": (FRAMES, "inputs: pandas.DataFrame with labels .*to_numpy"),
    "a column": (pd.Series(VALUES[0, 0]), "inputs: pandas.Series with labels"),
    "labelled in a list": ([xr.DataArray(s) for s in VALUES], "inputs: xarray.DataArray with"),
    "a dataset": (xr.Dataset({"x": (("a", "b", "c"), VALUES)}), "inputs"),
    "other axes": (
        xr.DataArray(VALUES, dims=("batch", "time", "feature")),
        "inputs.dims: batch, t",
    ),
    "a broken file": (Broken(), r"inputs: \w+.Broken \(the file is gone\)"),
    "a GPU": (OnDevice(), r"inputs: \w+.OnDevice \(Implicit conversion .*\.get\(\)"),
    "a set": ({1.0, 2.0}, "inputs: "),
    "a generator": ((x for x in VALUES), "inputs: <generator"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_meaning_is_refused(name: str) -> None:
    inputs, message = REFUSED[name]
    with pytest.raises(InputError, match=f"^{message}") as caught:
        measured(inputs)
    assert "allowed: " in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["complex", "records", "large integers", "unsigned", "bool"])
def test_a_file_of_such_inputs_is_refused(name: str, tmp_path: Any) -> None:
    np.save(tmp_path / "x.npy", REFUSED[name][0].reshape(2, -1, 3))
    with pytest.raises(InputError, match=r"^inputs: .*x\.npy .*real numbers") as caught:
        read_inputs(str(tmp_path / "x.npy"))
    assert "\n" not in str(caught.value)


def test_integers_that_float64_has_are_taken() -> None:
    assert (measured(np.full((2, 6, 3), 2**53)).status != STATUS["bad_input"]).all()


@pytest.mark.parametrize("kind", ["gradient", "bfloat16", "sparse", "complex", "bool", "meta"])
def test_tensors_that_numpy_does_not_take_are_refused(kind: str) -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(VALUES)
    assert measured(tensor).identical(PLAIN)
    assert measured([tensor[0], tensor[1].float()]).identical(PLAIN)
    other = {
        "gradient": lambda: tensor.requires_grad_(),
        "bfloat16": lambda: tensor.bfloat16(),
        "sparse": lambda: tensor.to_sparse(),
        "complex": lambda: tensor.to(torch.complex64),
        "bool": lambda: tensor > 0,
        "meta": lambda: tensor.to("meta"),
    }[kind]()
    for inputs in (other, [other[0], other[1]]):
        with pytest.raises(InputError, match=r"^inputs[:.]") as caught:
            measured(inputs)
        assert "\n" not in str(caught.value)


def test_named_axes_may_stand_in_any_order() -> None:
    inputs = xr.DataArray(VALUES, dims=("sequence", "step", "feature"))
    assert measured(inputs).identical(PLAIN)
    assert measured(inputs.transpose("feature", "sequence", "step")).identical(PLAIN)
    assert measured(inputs.assign_coords(step=np.arange(6))).identical(PLAIN)
    hidden = inputs.where(inputs.sequence != 1)
    np.testing.assert_array_equal(measured(hidden).status, [0, STATUS["bad_input"]])


@pytest.mark.parametrize("steps", [[5, 4, 3, 2, 1, 0], range(-1, 5), range(1, 7), list("abcdef")])
def test_labels_that_say_another_order_of_steps_are_refused(steps: Any) -> None:
    inputs = xr.DataArray(VALUES, {"step": list(steps)}, ("sequence", "step", "feature"))
    with pytest.raises(InputError, match=r"^inputs.step: .*0, 1, 2, \.\.\., or no labels$"):
        measured(inputs)


ENSEMBLE = sample(SPEC, 2, 5)
NOT_REAL = {
    "complex": lambda values: values.astype(complex),
    "object": lambda values: values.astype(object),
    "bool": lambda values: values > 0,
    "dates": lambda values: values.astype("int64").astype("M8[ns]"),
    "integers": lambda values: values.astype("int64") + 2**60,
}


@pytest.mark.parametrize("name", ["W", "U", "b", "input", "initial_state", "readout_gradient"])
@pytest.mark.parametrize("kind", NOT_REAL)
def test_variables_of_an_ensemble_are_real_numbers(name: str, kind: str) -> None:
    changed = ENSEMBLE.assign({name: NOT_REAL[kind](ENSEMBLE[name])})
    with pytest.raises(InputError, match=rf"^ensemble\.{name}[:.]"):
        measure(changed)


def test_masked_values_of_an_ensemble_are_missing() -> None:
    """xarray has no masks: it takes what is masked for NaN."""
    mask = np.zeros(ENSEMBLE.input.shape, bool)
    mask[1, 0, 2, 1] = True
    hidden = np.ma.masked_array(ENSEMBLE.input.values, mask)
    data = measure(ENSEMBLE.assign(input=(ENSEMBLE.input.dims, hidden)))
    np.testing.assert_array_equal(data.status, [0, STATUS["bad_input"]])


def test_variables_that_are_computed_late() -> None:
    """Those of dask, of which one fails when it is computed."""
    dask = pytest.importorskip("dask.array")
    assert measure(ENSEMBLE.chunk({"network": 1})).equals(measure(ENSEMBLE))

    def fails(block: np.ndarray) -> np.ndarray:
        raise OSError("no such file")

    lazy = dask.from_array(ENSEMBLE.W.values).map_blocks(fails, meta=np.empty(0))
    with pytest.raises(InputError, match=r"^ensemble\.W: .*no such file"):
        measure(ENSEMBLE.assign(W=(ENSEMBLE.W.dims, lazy)))
