"""Whatever interrupts a run, the same command finishes it with the same numbers."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import xarray as xr

from gradhorizon.studies.cli import main


def start(arguments, out):
    command = [sys.executable, "-m", "gradhorizon.studies.cli", *arguments, "--out", str(out)]
    return subprocess.Popen(command, env=os.environ, stdout=subprocess.DEVNULL)


def test_a_run_killed_at_random_moments_ends_with_the_same_arrays(tmp_path, undisturbed):
    """Three kills by SIGKILL, each while cells are being stored; then one run to the end.

    `test_chaos` has more in its long form.
    """
    (arguments, expected), moments = undisturbed, random.Random(7)
    out = tmp_path / "out"
    kills, stored = 0, []
    while kills < 3:
        process = start(arguments, out)
        before = len(list(out.glob("cells/*.cell")))
        deadline = time.monotonic() + 120
        while process.poll() is None and len(list(out.glob("cells/*.cell"))) == before:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.25))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
        kills += 1
        stored.append(len(list(out.glob("cells/*.cell"))))
    assert stored == sorted(stored)
    assert stored[-1] < 252
    assert start(arguments, out).wait() == 0
    xr.testing.assert_identical(xr.load_dataset(out / "results.nc"), expected)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The folder of a finished run."""
    out = tmp_path_factory.mktemp("original") / "out"
    assert main([*SMALL, str(out)]) == 0
    return out


SMALL = ("run", "bptt", "--networks", "8", "--steps", "12", "--set", "hidden_size=6", "--out")


@pytest.mark.parametrize("damage", ["truncate", "flip", "foreign", "swap"])
@pytest.mark.usefixtures("undrawn")
def test_a_damaged_cell_is_computed_again(damage, original, tmp_path, capsys):
    out = shutil.copytree(original, tmp_path / "out")
    whole = xr.load_dataset(out / "results.nc")
    first, second = sorted(out.glob("cells/*.cell"))[:2]
    content = first.read_bytes()
    middle = len(content) // 2
    first.write_bytes(
        {
            "truncate": content[:middle],
            "flip": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            "foreign": b"not a cell\n",
            "swap": second.read_bytes(),
        }[damage]
    )
    capsys.readouterr()
    assert main([*SMALL, str(out)]) == 0
    error = capsys.readouterr().err
    assert error.startswith("warning: ")
    assert error.count("\n") == 1
    xr.testing.assert_identical(xr.load_dataset(out / "results.nc"), whole)


@pytest.mark.usefixtures("undrawn")
def test_workers_do_not_change_the_results(original, tmp_path):
    for workers in ("1", "3"):
        assert main([*SMALL, str(tmp_path / workers), "--workers", workers]) == 0
        found, expected = (
            xr.load_dataset(p / "results.nc") for p in (tmp_path / workers, original)
        )
        xr.testing.assert_identical(found, expected)


@pytest.mark.parametrize("kib", [4, 20, 60])
def test_a_full_disk_is_one_line_and_nothing_is_lost(kib, tmp_path):
    """Files may not grow beyond a limit, which cells, results or figures exceed."""
    out = tmp_path / "out"
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, 2 * [{kib * 1024}])"
    call = f"from gradhorizon.studies.cli import main; sys.exit(main({[*SMALL, str(out)]!r}))"
    script = f"import sys; {limit}; {call}"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith("gradhorizon: the run failed: ")
    assert [path.name for path in (*out.glob(".*"), *out.glob("cells/.*"))] == []
    assert main([*SMALL, str(out)]) == 0
