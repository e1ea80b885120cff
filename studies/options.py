"""From a study and what the user asked for to a sweep: overrides, real inputs, defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import Array, InputError, NetworkSpec, Shown
from .study import Study
from .sweep import Sweep


@dataclass(frozen=True)
class Options:
    """What a user may say about a run; None where nothing was said."""

    networks: int | None = None
    steps: int | None = None
    seed: int | None = None
    inputs: str | None = None
    burn_in: int | None = None
    precision: str | None = None
    overrides: Sequence[str] = ()

    def over(self, defaults: Mapping[str, Any]) -> Options:
        """These options, completed by those of a sweep's file."""
        known = {f.name: getattr(self, f.name) for f in fields(self)}
        return Options(**{**defaults, **{k: v for k, v in known.items() if v not in (None, ())}})


def settle(study: Study, options: Options) -> Sweep:
    """The sweep of a study with a user's options.

    Raises
    ------
    InputError
        Naming the option, its value and what is allowed.
    """
    base, grid = dict(study.base), dict(study.grid)
    _check_grid(grid)
    for text in options.overrides:
        name, value = parse_override(text)
        base.pop(name, None)
        if name in grid or isinstance(value, list):
            grid[name] = tuple(value) if isinstance(value, list) else (value,)
        else:
            base[name] = value
    _check_grid(grid)
    if options.precision is not None:
        grid.pop("precision", None)
        base["precision"] = options.precision
    inputs = read_inputs(options.inputs)
    steps = options.steps if options.steps is not None else study.steps
    if not isinstance(inputs, str):
        if "input_size" not in grid:
            base.setdefault("input_size", int(inputs.shape[2]))
        if options.steps is None:
            steps = int(inputs.shape[1])
    return Sweep(
        study=study,
        base=base,
        grid={axis: tuple(values) for axis, values in grid.items()},
        networks=_count("networks", options.networks, study.networks),
        steps=_count("steps", steps, study.steps),
        seed=_seed(options.seed),
        inputs=inputs,
        burn_in=options.burn_in,
    )


def _count(name: str, value: Any, default: int) -> int:
    number = default if value is None else value
    least = 2 if name == "steps" else 1
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise InputError(name, number, f"an integer >= {least}")
    return number


def _seed(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError("seed", value, "an integer >= 0")
    return value


def _check_grid(grid: Mapping[str, Any]) -> None:
    known = [f.name for f in fields(NetworkSpec)]
    for axis, values in grid.items():
        if axis not in known:
            raise InputError("grid", axis, ", ".join(known))
        if not isinstance(values, (list, tuple)) or not values:
            raise InputError(f"grid.{axis}", values, "a list of values")
        if any(value == other for k, value in enumerate(values) for other in values[:k]):
            raise InputError(f"grid.{axis}", values, "each value once")


def parse_override(text: str) -> tuple[str, Any]:
    """Split ``key=value``; the value is TOML, several separated by commas, or a bare word."""
    name, equals, value = text.partition("=")
    known = [f.name for f in fields(NetworkSpec)]
    if not equals or name.strip() not in known:
        raise InputError("--set", text, f"key=value with a key of {', '.join(known)}")
    for candidate in (value, f"[{value}]" if "," in value else value):
        try:
            return name.strip(), tomllib.loads(f"value = {candidate}")["value"]
        except ValueError:
            continue
    words = [word.strip() for word in value.split(",")]
    return name.strip(), words if len(words) > 1 else words[0]


def read_inputs(name: str | None) -> str | Array:
    """``gaussian``, ``zero``, or the array of a .npy file (no pickled objects)."""
    if name is None or name in ("gaussian", "zero"):
        return name or "gaussian"
    allowed = "gaussian, zero, or a .npy file of real numbers (sequences, steps, input_size)"
    if not isinstance(name, str):
        raise InputError("inputs", name, allowed)
    try:
        array = np.load(Path(name), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError("inputs", Shown(f"{name} ({error})"), allowed) from None
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.size == 0:
        shape = getattr(array, "shape", "several arrays")
        raise InputError("inputs", Shown(f"{name} of shape {shape}"), allowed)
    if array.dtype.kind not in "fiu":
        raise InputError("inputs", Shown(f"{name} of type {array.dtype}"), allowed)
    return array
