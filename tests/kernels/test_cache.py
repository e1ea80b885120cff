"""The cache of compiled kernels: found by the next process, and never in the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import pytest
from cached import FOLDERS, KERNEL, TOLD, kept, python

from gradhorizon.kernels import cache, digest, math, specialise
from gradhorizon.kernels.library import fill_kernel

PROBE = """
from gradhorizon.engine import NetworkSpec, measure
from gradhorizon.kernels import specialise
spec = NetworkSpec(hidden_size=3, precision="float32")
products = ("trajectory", "gradient", "weights", "jacobian")
measure(spec, networks=2, steps=4, products=products)
entries = [f for f in specialise._compiled.values() if f.overloads]
kept = [f for f in entries if type(f._cache).__name__ == "KernelCache"]
print(len(kept), sum(sum(f.stats.cache_misses.values()) for f in kept))
"""


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    """After a first process has filled the folder of the digest, another one misses nothing."""
    own = {name: os.environ[name] for name in FOLDERS if name in os.environ}
    python(PROBE, tmp_path, **own)
    found, misses = map(int, python(PROBE, tmp_path, **own).stdout.split())
    assert found == 10  # normal numbers, two preparations, five sweeps, their loop, logarithms
    assert misses == 0


@pytest.mark.parametrize("base", ["NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"])
def test_folder(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is named by the digest, under the user's cache folder."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if base == "NUMBA_CACHE_DIR":
        monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    else:
        monkeypatch.setenv(base, str(tmp_path))
    middle = ".cache" if base == "HOME" else ""
    assert cache.cache_folder() == tmp_path / middle / "gradhorizon" / digest.kernel_digest()


def test_without_a_home_kernels_are_compiled(tmp_path: Path) -> None:
    """As in a container whose user is no one."""
    code = f"import pathlib, pwd\ndef none(*a): raise KeyError\npwd.getpwuid = none\n{TOLD}"
    known = {k: v for k, v in os.environ.items() if k not in (*FOLDERS, "HOME")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=known, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1.0 0\n"
    assert done.stderr.count("\n") == 1 and "home" in done.stderr


def test_a_full_disk_is_told_and_the_kernel_runs(tmp_path: Path) -> None:
    """No file of the cache can grow to its size; none is left behind."""
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    code = f"{limit}{TOLD}print(cache.cache_folder())"
    code = f"from gradhorizon.kernels import cache\n{code}"
    done = python(code, tmp_path, XDG_CACHE_HOME=str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
    derivative, folder = done.stdout.splitlines()
    assert derivative == "1.0 0"
    assert done.stderr == (
        f"gradhorizon: compiled code is not kept in {folder}: [Errno 27] File too large\n"
    )
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "short": lambda content: content[: len(content) // 2],
    "garbage": lambda content: b"garbage" * 1000,
    "one bit": lambda content: content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
    "code that a pickle runs": lambda content: b"cos\n_exit\n(I3\ntR.",
}


@pytest.fixture
def afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[float, int]]:
    """`relu_derivative` of `KERNEL`, as a process would find it that starts now."""
    scope: dict[str, Any] = {}
    exec(KERNEL, scope)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def call() -> tuple[float, int]:
        monkeypatch.setattr(specialise, "_compiled", {})
        monkeypatch.setattr(cache, "_told", [])
        return tuple(scope["relu_derivative"]())

    return call


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_files_are_compiled_again(
    damage: Callable[[bytes], bytes],
    afresh: Callable[[], tuple[float, int]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert afresh() == (1.0, 0)
    (file,) = kept(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    assert afresh() == (1.0, 0)
    told = capsys.readouterr().err
    assert told.startswith(f"gradhorizon: {file} is damaged (") and told.count("\n") == 1
    assert afresh() == (1.0, 1)
    assert capsys.readouterr().err == ""


def test_a_file_of_another_kernel_is_not_run(tmp_path: Path) -> None:
    """Under the name of this one, as a copy or a collision of names would leave it."""
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    other = TOLD.replace("activations.relu", "activations.leaky_relu").replace("probe", "other")
    python(other, tmp_path, **environment)
    (wrong,) = kept(tmp_path)
    python(TOLD, tmp_path, **environment)
    (right,) = set(kept(tmp_path)) - {wrong}
    shutil.copy(wrong, right)
    done = python(TOLD, tmp_path, **environment)
    assert done.stdout == "1.0 0\n"
    assert "holds another kernel" in done.stderr


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    """Two kinds of arguments of one kernel, each compiled by two processes."""
    both = [f"{KERNEL}print(*relu_derivative({kind!r}))" for kind in ("float64", "float32")]
    with ThreadPoolExecutor(4) as four:
        done = list(
            four.map(lambda code: python(code, tmp_path, XDG_CACHE_HOME=str(tmp_path)), 2 * both)
        )
    assert all(one.stdout.startswith("1.0 ") and one.stderr == "" for one in done)
    assert len(kept(tmp_path)) == 2
    for code in both:
        assert python(code, tmp_path, XDG_CACHE_HOME=str(tmp_path)).stdout == "1.0 1\n"


def test_a_switch_changes_what_is_run_in_the_same_folder(tmp_path: Path) -> None:
    """Code compiled with other switches is not found."""
    environment = {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert python(TOLD, tmp_path, **environment).stdout == "1.0 0\n"
    assert python(TOLD, tmp_path, NUMBA_OPT="0", **environment).stdout == "1.0 0\n"
    assert python(TOLD, tmp_path, **environment).stdout == "1.0 1\n"


def test_information_for_debuggers_changes_no_kernel(tmp_path: Path) -> None:
    """NUMBA_DEBUGINFO is about the user's functions; numba compiles no empty body with it."""
    code = f"""{KERNEL}
from gradhorizon.kernels.targets import cpu
relu_derivative()
specialise(cpu.barrier, "probe")()  # its body is a docstring alone
print(specialise(rnn.linearise, "probe").inspect_llvm())
"""
    plain, debugged = (
        python(code, tmp_path, NUMBA_DEBUGINFO=value, XDG_CACHE_HOME=str(tmp_path / value)).stdout
        for value in "01"
    )
    assert "define" in plain
    assert plain == debugged


def test_specialised_functions_are_memoised_and_named_for_the_cache() -> None:
    """The same binding gives the same object, under a name that is stable between processes."""
    assert fill_kernel("normal", "float64") is fill_kernel("normal", "float64")
    assert fill_kernel("normal", "float64") is not fill_kernel("uniform", "float64")
    function = fill_kernel("normal", "float64").py_func
    assert function.__qualname__ == "fill_normal_float64"
    assert function.__closure__ is None
    first = specialise.specialise(math.log1p_unit, "memoised")
    assert specialise.specialise(math.log1p_unit, "memoised") is first
    assert math.log1p_unit.__globals__["log1p_series"] is math.log1p_series  # the source is intact


def test_code_of_which_the_digest_knows_nothing_is_not_kept() -> None:
    def outside(x):  # type: ignore[no-untyped-def]
        return x + 1

    kernel = specialise.specialise(outside, "outside")
    assert kernel(1) == 2
    assert type(kernel._cache).__name__ == "NullCache"
