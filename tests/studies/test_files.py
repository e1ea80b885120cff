"""Files of gradhorizon.studies.files: all of one or none, whatever fails."""

from __future__ import annotations

import errno
import os

import pytest

from gradhorizon.studies.files import write_atomic


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="no space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_an_interrupted_write_removes_its_temporary(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "file", b"new")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("durable", [True, False])
def test_content_then_name_then_folder_reach_the_disk_in_this_order(tmp_path, monkeypatch, durable):
    """Without durability only the order of the system's cache counts: a whole file, then a name."""
    path, events = tmp_path / "file", []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        inode = os.fstat(descriptor).st_ino
        events.append("folder" if inode == tmp_path.stat().st_ino else os.fstat(descriptor).st_size)
        fsync(descriptor)

    def note_replace(source, target):
        assert os.path.dirname(source) == os.path.dirname(target)
        assert os.path.getsize(source) == 5
        events.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_atomic(path, b"12345", durable=durable)
    forced = [5, "replace"] if os.name == "nt" else [5, "replace", "folder"]
    assert events == (forced if durable else ["replace"])


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot open a folder")
@pytest.mark.parametrize(("code", "passes"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_folder_that_cannot_be_synced(tmp_path, monkeypatch, code, passes):
    fsync, calls = os.fsync, []

    def fail_second(descriptor):
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(code, "folder")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_second)
    if passes:
        write_atomic(tmp_path / "file", b"new")
    else:
        with pytest.raises(OSError, match="folder"):
            write_atomic(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="no such permissions on Windows")
def test_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_atomic(str(tmp_path / "atomic"), b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode
