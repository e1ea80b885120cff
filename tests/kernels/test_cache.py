"""The cache of compiled kernels: found by the next process, never after an edit."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gradhorizon import kernels
from gradhorizon.kernels import cache, math, specialise
from gradhorizon.kernels.library import fill_kernel

SOURCES = Path(kernels.__file__).parent

PROBE = """
import os
from gradhorizon.engine import NetworkSpec, measure
from gradhorizon.kernels import specialise
spec = NetworkSpec(hidden_size=3, precision="float32")
products = ("trajectory", "gradient", "weights", "jacobian")
measure(spec, networks=2, steps=4, products=products)
entries = [f for f in specialise._compiled.values() if f.overloads]
cached = [f for f in entries if type(f._cache).__name__ == "FunctionCache"]
print(len(cached), sum(sum(f.stats.cache_misses.values()) for f in cached))
print(os.environ["NUMBA_CACHE_DIR"])
"""


def run_probe(folder: Path, **environment: str) -> tuple[int, int, str]:
    """(cached kernels, misses, cache folder) of a process that measures everything once."""
    known = {k: v for k, v in os.environ.items() if k not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    if "XDG_CACHE_HOME" in os.environ and "HOME" not in environment:
        known["XDG_CACHE_HOME"] = os.environ["XDG_CACHE_HOME"]
    result = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=folder,
        env=known | environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    counts, directory = result.stdout.splitlines()
    return *(int(c) for c in counts.split()), directory


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    """After a first process has filled the folder of the digest, another one misses nothing."""
    run_probe(tmp_path)
    found, misses, directory = run_probe(tmp_path)
    assert found == 10  # normal numbers, two preparations, five sweeps, their loop, logarithms
    assert misses == 0
    assert Path(directory).name == cache.kernel_digest()


def test_a_folder_of_the_user_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    cache.set_cache_directory()
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path)


@pytest.mark.parametrize("base", ["XDG_CACHE_HOME", "HOME"])
def test_default_folder(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is named by the digest, under the user's cache folder."""
    import numba

    monkeypatch.setattr(numba.config, "CACHE_DIR", numba.config.CACHE_DIR)
    for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(base, str(tmp_path))
    cache.set_cache_directory()
    middle = "" if base == "XDG_CACHE_HOME" else ".cache"
    expected = tmp_path / middle / "gradhorizon" / cache.kernel_digest()
    assert os.environ["NUMBA_CACHE_DIR"] == str(expected) == numba.config.CACHE_DIR


def digest_of(folder: Path) -> str:
    """The digest that a copy of the sources computes of itself."""
    spec = importlib.util.spec_from_file_location("copied_cache", folder / "cache.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.kernel_digest())


def test_digest_follows_every_source_byte(tmp_path: Path) -> None:
    """A copy has the same digest; one byte in any file, a new or a renamed file changes it."""
    copy = tmp_path / "kernels"
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    original = digest_of(copy)
    assert original == cache.kernel_digest()
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


def test_digest_follows_the_compiler_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")
    assert digest_of(SOURCES) != cache.kernel_digest()


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
