"""Faults of the machine are told as such: no network is blamed, and no promise is made in vain."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest
import startup
from poison import NoSpace

from gradhorizon import engine, kernels, studies
from gradhorizon.engine import InputError, NetworkSpec, measure, sample
from gradhorizon.studies import cli, executors, task
from gradhorizon.studies.errors import MachineFault, of_machine
from gradhorizon.studies.files import write_atomic
from gradhorizon.studies.schedule import Failure, Job, attempt, in_order

MENDED = "once that is mended, the same command goes on from here"

BROKEN = """
import numba.core.dispatcher

def compile(self, *arguments):
    raise RuntimeError("masked_load: return must match pointer type")

numba.core.dispatcher._FunctionCompiler.compile = compile
"""
"""A `sitecustomize` with which numba compiles nothing, as where its version does not fit."""


def gradhorizon(folder, *arguments, **environment):
    """A run of the command line."""
    (folder / "small.toml").write_text(startup.SWEEP)
    return subprocess.run(
        [sys.executable, "-m", "gradhorizon.studies.cli", *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("where", [(), ("--processes",)])
def test_a_compiler_that_fails_is_told_once_and_blames_no_network(where, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    paths = {"PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": ""}
    run = ("run", "small.toml", "--out", "out", "--workers", "1")
    done = gradhorizon(tmp_path, *run, *where, **paths)
    assert done.returncode == 1
    reason = "RuntimeError: masked_load: return must match pointer type"
    assert done.stderr == f"gradhorizon: the run failed: {reason}; {MENDED}\n"


def test_a_compiler_that_fails_is_told_in_a_line_by_validate(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(BROKEN)
    paths = {"PYTHONPATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": ""}
    done = gradhorizon(tmp_path, "validate", "--quick", **paths)
    assert done.returncode == 1
    reason = "RuntimeError: masked_load: return must match pointer type"
    assert done.stderr == f"gradhorizon: validate failed: {reason}\n"


@numba.njit
def divide(x):
    return 1 // x


@numba.njit
def badly_typed(x):
    return x.nothing


@pytest.mark.parametrize(
    "call, expected",
    [
        (lambda: os.stat("/no/such/file"), True),
        (lambda: __import__("no_such_module"), True),
        (lambda: badly_typed(1), True),
        (lambda: divide(0), False),
        (lambda: int("x"), False),
    ],
)
def test_whose_fault_an_error_is(call, expected):
    """Of the compiler is what it raises, not what compiled code raises."""
    with pytest.raises(Exception) as raised:
        call()
    assert of_machine(raised.value) == expected
    outcome = attempt(call)
    assert isinstance(outcome, Failure)
    assert outcome.of_machine == expected
    assert "\n" not in outcome.reason


@pytest.mark.parametrize("crew", [executors.serial, executors.processes])
def test_a_fault_of_the_machine_ends_the_run(crew):
    """It is not found again by every other task."""
    jobs = iter([Job(0, os.getpid), Job(1, NoSpace()), *(Job(k, os.getpid) for k in range(2, 99))])
    done = []
    with (
        crew(1) if crew is executors.processes else crew() as workers,
        pytest.raises(MachineFault, match="No space left on device"),
    ):
        for job, _ in in_order(jobs, workers):
            done.append(job.owner)
    assert done == [0]
    assert next(jobs).owner < 20


def test_too_little_memory_for_a_network_fails_its_cell_alone():
    def large():
        raise MemoryError("Unable to allocate 8.00 TiB")

    reason = "too little memory for a single one (MemoryError: Unable to allocate 8.00 TiB)"
    assert attempt(large) == Failure(reason)


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_the_same_command_does_is_said_as_it_is(interrupted, tmp_path, monkeypatch, capsys):
    """After an interruption it goes on; a cell that failed is tried again."""
    (tmp_path / "small.toml").write_text(startup.SWEEP)
    monkeypatch.chdir(tmp_path)

    def fail(*arguments, **options):
        if interrupted:
            raise_signal()
        raise ZeroDivisionError("of the test")

    monkeypatch.setattr(task, "measure_block", fail)
    assert cli.main(["run", "small.toml", "--out", "out", "--workers", "1"]) == 1
    lines = capsys.readouterr().err.splitlines()
    does = "goes on from here" if interrupted else "tries again what failed"
    assert lines[-1] == f"gradhorizon: the same command {does}"
    assert any("networks 0 to" in line and "ZeroDivisionError" in line for line in lines)


def raise_signal():
    """What Ctrl-C does, in the main thread."""
    import signal

    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("command", [("run", "small.toml"), ("validate", "--quick")])
def test_without_a_compiler_it_is_one_line_at_once(command, tmp_path):
    done = gradhorizon(tmp_path, *command, NUMBA_DISABLE_JIT="1")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("gradhorizon: NUMBA_DISABLE_JIT: 1 is not allowed; allowed: 0")
    assert not (tmp_path / "results").exists()


def test_without_a_compiler_nothing_is_drawn_or_measured(monkeypatch):
    from gradhorizon.engine import device

    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    device._only.cache_clear()
    with pytest.raises(InputError, match="NUMBA_DISABLE_JIT"):
        sample(NetworkSpec(), 2, 3)
    with pytest.raises(InputError, match="NUMBA_DISABLE_JIT"):
        measure(NetworkSpec(), networks=2, steps=3)


FULL = """
import resource, sys
from pathlib import Path
from gradhorizon.studies.files import write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write_atomic(Path("cell"), bytes(1000))
except OSError as error:
    print(error)
"""


def test_a_full_disk_is_told_with_the_file(tmp_path):
    """The error of a write has no name of its own."""
    done = subprocess.run(
        [sys.executable, "-c", FULL], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "[Errno 27] File too large: 'cell'\n"
    assert list(tmp_path.iterdir()) == []
    write_atomic(tmp_path / "cell", b"whole")


EDITED = """
import pathlib, sys
from gradhorizon import engine
from gradhorizon.studies.task import code_digest
from gradhorizon.studies import decay
import numba
file = pathlib.Path(engine.__file__).with_name("measure.py")
assert file.is_relative_to(pathlib.Path.cwd())
file.write_text(file.read_text() + sys.argv[1])
first = code_digest(decay.STUDY.derive)
numba.config.OPT = numba.core.config._OptLevel(0)
print(first, code_digest(decay.STUDY.derive))
"""


def test_results_are_named_by_the_code_that_runs(tmp_path):
    """By the engine's as imported, though it was edited since, and by the compiler's settings."""
    package = tmp_path / "gradhorizon"
    for part in (engine, studies, kernels):
        folder = Path(part.__file__).parent
        unwanted = shutil.ignore_patterns("__pycache__", "*.png")
        shutil.copytree(folder, package / folder.name, ignore=unwanted)
    (package / "__init__.py").touch()
    found = []
    for line in ("", "# edited\n", ""):
        done = subprocess.run(
            [sys.executable, "-c", EDITED, line],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found += done.stdout.split()
    before, without, during, _, after, _ = found
    assert before == during  # runs what it has imported
    assert len({before, without, after}) == 3
