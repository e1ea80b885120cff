"""Whose a results folder is: the configuration of its run, which later runs may extend."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import InputError, Shown
from ..engine.arguments import LARGEST_SEED, check_option
from ..engine.device import DEVICES
from ..engine.spec import check_integer
from .catalogue import load_study
from .files import LARGEST_TABLE, check_readable, write_atomic
from .options import read_inputs
from .own_sweep import study_of
from .sweep import Sweep
from .target import Target

CONFIGURATION, INPUTS = "configuration.json", "inputs.npy"


def claim(folder: Path, sweep: Sweep, called: str) -> None:
    """Write down whose folder this is, or check it.

    A run may go on with other numbers of networks, more points of the grid and longer windows: what
    is stored stays, and serves where it is of the same window. A cell that has more networks than
    are asked for keeps them. `called`: what the user calls the folder.

    Raises
    ------
    InputError
        If the folder holds something else: nothing in it is touched.
    """
    ours = json.loads(json.dumps(sweep.configuration()))
    file = folder / CONFIGURATION
    if file.exists():
        theirs = read_table(file)
        for key, value in ours.items():
            if key not in FREE and not extends(key, value, theirs.get(key)):
                shown = Shown(f"{folder} (holds a run with {key} = {theirs.get(key)})")
                allowed = f"a new folder, or {key} as stored{' or more' if key in MORE else ''}"
                raise InputError(called, shown, allowed)
        if theirs == ours and (isinstance(sweep.inputs, str) or (folder / INPUTS).exists()):
            return
    elif any(not e.name.startswith(".") and e.name != INPUTS for e in folder.iterdir()):
        shown = Shown(f"{folder} (not empty, no {CONFIGURATION})")
        raise InputError(called, shown, "a new folder, or that of an earlier run")
    if not isinstance(sweep.inputs, str):
        _store_inputs(folder / INPUTS, sweep)
    write_atomic(file, json.dumps(ours, indent=1).encode())


MORE = ("steps", "grid")
FREE = ("networks", "summary", "target")


def extends(key: str, ours: Any, theirs: Any) -> bool:
    """Whether an entry of a configuration is the stored one, or goes beyond it."""
    if key == "grid" and isinstance(theirs, dict):
        same = list(ours) == list(theirs) and all(isinstance(v, list) for v in theirs.values())
        return same and all(value in ours[axis] for axis in ours for value in theirs[axis])
    if key in MORE and isinstance(theirs, int):
        return bool(ours >= theirs)
    return bool(ours == theirs)


def read_table(file: Path) -> dict[str, Any]:
    """A JSON file of a results folder.

    Raises
    ------
    InputError
        If there is none, or it cannot be read.
    """
    try:
        check_readable(file, LARGEST_TABLE)
        found = json.loads(file.read_text())
        if isinstance(found, dict):
            return found
        problem = "not a table"
    except (OSError, ValueError, RecursionError) as error:
        problem = str(error)
    raise InputError("folder", Shown(f"{file} ({problem})"), "the folder of a run")


WRONG = (
    *(LookupError, TypeError, AttributeError, ValueError),
    *(ArithmeticError, RecursionError, ImportError),
)
"""What tables of other entries than expected end in."""


def stored_sweep(folder: Path) -> Sweep:
    """The sweep that a results folder belongs to.

    Raises
    ------
    InputError
        If it cannot be read, or is of another version.
    """
    found = read_table(folder / CONFIGURATION)
    try:
        study = _own(found) if found["own"] else load_study(found["study"])
        for key, least in {"networks": 1, "steps": 2, "seed": 0}.items():
            check_integer(key, found[key], least, LARGEST_SEED)
        check_option("device", found["device"], DEVICES)
        sweep = Sweep(
            study=study,
            base=found["base"],
            grid={axis: tuple(values) for axis, values in found["grid"].items()},
            inputs=_stored_inputs(folder, found["inputs"]),
            target=None if found["target"] is None else Target(**found["target"]),
            **{key: found[key] for key in ("networks", "steps", "seed", "burn_in", "device")},
        )
        if json.loads(json.dumps(sweep.configuration())) | {"summary": found["summary"]} == found:
            _ = sweep.distinct  # every point of the grid is one of the study's
            return sweep
        problem = "not as this version writes it"
    except WRONG as error:
        problem = f"{type(error).__name__}: {error}"
    shown = Shown(f"{folder / CONFIGURATION} ({problem})")
    raise InputError("folder", shown, "the folder of a run of this version")


def _own(found: Mapping[str, Any]) -> Any:
    """A sweep of the user's own, from its configuration."""
    content = {key: found[key] for key in ("products", "clip", "grid", "summary")}
    if found["exponents"] is not None:
        content["exponents"] = found["exponents"]
    return study_of(content | {"name": found["study"], "spec": found["base"]}, found["study"])


def _store_inputs(file: Path, sweep: Sweep) -> None:
    content = io.BytesIO()
    np.save(content, np.asarray(sweep.inputs), allow_pickle=False)
    write_atomic(file, content.getvalue())


def _stored_inputs(folder: Path, name: str) -> Any:
    return name if name in ("gaussian", "zero") else read_inputs(str(folder / INPUTS))
