"""After an edit the new code runs, wherever compiled code is kept; nobody else's is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cached import EDITED, FOLDERS, KERNEL, TOLD, kept, python

from gradhorizon import kernels

SOURCES = Path(kernels.__file__).parent


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
