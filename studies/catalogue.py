"""The studies by name, and sweeps of the user's own."""

from __future__ import annotations

import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

from .study import Study

NAMES = (
    "activations",
    "decay",
    "bptt",
    "gates",
    "depth",
    "phase",
    "tied",
    "spectrum",
    "eigenvalue",
    "batchnorm",
    "clipping",
    "remedies",
    "coverage",
)
"""Modules of this folder, each with a ``STUDY``."""

_KEYS = {
    "name",
    "summary",
    "networks",
    "steps",
    "seed",
    "inputs",
    "burn_in",
    "products",
    "clip",
    "spec",
    "grid",
}


def load_study(name: str) -> Study:
    """A study of this package."""
    study: Study = import_module(f".{name}", __package__).STUDY
    return study


def load_toml(path: Path) -> tuple[Study, dict[str, Any]]:
    """A user's own sweep from a TOML file, and the options that stand in it.

    The file may have ``name``, ``summary``, ``networks``, ``steps``, ``seed``, ``inputs``,
    ``burn_in``, ``products``, ``clip`` (a table), a table ``[spec]`` of fields and a table
    ``[grid]`` of field = list.

    Raises
    ------
    InputError
        Naming what cannot be read or is not known.
    """
    from ..engine import InputError, Shown, product_variables
    from ..engine.clip import checked_clips
    from ..engine.products import PRODUCTS
    from .names import flat

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("sweep", Shown(f"{path} ({error})"), "a readable TOML file") from None
    for key in content:
        if key not in _KEYS:
            raise InputError(f"{path.name}: key", key, ", ".join(sorted(_KEYS)))
    for key in ("spec", "grid"):
        if not isinstance(content.get(key, {}), dict):
            raise InputError(f"{path.name}: {key}", content[key], f"a table [{key}]")
    products = content.get("products", ["gradient"])
    if (
        not isinstance(products, list)
        or not products
        or not set(map(str, products)) <= set(PRODUCTS)
    ):
        raise InputError(f"{path.name}: products", products, f"a list of {', '.join(PRODUCTS)}")
    name, summary = content.get("name", path.stem), content.get("summary", f"sweep of {path.name}")
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name) or name in NAMES:
        allowed = f"letters, digits, _ and -, and none of {', '.join(NAMES)}"
        raise InputError(f"{path.name}: name", name, allowed)
    if not isinstance(summary, str):
        raise InputError(f"{path.name}: summary", summary, "a text")
    for field in flat(content.get("spec", {})).keys() & flat(content.get("grid", {})).keys():
        raise InputError(f"{path.name}: spec.{field}", field, "a field in [spec] or in [grid]")
    clip = content.get("clip", {})
    if checked_clips(clip) and "weights" not in products:
        raise InputError(f"{path.name}: clip", clip, "nothing without the product weights")
    scalars = [n for n, v in product_variables(products).items() if v.dims == ("network",)]
    study = Study(
        name=name,
        summary=summary,
        base=content.get("spec", {}),
        grid=content.get("grid", {}),
        products=tuple(products),
        clip=clip,
        headline="rate" if "rate" in scalars else (scalars or [""])[0],
    )
    options: dict[str, Any] = {
        k: content[k] for k in ("networks", "steps", "seed", "inputs", "burn_in") if k in content
    }
    return study, options
