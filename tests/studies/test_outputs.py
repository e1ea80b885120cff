"""What cannot be written is told before anything is measured, by the name that the user gave."""

from __future__ import annotations

import errno
import fcntl
import json
import os

import pytest

from gradhorizon.studies import files, validation
from gradhorizon.studies.cli import main
from gradhorizon.studies.files import check_writable, write_output

TINY = ("run", "decay", "--networks", "4", "--steps", "8", "--workers", "1")
TINY += tuple(f"--set={x}" for x in ("weight_scale=1", "slope=1", "activation=tanh"))


def refusal(capsys, *arguments):
    assert main([*map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


@pytest.fixture
def idle(monkeypatch):
    """Whoever validates fails the test."""
    monkeypatch.setattr(validation, "validate", lambda **asked: pytest.fail("work was done"))


def test_checks_that_have_nowhere_to_go_are_not_made(idle, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    wrong = ("none/checks.json", ".", "file/checks.json", "x" * 300, "x" * 250)
    for name in wrong:
        error = refusal(capsys, "validate", "--json", tmp_path / name)
        assert error.startswith("gradhorizon: --json: ")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_and_a_file_that_must_not_be_written(idle, monkeypatch, tmp_path, capsys):
    """Judged by the system's answer: those who run tests may write everywhere."""

    usual = files.Path.open

    def read_only(path, mode="r", *arguments, **options):
        if "r" in mode:
            return usual(path, mode, *arguments, **options)
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    (tmp_path / "kept.json").write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(files.Path, "open", read_only)
        error = refusal(capsys, "validate", "--json", tmp_path / "checks.json")
        assert "Read-only file system" in error
    monkeypatch.setattr(files.os, "access", lambda path, mode: False)
    error = refusal(capsys, "validate", "--json", tmp_path / "kept.json")
    assert "Permission denied" in error
    assert (tmp_path / "kept.json").read_text() == "old"


def test_the_old_file_stands_until_the_new_one_is_whole(monkeypatch, tmp_path):
    file, link = tmp_path / "checks.json", tmp_path / "link.json"
    file.write_text("old")
    link.symlink_to(file.name)
    check_writable(link)
    assert file.read_text() == "old"

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_output(link, b"new")
    assert file.read_text() == "old"
    write_output(link, b"new")
    assert link.is_symlink()
    assert file.read_text() == "new"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checks.json", "link.json"]


def test_a_device_stays_a_device(tmp_path):
    """As `--json /dev/stdout`: nothing takes its place."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    check_writable(pipe)
    write_output(pipe, b"content")
    assert os.read(reader, 100) == b"content"
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("name", ["results.nc", "figure.png", "summary.csv", "provenance.json"])
def test_results_that_could_not_be_written_are_not_measured(name, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([*TINY, "--out", str(out)]) == 0
    cells = {p: p.read_bytes() for p in out.glob("cells/*")}
    (out / name).unlink()
    (out / name).mkdir()
    more = [*TINY, "--networks", "8", "--out", out]
    assert f"--out: {out} ({name} is a folder)" in refusal(capsys, *more)
    assert f"folder: {out} ({name} is a folder)" in refusal(capsys, "collect", out)
    assert {p: p.read_bytes() for p in out.glob("cells/*")} == cells


def test_each_command_names_what_it_was_given(tmp_path, capsys):
    """`collect`, `status` and `figure` have no flags: theirs is a folder."""
    out = tmp_path / "out"
    assert main([*TINY, "--out", str(out)]) == 0
    with open(out / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert refusal(capsys, *TINY, "--out", out).startswith(
            f"gradhorizon: --out: {out} (in use)"
        )
        assert refusal(capsys, "collect", out).startswith(f"gradhorizon: folder: {out} (in use)")
    (out / "cells").rename(out / "gone")
    (out / "cells").write_text("")
    assert refusal(capsys, "collect", out).startswith(f"gradhorizon: folder: {out} (")
    configuration = json.loads((out / "configuration.json").read_text())
    damages = {"seed": -1, "device": "abacus", "target": {"relative": None}, "networks": 0}
    for key, value in damages.items():
        (out / "configuration.json").write_text(json.dumps(configuration | {key: value}))
        for command in ("collect", "status"):
            assert refusal(capsys, command, out).startswith("gradhorizon: folder: ")
    for command in ("collect", "status", "figure"):
        assert "--" not in refusal(capsys, command, tmp_path / "none")
