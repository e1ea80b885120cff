"""Cell files of gradhorizon.studies.store: complete or refused, never half read."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tracemalloc
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradhorizon.studies import store
from gradhorizon.studies.store import DamagedCell, cell_key, load_cell, save_cell

DTYPES = ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]
ARRAYS = {
    "rate": np.array([-0.5, np.nan, -np.inf, -0.0]),
    "count": np.array(12),
    "ok": np.array([[True], [False]]),
}
META = {"study": "decay", "scale": 1.25, "gates": {"forget": 1.0}, "list": [1, None, True]}

stored_arrays = st.dictionaries(
    st.text(max_size=5),
    st.one_of(
        *[
            hnp.arrays(order + code, hnp.array_shapes(min_dims=0, min_side=0, max_dims=3))
            for code in DTYPES
            for order in "<>"
        ]
    ),
    max_size=4,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cells")


@pytest.fixture(scope="module")
def cell(folder):
    """Content of a small valid cell file."""
    save_cell(folder / "valid", ARRAYS, META)
    return (folder / "valid").read_bytes()


def load_bytes(folder, content):
    path = folder / "content"
    path.write_bytes(content)
    return load_cell(path)


def sealed(header, data=b""):
    """Content with a right checksum, as a hostile writer would make it."""
    if not isinstance(header, bytes):
        header = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    body = header + b"\n" + data
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def header_of(entries, **changes):
    return {"format": "gradhorizon-cell-1", "meta": {}, "arrays": entries, **changes}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.dtype == right[name].dtype.newbyteorder("=")
        assert array.shape == right[name].shape
        assert array.tobytes() == right[name].astype(array.dtype).tobytes()


# Round trip


@settings(deadline=None)
@given(arrays=stored_arrays, meta=st.dictionaries(st.text(), json_values, max_size=3))
def test_what_is_saved_is_loaded(folder, arrays, meta):
    save_cell(folder / "trip", arrays, meta)
    loaded, loaded_meta = load_cell(folder / "trip")
    assert_same(loaded, arrays)
    assert loaded_meta == meta
    assert all(array.flags.writeable and array.dtype.isnative for array in loaded.values())


def test_equal_content_gives_equal_bytes(folder, cell):
    reordered = {name: ARRAYS[name] for name in reversed(ARRAYS)}
    reordered["rate"] = np.repeat(ARRAYS["rate"], 2)[::2].astype(">f8")
    meta = MappingProxyType({**META, "list": (1, None, True)})
    save_cell(folder / "again", reordered, dict(reversed(meta.items())))
    assert (folder / "again").read_bytes() == cell


def test_layout_of_the_file(cell):
    digest, header, data = cell.split(b"\n", 2)
    assert digest.decode() == hashlib.sha256(header + b"\n" + data).hexdigest()
    entries = json.loads(header)["arrays"]
    assert entries["ok"] == {"dtype": "|b1", "shape": [2, 1], "offset": 8}
    assert data[8:10] == b"\x01\x00"
    assert data[10:] == ARRAYS["rate"].astype("<f8").tobytes()


def test_non_contiguous_arrays_are_stored_by_value(folder):
    grid = np.arange(24.0).reshape(4, 6)
    arrays = {"transposed": grid.T, "strided": grid[::-2, ::3], "fortran": np.asfortranarray(grid)}
    save_cell(folder / "layout", arrays, {})
    for name, array in load_cell(folder / "layout")[0].items():
        np.testing.assert_array_equal(array, arrays[name])


@pytest.mark.parametrize(
    "array",
    [
        np.array([object()]),
        np.array([None, 1.0]),
        np.zeros(2, dtype=[("a", "f8")]),
        np.array(["text"]),
        np.array([b"bytes"]),
        np.array([1j]),
        np.array(["2020-01-01"], dtype="M8[D]"),
        np.zeros(1, dtype="V8"),
        np.zeros(2, dtype=np.longdouble),
        np.zeros((1,) * 33),
    ],
    ids=lambda array: f"{array.dtype}-{array.ndim}",
)
def test_other_arrays_are_refused_and_nothing_is_written(tmp_path, array):
    with pytest.raises(ValueError, match="'bad': cannot store"):
        save_cell(tmp_path / "cell", {"bad": array}, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "meta",
    [
        {"a": float("nan")},
        {"a": [float("inf")]},
        {"a": {1: 2}},
        {1: 2},
        {"a": {1, 2}},
        {"a": "x" * store.MAXIMUM_HEADER},
    ],
    ids=["nan", "inf", "inner-key", "key", "set", "huge"],
)
def test_metadata_that_could_not_be_read_back_are_refused(tmp_path, meta):
    with pytest.raises((ValueError, TypeError)):
        save_cell(tmp_path / "cell", ARRAYS, meta)
    assert not list(tmp_path.iterdir())


# Damage


def test_truncation_at_every_byte_is_found(folder, cell):
    for length in range(len(cell)):
        with pytest.raises(DamagedCell, match="truncated"):
            load_bytes(folder, cell[:length])
    assert_same(load_bytes(folder, cell)[0], ARRAYS)


def test_every_flipped_bit_is_found(folder, cell):
    for position in range(len(cell)):
        for bit in range(8):
            flipped = bytearray(cell)
            flipped[position] ^= 1 << bit
            with pytest.raises(DamagedCell):
                load_bytes(folder, bytes(flipped))


@settings(deadline=None)
@given(start=st.integers(0, 700), length=st.integers(0, 80), patch=st.binary(max_size=80))
def test_any_overwritten_stretch_is_found(folder, cell, start, length, patch):
    altered = cell[:start] + patch + cell[start + length :]
    if altered != cell:
        with pytest.raises(DamagedCell):
            load_bytes(folder, altered)


@settings(deadline=None, max_examples=300)
@given(header=json_values | st.binary(), data=st.binary(max_size=20))
def test_foreign_content_with_a_right_checksum_is_refused(folder, header, data):
    with pytest.raises(DamagedCell):
        load_bytes(folder, sealed(header, data))
    with pytest.raises(DamagedCell):
        load_bytes(folder, data)


@settings(deadline=None, max_examples=300)
@given(
    entries=st.dictionaries(
        st.sampled_from("ab"),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["<f8", "|b1", "<i2", "|O", "<U1"]),
                "shape": st.lists(st.sampled_from([0, 1, 2, 3, -1, 2**31, 2**63]), max_size=3),
                "offset": st.sampled_from([0, 1, 2, 4, 8, 16, -8, 2**64]),
            }
        ),
    ),
    size=st.integers(0, 40),
)
def test_a_hostile_header_is_refused_or_means_exactly_the_bytes_there(folder, entries, size):
    try:
        arrays, _ = load_bytes(folder, sealed(header_of(entries), bytes(size)))
    except DamagedCell:
        return
    assert sum(array.nbytes for array in arrays.values()) == size
    assert {name: list(array.shape) for name, array in arrays.items()} == {
        name: entry["shape"] for name, entry in entries.items()
    }


def entry(dtype="<f8", shape=(2,), offset=0):
    return {"dtype": dtype, "shape": list(shape), "offset": offset}


HOSTILE = {
    "wrong shape": (header_of({"a": entry(shape=[3])}), "more bytes"),
    "too small a shape": (header_of({"a": entry(shape=[1])}), "no array"),
    "huge shape": (header_of({"a": entry(shape=[2**60])}), "no array can have"),
    "large shape": (header_of({"a": entry(shape=[2**30, 2**20])}), "more bytes"),
    "overflowing shape": (header_of({"a": entry(shape=[2**32, 2**32, 2])}), "no array can have"),
    "overflow to the right size": (
        header_of({"a": entry(shape=[2**63 + 1, 2])}),
        "no array can have",
    ),
    "empty overflowing shape": (header_of({"a": entry(shape=[0, 2**62])}), "no array can have"),
    "huge integer": (header_of({"a": entry(shape=[0, 10**4000])}), "no array can have"),
    "too many axes": (header_of({"a": entry(shape=[1] * 65)}), "no array can have"),
    "negative shape": (header_of({"a": entry(shape=[-1, -2])}), "non-negative"),
    "fractional shape": (header_of({"a": entry(shape=[2.0])}), "non-negative"),
    "boolean shape": (header_of({"a": entry(shape=[True, 2])}), "non-negative"),
    "shape of text": (header_of({"a": {**entry(), "shape": "2"}}), "non-negative"),
    "object": (header_of({"a": entry("|O")}), "dtype"),
    "structure": (header_of({"a": {**entry(), "dtype": [["x", "<f8"]]}}), "dtype"),
    "complex": (header_of({"a": entry("<c16", [1])}), "dtype"),
    "text": (header_of({"a": entry("<U2")}), "dtype"),
    "big-endian": (header_of({"a": entry(">f8")}), "dtype"),
    "sub-array": (header_of({"a": entry("(2,)<f8")}), "dtype"),
    "overlap": (header_of({"a": entry(), "b": entry()}), "follow"),
    "offset out of range": (header_of({"a": entry(offset=10**9)}), "follow"),
    "negative offset": (header_of({"a": entry(offset=-16)}), "follow"),
    "fractional offset": (header_of({"a": entry(offset=0.0)}), "follow"),
    "boolean offset": (header_of({"a": entry(offset=False)}), "follow"),
    "gap": (header_of({"a": entry(shape=[1]), "b": entry(shape=[0], offset=16)}), "follow"),
    "missing offset": (header_of({"a": {"dtype": "<f8", "shape": [2]}}), "must have"),
    "entry of another kind": (header_of({"a": 3}), "must have"),
    "arrays of another kind": (header_of([entry()]), "objects"),
    "meta of another kind": (header_of({"a": entry()}, meta=[]), "objects"),
    "another format": (header_of({"a": entry()}, format="gradhorizon-cell-2"), "format"),
    "unknown part": (header_of({"a": entry()}, more=1), "unknown"),
    "no object": ([1], "format"),
    "not JSON": (b"{", "not valid JSON"),
    "NaN": (header_of({"a": entry()}, meta={"x": float("nan")}), "not valid JSON"),
    "overflowing number": (b'{"arrays":{},"format":"x","meta":1e999}', "not valid JSON"),
    "endless number": (b"9" * 5000, "not valid JSON"),
    "deep nesting": (b"[" * 200_000 + b"]" * 200_000, "not valid JSON"),
    "not UTF-8": (b'"\xff"', "not valid JSON"),
    "repeated key": (b'{"format":1,"format":"gradhorizon-cell-1"}', "not canonical"),
    "white space": (b'{"format": 1}', "not canonical"),
    "huge header": (b" " * (store.MAXIMUM_HEADER + 1), "no header line"),
}


@pytest.mark.parametrize(("header", "complaint"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_headers_are_refused_in_one_line_without_allocating(tmp_path, header, complaint):
    (tmp_path / "hostile").write_bytes(sealed(header, bytes(16)))
    tracemalloc.start()
    try:
        with pytest.raises(DamagedCell, match=complaint) as caught:
            load_cell(tmp_path / "hostile")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "hostile"))
    assert "\n" not in message
    assert len(message) < len(str(tmp_path)) + 150
    # The file itself and its parsed header, at most 1 MiB of JSON; what it claims is terabytes.
    assert peak < 100 * 2**20


def test_long_and_multiline_names_do_not_flood_the_message(folder):
    with pytest.raises(DamagedCell) as caught:
        load_bytes(folder, sealed(header_of({"a\nb" * 1000: entry(shape=[3])}), bytes(16)))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < len(str(folder)) + 200


def test_bytes_that_are_no_boolean_become_true(folder):
    loaded, _ = load_bytes(folder, sealed(header_of({"a": entry("|b1", [3])}), b"\x00\x01\x02"))
    assert loaded["a"].tobytes() == b"\x00\x01\x01"


def test_a_large_foreign_file_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "foreign"
    with open(path, "wb") as file:
        file.truncate(1 << 36)
    with pytest.raises(DamagedCell, match="does not begin"):
        load_cell(path)


def test_a_pickle_or_numpy_file_is_foreign(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(100))
    with pytest.raises(DamagedCell, match="not a cell file"):
        load_cell(tmp_path / "a.npy")


def test_a_missing_file_is_missing_rather_than_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_cell(tmp_path / "nothing")


def test_a_killed_writer_leaves_every_cell_whole(tmp_path):
    """Kill a process that rewrites one cell without end; what it leaves must load."""
    code = (
        "import sys, numpy as np\n"
        "from gradhorizon.studies.store import save_cell\n"
        "for k in range(10**9):\n"
        "    save_cell(sys.argv[1], {'a': np.full(20_000, k)}, {'k': k})\n"
        "    print(k, flush=True)\n"
    )
    for writes in (1, 4, 9):
        command = [sys.executable, "-c", code, str(tmp_path / "cell")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            for _ in range(writes):
                assert writer.stdout.readline()
            writer.kill()
        arrays, meta = load_cell(tmp_path / "cell")
        assert meta["k"] >= writes - 1
        assert np.all(arrays["a"] == meta["k"])


# Keys


def test_cell_key_depends_on_content_only():
    key = cell_key({"a": 1, "b": {"c": [1.5, "x"], "d": None}})
    assert key == cell_key(MappingProxyType({"b": {"d": None, "c": (1.5, "x")}, "a": 1}))
    assert key == "51f7aaf32f6035841c15"
    assert (
        len({key, cell_key({}), cell_key({"a": 1}), cell_key({"a": 2}), cell_key({"a": 1.0})}) == 5
    )


@settings(deadline=None)
@given(left=st.dictionaries(st.text(), json_values), right=st.dictionaries(st.text(), json_values))
def test_cell_keys_agree_exactly_when_configurations_do(left, right):
    canonical = [json.dumps(value, sort_keys=True) for value in (left, right)]
    assert (cell_key(left) == cell_key(right)) == (canonical[0] == canonical[1])
    assert len(cell_key(left)) == 20
    assert set(cell_key(left)) <= set("0123456789abcdef")


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), {1: 1}, {1}, 1j, np.zeros(2)])
def test_cell_key_refuses_what_json_cannot_express(value):
    with pytest.raises((ValueError, TypeError)):
        cell_key({"a": value})
