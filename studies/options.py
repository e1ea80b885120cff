"""From a study and what the user asked for to a sweep: overrides, real inputs, defaults."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import Array, InputError, Shown
from ..engine.foreign import real_numbers
from ..engine.plan import memory_budget
from .files import check_readable
from .names import KNOWN, flat, is_field, overlapping
from .study import Study
from .sweep import Sweep, study_fields
from .target import Target


@dataclass(frozen=True)
class Options:
    """What a user may say about a run; None where nothing was said."""

    networks: int | None = None
    steps: int | None = None
    seed: int | None = None
    inputs: str | None = None
    burn_in: int | None = None
    precision: str | None = None
    device: str = "cpu"
    overrides: Sequence[str] = ()
    target_error: str | float | None = None
    ceiling: int | None = None

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
    base, grid = flat(study.base), flat(study.grid)
    _check_grid(study, base, grid)
    chosen = _override(study, base, grid, options.overrides)
    _check_grid(study, base, grid)
    if options.precision is not None:
        grid.pop("precision", None)
        base["precision"] = options.precision
    elif options.device == "cuda" and "precision" not in grid:
        base.setdefault("precision", "float32")
    inputs = read_inputs(study.inputs if options.inputs is None else options.inputs)
    steps = options.steps if options.steps is not None else study.steps
    if not isinstance(inputs, str):
        if "input_size" not in grid:
            base.setdefault("input_size", int(inputs.shape[2]))
        if options.steps is None:
            steps = int(inputs.shape[1])
    count = _count("steps", steps, study.steps)
    sweep = Sweep(
        study=study,
        base=base,
        grid={axis: tuple(values) for axis, values in grid.items()},
        networks=_count("networks", options.networks, study.networks),
        steps=count,
        seed=_seed(options.seed),
        inputs=inputs,
        burn_in=_burn_in(options.burn_in, study.burn_in, count),
        target=_target(options),
        device=options.device,
    )
    _check_chosen(study, grid, chosen)
    return sweep


def _target(options: Options) -> Target | None:
    if options.target_error is not None:
        return Target.of(str(options.target_error), options.ceiling)
    if options.ceiling is not None:
        raise InputError("--ceiling", options.ceiling, "nothing without --target-error")
    return None


def _burn_in(chosen: int | None, usual: int | None, steps: int) -> int | None:
    """The user's, or the study's as far as it fits into a shorter window."""
    if chosen is not None or usual is None:
        return chosen
    return max(0, min(usual, steps - 2))


def _override(
    study: Study, base: dict[str, Any], grid: dict[str, Any], overrides: Sequence[str]
) -> list[str]:
    """Put a user's settings into base and grid; returns the names that were set."""
    chosen = []
    for text in overrides:
        name, value = parse_override(text, study.grid)
        for old in overlapping(name, tuple(base)):
            del base[old]
        for key, one in flat({name: value}).items():
            if key in grid or isinstance(one, list):
                grid[key] = tuple(one) if isinstance(one, list) else (one,)
            else:
                base[key] = one
        chosen.append(name)
    return chosen


def _check_chosen(study: Study, grid: Mapping[str, Any], chosen: Collection[str]) -> None:
    """Refuse a user's field that the study's own axes decide: it would be without effect."""
    own = {axis: grid[axis] for axis in study.grid if axis in grid}
    for values in itertools.product(*own.values()):
        point = dict(zip(own, values, strict=True))
        decided = [name for name in study_fields(study, point) if name not in own]
        for name in chosen:
            if overlapping(name, decided):
                at = ", ".join(f"{axis} = {value}" for axis, value in point.items())
                axes = f"the axes of this study are {', '.join(study.grid)}"
                allowed = f"fields that {at} does not decide; {axes}"
                raise InputError("--set", Shown(name), allowed)


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


def _check_grid(study: Study, base: Mapping[str, Any], grid: Mapping[str, Any]) -> None:
    for axis, values in grid.items():
        if axis not in study.grid and not is_field(axis):
            raise InputError("grid", axis, ", ".join(KNOWN))
        if not isinstance(values, (list, tuple)) or not values:
            raise InputError(f"grid.{axis}", values, "a list of values")
        if any(value == other for k, value in enumerate(values) for other in values[:k]):
            raise InputError(f"grid.{axis}", values, "each value once")
        also = [*overlapping(axis, base), *(o for o in overlapping(axis, grid) if o != axis)]
        if also:
            raise InputError(f"grid.{axis}", Shown(f"{axis} beside {also[0]}"), "one of the two")


def parse_override(text: str, own: Collection[str] = ()) -> tuple[str, Any]:
    """Split ``key=value``; the value is TOML, several separated by commas, or a bare word.

    The key is a field, a single gate's bias, or one of a study's `own` axes.
    """
    name, equals, value = text.partition("=")
    if not equals or not (is_field(name.strip()) or name.strip() in own):
        keys = ", ".join([*(axis for axis in own if not is_field(axis)), *KNOWN])
        raise InputError("--set", text, f"key=value with a key of {keys}")
    for candidate in (value, f"[{value}]" if "," in value else value):
        try:
            return name.strip(), tomllib.loads(f"value = {candidate}")["value"]
        except (ValueError, RecursionError):
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
        check_readable(Path(name), memory_budget())
        # mapped, so that nothing is allocated for what a header claims and the file has not
        with np.errstate(over="raise"):
            array = np.lib.format.open_memmap(name, mode="r")  # knows no pickles
    except (OSError, ValueError, ArithmeticError, EOFError) as error:
        raise InputError("inputs", Shown(f"{name} ({error})"), allowed) from None
    if array.ndim != 3 or array.size == 0:
        raise InputError("inputs", Shown(f"{name} of shape {array.shape}"), allowed)
    try:
        values = np.array(real_numbers("inputs", array))
    except InputError as error:
        raise InputError("inputs", Shown(f"{name} ({error})"), allowed) from None
    values.flags.writeable = False  # its name is made once
    return values
