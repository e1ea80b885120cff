"""The arguments of `measure` and `sample`: the only place where they are checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..kernels.contract import Array
from .ensemble import LARGEST_STEPS, RandomSource, Window
from .errors import InputError, Shown, listed
from .foreign import real_array
from .labels import sequences_by_name
from .spec import NetworkSpec, check_integer

LARGEST_SEED = 2**64 - 1
LARGEST_COUNT = 2**62
LOSSES = ("last", "every")

Inputs = str | npt.ArrayLike | xr.DataArray


def random_source(
    spec: NetworkSpec,
    steps: int | None,
    seed: int,
    inputs: Inputs,
    burn_in: int | None,
    loss: str,
) -> RandomSource:
    """Check the arguments that `measure` and `sample` share."""
    if not isinstance(spec, NetworkSpec):
        raise InputError(
            "spec", Shown(type(spec).__name__), "a NetworkSpec or a dataset of sample()"
        )
    steps = check_integer("steps", steps, 2, LARGEST_STEPS)
    seed = check_integer("seed", seed, 0, LARGEST_SEED)
    check_option("loss", loss, LOSSES)
    if burn_in is None:
        burn_in = steps // 10 if spec.tied else 0
    window = Window(steps, check_integer("burn_in", burn_in, 0, steps - 2), loss == "every")
    if isinstance(inputs, str):
        check_option(
            "inputs", inputs, ("gaussian", "zero", "an array (sequences, steps, input_size)")
        )
        return RandomSource(spec, seed, window, driven=inputs == "gaussian")
    return RandomSource(spec, seed, window, check_sequences(inputs, spec, steps))


def check_sequences(inputs: Any, spec: NetworkSpec, steps: int) -> Array:
    """Real input sequences as an array of the precision of `spec`."""
    given = sequences_by_name(inputs) if isinstance(inputs, xr.DataArray) else inputs
    array = real_array("inputs", given, "an array (sequences, steps, input_size)")
    if array.ndim != 3 or array.size == 0:
        raise InputError(
            "inputs.shape", array.shape, "(sequences, steps, input_size), none of them 0"
        )
    if array.shape[2] != spec.input_size:
        raise InputError("inputs.shape", array.shape, f"last axis input_size = {spec.input_size}")
    if array.shape[1] < steps:
        raise InputError("steps", steps, f"at most {array.shape[1]}, the steps of inputs")
    with np.errstate(over="ignore"):  # what the precision cannot hold is infinite, a bad input
        return array.astype(spec.precision, copy=False)


def checked_names(field: str, names: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Some of the names known; an unknown one is refused, and a bare word in their place."""
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise InputError(field, names, f"a sequence of {listed(known)}")
    found = tuple(names)
    for name in found:
        check_option(field, name, known)
    return found


def check_option(field: str, value: Any, known: Iterable[str]) -> None:
    """Refuse a word that is not one of those known."""
    if not isinstance(value, str) or value not in tuple(known):
        raise InputError(field, value, listed(known))


def checked_exponents(exponents: int | None, products: Iterable[str]) -> int | None:
    """The number of leading Lyapunov exponents; None: all."""
    if exponents is None:
        return None
    if "lyapunov" not in products:
        raise InputError("exponents", exponents, "nothing without the product 'lyapunov'")
    if "jacobian" in products:
        raise InputError("exponents", exponents, "nothing beside the product 'jacobian': all")
    return check_integer("exponents", exponents, 1, LARGEST_COUNT)


def checked_burn_in(burn_in: int | None) -> int | None:
    """The burn-in for a given ensemble; None where its own is meant."""
    return None if burn_in is None else check_integer("burn_in", burn_in, 0, LARGEST_STEPS)


def check_window(window: Window) -> None:
    """Refuse a window that leaves no rate to be measured."""
    if window.steps < 2 or window.burn_in > window.steps - 2:
        shown = Shown(f"{window.burn_in} + {window.steps} steps")
        raise InputError("burn_in and steps", shown, "steps >= 2 and burn_in <= steps - 2")


def refuse_given(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that a given ensemble fixes itself."""
    defaults = {"networks": None, "steps": None, "seed": 0, "inputs": "gaussian", "loss": "last"}
    for name, value in arguments.items():
        if not isinstance(value, type(defaults[name])) or value != defaults[name]:
            raise InputError(name, value, "nothing, for a given ensemble has its own")
