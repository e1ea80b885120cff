"""What the name of compiled code, and of results, depends on."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from cached import python

from gradhorizon import kernels
from gradhorizon.engine import kernel_digest
from gradhorizon.kernels import digest

SOURCES = Path(kernels.__file__).parent


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


def test_digest_names_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code calls SciPy's LAPACK."""
    before = kernel_digest()
    monkeypatch.setattr(digest, "version_of", lambda package: "0.0" if package == "scipy" else "")
    digest._digest.cache_clear()
    after = kernel_digest()
    digest._digest.cache_clear()
    assert before != after
