"""A sweep of the user's own, from a few lines of TOML."""

from __future__ import annotations

import io
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engine import InputError, Shown, Variable, product_variables
from ..engine.arguments import checked_exponents
from ..engine.clip import checked_clips
from ..engine.products import PRODUCTS
from .catalogue import NAMES
from .files import LARGEST_TABLE, check_readable
from .names import flat
from .study import Study, nothing_derived

OPTIONS = ("networks", "steps", "seed", "inputs", "burn_in", "target_error", "ceiling")
"""What the command line may say as well, and then overrules."""

KEYS = {"name", "summary", "products", "clip", "exponents", "spec", "grid", *OPTIONS}


OF_ALL = ("kaplan_yorke_dimension", "entropy_rate", "unstable_count")
"""What a few leading Lyapunov exponents do not tell of every network."""


def load_toml(path: Path) -> tuple[Study, dict[str, Any]]:
    """Return the sweep that a TOML file describes, and the options that stand in it.

    The file may have ``name``, ``summary``, ``networks``, ``steps``, ``seed``, ``inputs``,
    ``burn_in``, ``target_error``, ``ceiling``, ``products``, ``clip`` (a table), ``exponents`` (how
    many leading Lyapunov exponents the product ``lyapunov`` finds), a table ``[spec]`` of fields
    and a table ``[grid]`` of field = list.

    Parameters
    ----------
    path : Path

    Returns
    -------
    study : Study
    options : dict

    Raises
    ------
    InputError
        Naming what cannot be read or is not known.
    """
    content = _content(path)
    study = study_of({"name": path.stem, "summary": f"sweep of {path.name}"} | content, path.name)
    return study, {key: content[key] for key in OPTIONS if key in content}


def study_of(content: Mapping[str, Any], file: str) -> Study:
    """The sweep that the tables of a file describe; `file` names it in complaints."""
    name, summary = content["name"], content["summary"]
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name) or name in NAMES:
        allowed = f"letters, digits, _ and -, and none of {', '.join(NAMES)}"
        raise InputError(f"{file}: name", name, allowed)
    if not isinstance(summary, str) or not summary.isprintable():
        raise InputError(f"{file}: summary", summary, "a line of text")
    for field in flat(content.get("spec", {})).keys() & flat(content.get("grid", {})).keys():
        raise InputError(f"{file}: spec.{field}", field, "a field in [spec] or in [grid]")
    return Study(
        name=name,
        summary=summary,
        base=content.get("spec", {}),
        grid=content.get("grid", {}),
        **_measured(file, content),
    )


def _content(path: Path) -> dict[str, Any]:
    """The tables of the file, whose keys are known."""
    try:
        check_readable(path, LARGEST_TABLE)
        content = tomllib.loads(_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError("sweep", Shown(f"{path} ({error})"), "a readable TOML file") from None
    for key in content:
        if key not in KEYS:
            raise InputError(f"{path.name}: key", key, ", ".join(sorted(KEYS)))
    for key in ("spec", "grid"):
        if not isinstance(content.get(key, {}), dict):
            raise InputError(f"{path.name}: {key}", content[key], f"a table [{key}]")
    return content


def _text(path: Path) -> str:
    """The text of a file, with the byte order mark that Windows' editors write or without one.

    Raises
    ------
    ValueError
        If it is no text in UTF-8, as UTF-16, whose letters hold zero bytes.
    """
    data = path.read_bytes()
    try:
        if b"\0" not in data:
            return io.StringIO(data.decode("utf-8-sig"), newline=None).read()
        first = data.index(b"\0")
    except UnicodeDecodeError as error:
        first = error.start
    raise ValueError(f"not UTF-8, as TOML is: byte {first + 1} is {data[first]:#04x}")


def _measured(file: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """What of a `Study` says what is measured, and which of it the table at the end shows."""
    products = content.get("products", ["gradient"])
    known = isinstance(products, list) and set(map(str, products)) <= set(PRODUCTS)
    if not known or not products:
        raise InputError(f"{file}: products", products, f"a list of {', '.join(PRODUCTS)}")
    clip = content.get("clip", {})
    if checked_clips(clip) and "weights" not in products:
        raise InputError(f"{file}: clip", clip, "nothing without the product weights")
    exponents = checked_exponents(content.get("exponents"), products)
    leading, variables = "lyapunov" in products, product_variables(products, clip)
    scalars = [n for n, v in variables.items() if v.dims == ("network",)]
    shown = ["rate"] if "rate" in scalars else ["leading_exponent"] if leading else scalars
    return {
        "products": tuple(products),
        "clip": clip,
        "exponents": exponents,
        "kept": None if exponents is None else tuple(n for n in variables if n not in OF_ALL),
        "derived": leading_variable if leading else dict,
        "derive": leading_exponent if leading else nothing_derived,
        "headline": (shown or [""])[0],
    }


def leading_variable() -> dict[str, Variable]:
    """What `leading_exponent` returns."""
    text = "largest Lyapunov exponent"
    return {"leading_exponent": Variable(("network",), "nats per step", text)}


def leading_exponent(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The exponent that the gradient grows at; dimension and entropy may need more than k."""
    return {"leading_exponent": arrays["lyapunov_exponent"][:, 0]}
