"""Results folders that somebody else wrote: a line that names the file, or a run as ever."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tracemalloc

import h5py
import numpy as np
import pytest

from gradhorizon.studies.catalogue import NAMES, load_study
from gradhorizon.studies.cli import main

SMALL = ("run", "decay", "--networks", "4", "--steps", "6", "--set", "hidden_size=3")
SMALL += ("--set", "activation=tanh", "--set", "slope=1", "--set", "weight_scale=1,2")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The folder of a finished run that reads real inputs."""
    folder = tmp_path_factory.mktemp("original")
    np.save(folder / "x.npy", np.random.default_rng(0).standard_normal((4, 6, 2)))
    assert main([*SMALL, "--out", str(folder / "out"), "--inputs", str(folder / "x.npy")]) == 0
    return folder


@pytest.fixture
def folder(original, tmp_path):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def again(folder, capsys):
    """Run a command on the folder: the exit status, and the line about an error, if any."""

    def command(name):
        out = str(folder / "out")
        run = [*SMALL, "--out", out, "--inputs", str(folder / "x.npy")]
        capsys.readouterr()
        status = main(run if name == "run" else [name, out])
        error = capsys.readouterr().err
        assert error.count("\n") == (status != 0), error
        assert len(error) < 600
        return status, error

    return command


def refused(again, *commands, named):
    for name in commands:
        status, error = again(name)
        assert status == 2, (name, error)
        assert named in error


JUNK = (None, True, -1, 0, 1.5, 2**70, 1e300, float("nan"), float("inf"), "", "x\ny", "../x", [])
JUNK += ({}, [1], [[]], [None], {"a": 1}, {"a": [1]}, {"slope": 3}, {"slope": [[1.0]]}, "more")
KEYS = (
    *("study", "own", "summary", "products", "exponents", "clip", "base", "grid", "networks"),
    *("steps", "burn_in", "seed", "inputs", "device", "target"),
)


@pytest.mark.parametrize("key", KEYS)
def test_any_entry_of_a_configuration_is_understood_or_refused(key, folder, again):
    """By `status`; `run` goes on in its own folder or refuses a foreign one."""
    file = folder / "out/configuration.json"
    content = json.loads(file.read_text())
    assert content.keys() == set(KEYS)
    file.write_text(json.dumps({k: v for k, v in content.items() if k != key}))
    refused(again, "status", named="configuration.json")
    for junk in JUNK:
        file.write_text(json.dumps(content | {key: junk}))
        assert again("status")[0] in (0, 2), junk
    assert again("run")[0] == (0 if key in ("networks", "summary", "target") else 2)


TEXTS = {
    "empty": b"",
    "no table": b"[1]",
    "torn": b'{"study": "dec',
    "binary": bytes(range(256)),
    "deep": b"[" * 100_000,
    "a long number": b'{"networks": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("content", TEXTS.values(), ids=TEXTS)
def test_a_table_that_is_none(content, folder, again):
    (folder / "out/networks.json").write_bytes(content)
    refused(again, "status", "collect", "run", named="networks.json")
    (folder / "out/failures.json").write_bytes(content)
    (folder / "out/networks.json").unlink()
    refused(again, "status", named="failures.json")
    (folder / "out/configuration.json").write_bytes(content)
    refused(again, "status", "collect", "run", named="configuration.json")


@pytest.mark.parametrize("networks", [None, True, 0, -1, 1.5, "9", [], 2**70, 1e300])
def test_a_number_of_networks_that_is_none(networks, folder, again):
    key = min(folder.glob("out/cells/*")).name.partition("-")[0]
    (folder / "out/networks.json").write_text(json.dumps({key: networks}))
    refused(again, "status", "collect", "run", named="networks.json")


def test_reasons_of_failures_are_a_line_each(folder, capsys):
    (cell, *_) = folder.glob("out/cells/*")
    reasons = {cell.name.partition("-")[0]: "first\nsecond \x1b[2J" + "x" * 9999}
    (folder / "out/failures.json").write_text(json.dumps(reasons))
    cell.unlink()
    assert main(["status", str(folder / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["decay", "missing", "failed"]
    assert "\x1b" not in lines[-1] and len(lines[-1]) < 400


def lying(shape):
    """A .npy file that claims a shape which it does not have."""
    header = repr({"descr": "<f8", "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(8)


def pickled():
    """An array of an object whose loading would end the process."""
    from io import BytesIO

    class Bomb:
        def __reduce__(self):
            return os._exit, (3,)

    content = BytesIO()
    np.save(content, np.array([[[Bomb()]]], object), allow_pickle=True)
    return content.getvalue()


ARRAYS = {
    "pickle": pickled(),
    "terabytes": lying((2**20, 2**20, 2**10)),
    "overflow": lying((2**32, 2**32, 2)),
    "negative": lying((-1, 6, 2)),
    "too many axes": lying((1,) * 99),
    "two axes": lying((1, 1)),
    "torn": lying((4, 6, 2)),
    "empty": b"",
    "text": b"precious",
}


@pytest.mark.parametrize("content", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("name", ["out/inputs.npy", "x.npy"])
def test_hostile_inputs_are_refused_without_loading(name, content, folder, again):
    """Nothing is executed, nothing allocated that a header claims; a run has its own file."""
    (folder / name).write_bytes(content)
    tracemalloc.start()
    try:
        refused(again, *(["run"] if name == "x.npy" else ["status", "collect"]), named="npy")
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "file", ["configuration.json", "networks.json", "failures.json", "inputs.npy", "results.nc"]
)
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "loop", "hole"])
def test_what_is_no_file_is_named_and_not_waited_for(file, kind, folder, again):
    path = folder / "out" / file
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "hole":
        with open(path, "wb") as opened:
            opened.truncate(1 << 40)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else path)
    refused(again, "figure" if file == "results.nc" else "status", named=file)


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_cells_that_are_no_folder(kind, folder, again):
    cells = folder / "out/cells"
    shutil.rmtree(cells)
    cells.write_text("") if kind == "file" else cells.symlink_to("nowhere")
    refused(again, "run", "collect", named="out")


def test_cells_may_stand_elsewhere(folder, again):
    (folder / "out/cells").rename(folder / "disk")
    (folder / "out/cells").symlink_to("../disk")
    before = {file: file.stat().st_mtime_ns for file in folder.glob("disk/*")}
    assert again("run")[0] == 0
    assert {file: file.stat().st_mtime_ns for file in folder.glob("disk/*")} == before


@pytest.mark.parametrize("out", ["x" * 300, "x/" * 3000, "/dev/null/out", "/proc/out"])
def test_folders_that_cannot_be_made_or_read(out, capsys):
    for command in ([*SMALL, "--out", out], *([n, out] for n in ("status", "collect", "figure"))):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert error.startswith("gradhorizon: ") and error.count("\n") == 1, error


# Results


def test_truncated_results_are_refused(folder, again):
    file = folder / "out/results.nc"
    content = file.read_bytes()
    for share in np.linspace(0, 1, 40, endpoint=False):
        file.write_bytes(content[: int(share * len(content))])
        refused(again, "figure", named="results.nc")


@pytest.mark.filterwarnings("error")
def test_altered_results_are_drawn_or_refused(folder, again):
    """HDF5 has checksums of its structure alone: an altered number may be drawn."""
    file, dice = folder / "out/results.nc", np.random.default_rng(1)
    content = np.frombuffer(file.read_bytes(), np.uint8)
    for _ in range(30):
        changed = content.copy()
        changed[dice.integers(len(content), size=20)] = dice.integers(256, size=20)
        file.write_bytes(changed.tobytes())
        assert again("figure")[0] in (0, 2)


@pytest.mark.parametrize("name", ["rate_mean", "rate_quantile", "status_count", "weight_scale"])
def test_results_without_a_variable_are_refused(name, folder, again):
    with h5py.File(folder / "out/results.nc", "a") as opened:
        del opened[name]
    refused(again, "figure", named="results.nc")


@pytest.mark.parametrize("name", ["study", "headline", "grid", "base", "inputs", "seed"])
def test_results_with_a_foreign_attribute_are_drawn_or_refused(name, folder, again):
    for junk in ("[", 1.5):
        with h5py.File(folder / "out/results.nc", "a") as opened:
            opened.attrs[name] = junk
        assert again("figure")[0] in (0, 2)


def test_results_that_claim_a_petabyte_are_refused(folder, again):
    file = folder / "out/results.nc"
    with h5py.File(file, "a") as opened:
        opened.create_dataset("more", shape=(2**50,), dtype="f8", chunks=(2**10,))
    refused(again, "figure", named="results.nc")


def test_a_figure_that_cannot_be_stored_is_one_line(folder, again, monkeypatch):
    """It is no run that fails."""

    def read_only(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "replace", read_only)
    status, error = again("figure")
    assert status == 1
    assert error.startswith("gradhorizon: figure failed: ")


# Settings


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "hole", "binary", "deep"])
def test_a_sweep_that_is_no_file_of_text_is_named_and_not_waited_for(kind, tmp_path, capsys):
    path = tmp_path / "mine.toml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "hole":
        with open(path, "wb") as opened:
            opened.truncate(1 << 40)
    else:
        path.write_bytes({"binary": TEXTS["binary"], "deep": b"a = " + TEXTS["deep"]}[kind])
    assert main(["run", str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("gradhorizon: sweep: ") and error.count("\n") == 1, error


def test_any_value_on_a_studys_own_axes_is_understood_or_refused(cells):
    """Lines of a configuration and of the command line alike: `InputError` or a specification."""
    from gradhorizon.engine import InputError

    texts = ("nan", "-1", "1e999", "true", "x", "''", "[]", "[[1]]", "{}", "{a = 1}", "1979-05-27")
    for name in NAMES:
        for axis in load_study(name).grid:
            for text in (*texts, "18446744073709551616", "1," * 9 + "2", ",,", "[1, 'a']"):
                try:
                    for cell in cells(name, f"{axis}={text}"):
                        _ = cell.measurement.key
                except InputError as error:
                    assert "\n" not in str(error)


@pytest.mark.parametrize("depth", [100, 300, 1000, 60_000])
def test_values_within_values_are_refused_with_a_line(depth, tmp_path, capsys):
    path, nested = tmp_path / "mine.toml", "[" * depth + "1" + "]" * depth
    path.write_text(f"[grid]\nslope = {nested}\n")
    for arguments in ((str(path),), ("decay", "--set", f"slope={nested}")):
        assert main(["run", *arguments, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert error.startswith("gradhorizon: ") and error.count("\n") == 1, error


def test_more_than_a_folder_can_hold_is_refused(again, tmp_path, capsys):
    long = ",".join(str(k) for k in range(1, 400))
    for arguments, named in (
        (("--set", f"hidden_size={long}", "--set", f"steps={long}"), "--set"),
        (("--set", f"batch_size={long}", "--set", f"weight_scale={long}"), "grid"),
        (("--networks", str(10**30)), "networks"),
        (
            ("--target-error", "1", "--ceiling", "1000000000", "--set", "hidden_size=900"),
            "networks",
        ),
    ):
        assert main(["run", "decay", *arguments, "--out", str(tmp_path / "none")]) == 2
        assert named in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
