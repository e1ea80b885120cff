"""What is installed: one import package, and every folder of it."""

from __future__ import annotations

import sys
import tomllib
from importlib.metadata import files
from pathlib import Path

ROOT = Path(__file__).parent.parent
PARTS = ("kernels", "engine", "studies")


def test_every_folder_with_code_is_listed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {p.parent for part in PARTS for p in (ROOT / part).rglob("*.py")}
    expected = {"gradhorizon." + ".".join(f.relative_to(ROOT).parts) for f in folders}
    assert set(listed) == expected | {"gradhorizon"}


def test_no_top_level_name_but_ours_is_installed():
    tops = {path.parts[0] for path in files("gradhorizon") or [] if path.suffix == ".py"}
    assert tops <= {"gradhorizon", "__editable___gradhorizon_0_1_0_finder.py"}


def floors():
    """Name -> lowest version that the project, its tests and its dask workers declare."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["test"], *extras["dask"]]
    return dict(one.split(">=") for one in wanted)


def lowest():
    """Name -> version that is installed to see whether the lowest ones work."""
    lines = (ROOT / ".ci" / "lowest.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_the_lowest_declared_versions_are_those_that_are_tried():
    """Numbers that are left out of a floor are zero."""
    declared, tried = floors(), lowest()
    assert list(declared) == list(tried)
    for name, floor in declared.items():
        parts, exact = floor.split("."), tried[name].split(".")
        assert [*parts, "0", "0"][: len(exact)] == exact, name


def test_the_lowest_versions_are_run_in_the_ci():
    commands = (ROOT / ".ci" / "run").read_text()
    assert "-c .ci/lowest.txt" in commands


def test_imports_run_downwards_only():
    level = {part: k for k, part in enumerate(PARTS)}
    upward = []
    for part in PARTS:
        for path in (ROOT / part).rglob("*.py"):
            for line in path.read_text().splitlines():
                words = line.split()
                if len(words) > 1 and words[0] == "from" and words[1].startswith(".."):
                    target = words[1].lstrip(".").split(".")[0]
                    if level.get(target, -1) > level[part]:
                        upward.append((path, line))
    assert upward == []


def test_kernels_import_numba_and_numpy_alone():
    """And llvmlite, by which numba, and a primitive in vector instructions, speak to LLVM."""
    allowed = sys.stdlib_module_names | {"numba", "numpy", "llvmlite"}
    for path in (ROOT / "kernels").rglob("*.py"):
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] in (["import"], ["from"]) and not words[1].startswith("."):
                assert words[1].split(".")[0] in allowed, (path, line)
