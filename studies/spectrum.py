"""All Lyapunov exponents: the spectrum against the place i/N, and what follows from it.

A gradient grows at the rate of the leading exponent only. The others tell how many directions it
can explode in (the share of positive exponents), how fast a chaotic network makes information (the
entropy rate, their sum), and how many directions its states fill (the Kaplan-Yorke dimension). All
three grow in proportion to N (Engelken, Wolf & Abbott 2023), so they are shown per unit, over the
theory of infinitely wide networks.

Networks of N units differ from it. Without inputs, near the onset of chaos at weight scale 1, many
come to rest or to a cycle, whose exponents are not positive, and their dimension is 0 or 1. Inputs
that are new at every step forbid both, and move the onset to a larger weight scale.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import nan
from typing import TYPE_CHECKING, Any

from .study import Study, named
from .tied import FREE
from .wide import wide_network

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from .sweep import Cell, Sweep
    from .theory import LyapunovSpectrum

NETS: dict[str, dict[str, Any]] = {
    "tanh": {"activation": "tanh", **FREE},
    "tanh driven": {"activation": "tanh"},
    "tanh orthogonal": {"activation": "tanh", "weights": "orthogonal", **FREE},
}


def fields(point: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a net by its name; the other axes are fields."""
    others = {axis: value for axis, value in point.items() if axis != "net"}
    return {**named("net", point["net"], NETS), **others}


def derive(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The leading exponent, and per direction what grows in proportion to their number."""
    exponents = arrays["lyapunov_exponent"]
    directions = exponents.shape[1]
    return {
        "leading_exponent": exponents[:, 0],
        "dimension_share": arrays["kaplan_yorke_dimension"] / directions,
        "entropy_share": arrays["entropy_rate"] / directions,
        "unstable_share": arrays["unstable_count"] / directions,
    }


def _variables() -> dict[str, Any]:
    from ..engine import Variable

    table = {
        "leading_exponent": ("nats per step", "largest Lyapunov exponent"),
        "dimension_share": ("1", "Kaplan-Yorke dimension over N"),
        "entropy_share": ("nats per step", "sum of the positive exponents over N"),
        "unstable_share": ("1", "share of the exponents that are positive"),
    }
    return {name: Variable(("network",), *rest) for name, rest in table.items()}


THEORY = {
    "leading_exponent": "leading",
    "dimension_share": "kaplan_yorke_dimension",
    "entropy_share": "entropy_rate",
    "unstable_share": "unstable_fraction",
}
"""The attribute of `theory.LyapunovSpectrum` that each derived variable has in a wide network."""


def complete(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """Add the places i/N of the exponents, and the theory of wide networks."""
    laws = [_law(cell) for cell in sweep.cells]
    place = _place(data.lyapunov_exponent_mean)
    rows = place.values.reshape(len(laws), -1)
    axes, exponents = sweep.on_grid([_exponents(*pair) for pair in zip(laws, rows, strict=True)])
    text = "Lyapunov exponent of a wide network at the same place"
    attributes = {"units": "nats per step", "long_name": text}
    data = data.assign(place=place, theory_exponent=((*axes, "index"), exponents, attributes))
    return data.assign(_sums(data, sweep, laws)).assign_coords(curve_scale=list(_scales(data)))


def _sums(data: xr.Dataset, sweep: Sweep, laws: list[LyapunovSpectrum | None]) -> dict[str, Any]:
    """What the theory says of the derived variables, at the cells and as curves between them."""
    axes, curves = sweep.on_grid([_curve(cell, _scales(data)) for cell in sweep.cells])
    first = axes.index("weight_scale")
    others = (*axes[:first], *axes[first + 1 :])
    curves, found = curves.take(0, axis=first), {}
    for k, (name, source) in enumerate(THEORY.items()):
        units, text = _variables()[name][1:]
        attributes = {"units": units, "long_name": f"{text}, wide network"}
        _, values = sweep.on_grid([getattr(law, source, nan) for law in laws])
        found[f"theory_{name}"] = (axes, values, attributes)
        found[f"curve_{name}"] = ((*others, "curve_scale"), curves[..., k, :], attributes)
    return found


CURVE = 41
"""Weight scales of the theory's curves."""


def _scales(data: xr.Dataset) -> tuple[float, ...]:
    """Weight scales > 0 from the least to the largest measured, in equal ratios."""
    import numpy as np

    positive = data.weight_scale.values[data.weight_scale.values > 0]
    if not positive.size:
        return ()
    return tuple(np.geomspace(positive.min(), positive.max(), CURVE).tolist())


def _place(exponent: xr.DataArray) -> xr.DataArray:
    """Where the i-th of n exponents stands in the spectrum, (i - 1/2) / n; i counts from 1."""
    there = exponent.notnull()  # smaller networks have fewer
    place = ((there.cumsum("index") - 0.5) / there.sum("index")).where(there)
    text = "place (i - 1/2) / N of an exponent in the descending order"
    return place.assign_attrs(units="1", long_name=text)


def _exponents(law: LyapunovSpectrum | None, place: Any) -> Any:
    """The theory's exponents at places; NaN where there are none."""
    import numpy as np

    found = np.full(place.shape, nan)
    there = np.isfinite(place)
    if law is not None:
        found[there] = law.exponents(place[there])
    return found


def _arguments(cell: Cell) -> dict[str, Any] | None:
    """Arguments of `theory.lyapunov_spectrum` for a cell; None where there is no theory.

    Orthogonal weights are fresh at every step in the theory. Measured, tied ones do not differ.
    """
    wide, weights = wide_network(cell), cell.spec.weights
    if wide is None or weights not in ("gaussian", "orthogonal") or not wide["weight_scale"] > 0:
        return None
    return {"weights": weights, **wide}


def _law(cell: Cell) -> LyapunovSpectrum | None:
    """The spectrum of a cell's network were it wide."""
    options = _arguments(cell)
    return None if options is None else _wide_law(**options)


def _curve(cell: Cell, scales: tuple[float, ...]) -> Any:
    """The variables of `THEORY` at weight scales, the rest as in a cell; NaN for no theory."""
    import numpy as np

    options = _arguments(cell)
    if options is None:
        return np.full((len(THEORY), len(scales)), nan)
    del options["weight_scale"]
    return _wide_curve(scales, **options)


@cache  # networks of different size have the same
def _wide_law(**options: Any) -> LyapunovSpectrum:
    from .theory import lyapunov_spectrum

    return lyapunov_spectrum(**options)


@cache
def _wide_curve(scales: tuple[float, ...], **options: Any) -> Any:
    import numpy as np

    laws = [_wide_law(weight_scale=scale, **options) for scale in scales]
    found = [[getattr(law, source) for law in laws] for source in THEORY.values()]
    return np.reshape(found, (len(THEORY), len(scales)))


def figure(data: xr.Dataset) -> Figure:
    """Spectra at one weight scale, dimension and unstable share, and entropy; a row per net."""
    from .spectrum_figure import draw

    return draw(data)


STUDY = Study(
    name="spectrum",
    summary="all Lyapunov exponents: spectra against i/N; dimension, entropy, unstable directions",
    grid={
        "net": tuple(NETS),
        "hidden_size": (32, 64, 128),
        "weight_scale": (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0, 10.0),
    },
    fields=fields,
    products=("lyapunov",),
    kept=("lyapunov_exponent", "kaplan_yorke_dimension", "entropy_rate", "unstable_count"),
    networks=32,
    steps=400,
    headline="leading_exponent",
    derived=_variables,
    derive=derive,
    complete=complete,
    figure=figure,
)
