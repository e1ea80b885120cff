"""The cache of compiled kernels: found by the next process, never after an edit or in the way."""

from __future__ import annotations

import importlib.util
import json
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

from gradhorizon import kernels
from gradhorizon.kernels import cache, digest, math, specialise
from gradhorizon.kernels.library import fill_kernel

SOURCES = Path(kernels.__file__).parent

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

KERNEL = """
import numpy as np
from gradhorizon.kernels import activations
from gradhorizon.kernels.cells import rnn
from gradhorizon.kernels.precision import FORMATS
from gradhorizon.kernels.specialise import specialise
def relu_derivative(dtype="float64"):
    kernel = specialise(rnn.linearise, "probe", phi=activations.relu, **FORMATS["float64"])
    dz, one = np.zeros((1, 1, 1)), np.ones((1, 1), dtype)
    kernel(one, one, 0, np.ones(1), dz, np.zeros((1, 1, 1)))
    return dz.item(), sum(kernel.stats.cache_hits.values())
"""
TOLD = KERNEL + "print(*relu_derivative())\n"
"""The derivative of relu at 1, of a kernel in another file than `relu`; whether it was kept."""

EDITED = "(real(3.0) if z > real(0.0) else real(0.0))"
"""What takes the place of relu's derivative, ``real(1.0) if z > ...``: 3 instead of 1."""

FOLDERS = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")


def python(
    code: str, folder: Path, *, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run code in a process that knows no folder for caches but those of `environment`."""
    known = {k: v for k, v in os.environ.items() if k not in FOLDERS}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=known | environment,
        capture_output=True,
        text=True,
        check=check,
        timeout=300,
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder with a copy of the kernels that Python finds before those that are installed."""
    package = tmp_path / "copy" / "gradhorizon"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(SOURCES, package / "kernels", ignore=unwanted)
    return package.parent


def edit(copy: Path) -> None:
    """Give relu another derivative."""
    file = copy / "gradhorizon" / "kernels" / "activations.py"
    before, after = file.read_text(), "(real(1.0) if z > real(0.0) else real(0.0))"
    file.write_text(before.replace(after, EDITED, 1))
    assert file.read_text() != before


def kept(folder: Path) -> list[Path]:
    """Files of compiled code."""
    return sorted(path for end in ("nbc", "nbi") for path in folder.rglob(f"*.{end}"))


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


@pytest.mark.parametrize("named", FOLDERS)
def test_a_child_of_a_process_runs_the_code_as_edited(
    copied: Path, tmp_path: Path, named: str
) -> None:
    """It inherits the environment, as a notebook's ``!python`` does; the parent keeps its code."""
    code = f"""{KERNEL}
import subprocess, sys, os
from pathlib import Path
child = [sys.executable, "-c", os.environ["TOLD"]]
print(*relu_derivative())
subprocess.run(child, check=True)
file = Path(activations.__file__)
file.write_text(file.read_text().replace("(real(1.0) if z > real(0.0) else real(0.0))", {EDITED!r}))
subprocess.run(child, check=True)
subprocess.run(child, check=True)
"""
    environment = {"PYTHONPATH": str(copied), named: str(tmp_path / "kept"), "TOLD": TOLD}
    done = python(code, tmp_path, **environment)
    by_children = done.stdout.splitlines()
    assert sorted(by_children) == sorted(["1.0 0", "1.0 1", "3.0 0", "3.0 1"])
    assert done.stderr == ""


def test_code_that_was_edited_while_it_was_imported_is_not_kept(
    copied: Path, tmp_path: Path
) -> None:
    """Modules are imported when they are needed; the digest is that of the first moment."""
    sources = copied / "gradhorizon" / "kernels" / "activations.py"
    environment = {"PYTHONPATH": str(copied), "XDG_CACHE_HOME": str(tmp_path / "kept")}
    original = sources.read_text()
    late = f"""
import gradhorizon.kernels
from pathlib import Path
file = Path({str(sources)!r})
file.write_text(file.read_text().replace("(real(1.0) if z > real(0.0) else real(0.0))", {EDITED!r}))
{TOLD}"""
    done = python(late, tmp_path, **environment)
    assert done.stdout == "3.0 0\n"
    assert done.stderr.count("\n") == 1 and "edited" in done.stderr
    sources.write_text(original)
    assert python(TOLD, tmp_path, **environment).stdout == "1.0 0\n"


def test_without_a_folder_kernels_are_compiled_as_edited(copied: Path, tmp_path: Path) -> None:
    """No home that can be written, and nothing is written beside the sources; one line says so."""
    (tmp_path / "file").touch()
    environment = {"PYTHONPATH": str(copied), "XDG_CACHE_HOME": str(tmp_path / "file" / "below")}
    before = python(TOLD, tmp_path, **environment)
    edit(copied)
    after = python(TOLD, tmp_path, **environment)
    assert (before.stdout, after.stdout) == ("1.0 0\n", "3.0 0\n")
    assert before.stderr.startswith(f"gradhorizon: compiled code is not kept in {tmp_path}/file/")
    assert before.stderr.count("\n") == after.stderr.count("\n") == 1
    assert kept(tmp_path) == []


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


OWN = """
import json, os, sys
from numba import config, njit
before = dict(os.environ), {k: repr(v) for k, v in vars(config).items() if k.isupper()}
if sys.argv[1:]:
    import gradhorizon.engine
    exec(sys.argv[1])
assert before == (dict(os.environ), {k: repr(v) for k, v in vars(config).items() if k.isupper()})
@njit(cache=True)
def of_the_user(x):
    return x + 1
of_the_user(1)
print(of_the_user.stats.cache_path)
"""


@pytest.mark.parametrize("named", [False, True])
def test_cached_functions_of_the_user_stay_where_they_were(tmp_path: Path, named: bool) -> None:
    """The environment and numba's settings too."""
    (tmp_path / "own.py").write_text(OWN)
    known = {k: v for k, v in os.environ.items() if k not in FOLDERS}
    known |= {"XDG_CACHE_HOME": str(tmp_path / "xdg")}
    known |= {"NUMBA_CACHE_DIR": str(tmp_path / "numba")} if named else {}
    places = []
    for arguments in ((), (KERNEL + "relu_derivative()",)):
        done = subprocess.run(
            [sys.executable, tmp_path / "own.py", *arguments],
            env=known,
            capture_output=True,
            text=True,
            check=True,
        )
        places.append(done.stdout)
        assert done.stderr == ""
    assert places[0] == places[1]
    ours, base = kept(tmp_path), tmp_path / ("numba" if named else "xdg")
    assert len([path for path in ours if path.is_relative_to(base / "gradhorizon")]) == 1


def digest_of(folder: Path) -> str:
    """The digest that a copy of the sources computes of itself."""
    spec = importlib.util.spec_from_file_location("copied_digest", folder / "digest.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.kernel_digest())


def test_digest_follows_every_source_byte(tmp_path: Path) -> None:
    """A copy has the same digest; one byte in any file, a new or a renamed file changes it."""
    copy = tmp_path / "kernels"
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    original = digest_of(copy)
    assert original == digest.kernel_digest()
    seen = {original}
    for path in sorted(copy.rglob("*.py")):
        text = path.read_bytes()
        path.write_bytes(text + b"#")
        seen.add(digest_of(copy))
        path.write_bytes(text)
    assert len(seen) == 1 + len(list(copy.rglob("*.py")))
    (copy / "cells" / "new.py").write_text("")
    seen.add(with_new := digest_of(copy))
    (copy / "cells" / "new.py").rename(copy / "cells" / "newer.py")
    seen.add(digest_of(copy))
    assert len(seen) == 3 + len(list(copy.rglob("*.py"))) - 1
    assert with_new != original
    (copy / "cells" / "newer.py").unlink()
    assert digest_of(copy) == original


def test_digest_of_an_installation_without_sources(tmp_path: Path) -> None:
    """An archive, or compiled files: what is imported is what is read."""
    import compileall
    import zipfile

    package = tmp_path / "kernels"
    shutil.copytree(SOURCES, package, ignore=shutil.ignore_patterns("__pycache__"))
    found = set()
    for mark in (b"", b"\nLAST = 1\n"):
        with (package / "math.py").open("ab") as file:
            file.write(mark)
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("gradhorizon/__init__.py", "")
            for path in package.rglob("*.py"):
                archive.write(path, Path("gradhorizon", path.relative_to(tmp_path)))
        bare = tmp_path / f"bare{len(mark)}" / "gradhorizon"
        shutil.copytree(package, bare / "kernels")
        (bare / "__init__.py").touch()
        compileall.compile_dir(bare, legacy=True, quiet=1)
        for path in bare.rglob("*.py"):
            path.unlink()
        code = "from gradhorizon.kernels import digest as d; print(d.kernel_digest(), d.ROOT)"
        for where in (tmp_path / "a.zip", bare.parent):
            name, root = python(code, tmp_path, PYTHONPATH=str(where)).stdout.split()
            assert root.startswith(str(where))
            found.add(name)
    assert len(found) == 4


SWITCHED = """
import json, os, numba
from gradhorizon.kernels.digest import kernel_digest
found = {"": kernel_digest()}
for setting in json.loads(os.environ["SETTINGS"]):
    name, value = setting.split("=")
    os.environ[name] = value
    numba.config.reload_config()  # the compiler does so before it compiles
    found[setting] = kernel_digest()
    del os.environ[name]
numba.config.reload_config()
assert found[""] == kernel_digest()
print(json.dumps(found))
"""


def test_digest_follows_the_switches_of_the_compiler_alone(tmp_path: Path) -> None:
    deciding = [
        "NUMBA_OPT=0",
        "NUMBA_OPT=max",
        "NUMBA_LOOP_VECTORIZE=0",
        "NUMBA_SLP_VECTORIZE=1",
        "NUMBA_CPU_NAME=generic",
        "NUMBA_CPU_FEATURES=+sse2",
        "NUMBA_ENABLE_AVX=0",
        "NUMBA_BOUNDSCHECK=1",
        "NUMBA_DEBUGINFO=1",
        "NUMBA_EXTEND_VARIABLE_LIFETIMES=1",
        "NUMBA_LLVM_REFPRUNE_PASS=0",
        "NUMBA_DISABLE_JIT=1",
    ]
    idle = ["NUMBA_NUM_THREADS=1", "NUMBA_CACHE_DIR=/elsewhere", "NUMBA_DEBUG_CACHE=0"]
    found = json.loads(python(SWITCHED, tmp_path, SETTINGS=json.dumps(deciding + idle)).stdout)
    assert len({found[setting] for setting in ("", *deciding)}) == 1 + len(deciding)
    assert {found[setting] for setting in idle} == {found[""]}


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
