"""From results to figures. Nothing is computed here: what is drawn stands in the dataset."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from .catalogue import NAMES, load_study

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#8B6D4B")
"""The palette of Okabe and Ito 2008, which stays distinct under all common colour deficiencies."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "svg.hashsalt": "gradhorizon",
    "figure.dpi": 160,
}

WIDTH = 7.2
"""Inches: the width of two columns of a journal page."""


def style(k: int) -> Any:
    """Colour and marker of the k-th curve."""
    return {"color": COLOURS[k % len(COLOURS)], "marker": MARKERS[k % len(MARKERS)]}


def held(data: xr.Dataset, drawn: Iterable[str], like: str) -> xr.Dataset:
    """The results with every axis of the grid that a figure does not draw held at one value.

    An axis that is drawn but not in the grid is added with its one value. What is held stands in
    the attribute ``held``, for `provenance_line`.
    """
    from ..engine import NetworkSpec

    grid, drawn = json.loads(data.attrs["grid"]), tuple(drawn)
    at = {axis: data.sizes[axis] // 2 for axis in grid if axis not in drawn}
    notes = [f"{axis} = {data[axis].values[k]}" for axis, k in at.items() if data.sizes[axis] > 1]
    base = {**NetworkSpec().to_dict(), **json.loads(data.attrs["base"])}
    base |= {axis: data[axis].values[k].item() for axis, k in at.items()}
    data = data.isel(at)
    for axis in drawn:
        if axis not in grid:
            base.setdefault(axis, 0.0)  # the bias of a gate
            own = [name for name, v in data.data_vars.items() if axis not in v.dims]
            data = data.assign({name: data[name].expand_dims({axis: [base[axis]]}) for name in own})
    order = [*drawn, *(d for d in data[like].dims if d not in drawn)]
    return data.transpose(*order, ...).assign_attrs(
        held=", ".join(notes), held_base=json.dumps(base)
    )


def rendered(data: xr.Dataset) -> dict[str, bytes]:
    """The figure of a study's results as PNG and SVG files."""
    name = str(data.attrs["study"])
    study_figure = load_study(name).figure if name in NAMES else None
    png, svg = io.BytesIO(), io.BytesIO()
    with mpl.rc_context(STYLE):
        figure = (study_figure or sweep_figure)(data)
        # not by savefig, which draws twice per file and lays the panels out anew for each
        FigureCanvasAgg(figure).print_png(png)
        figure.set_layout_engine("none")
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})
    return {"png": png.getvalue(), "svg": svg.getvalue()}


def provenance_line(
    figure: Figure, data: xr.Dataset, panels: Iterable[Mapping[str, Any]] = ()
) -> None:
    """Write under the figure what was computed.

    Parameters
    ----------
    figure : Figure
    data : xarray.Dataset
        Results, as `held` returns them.
    panels : iterable of mapping, optional
        Fields of the networks of each panel, in the order of the letters: they tell where the
        inputs have scale 0.
    """
    attributes = data.attrs
    base = json.loads(attributes.get("held_base", attributes["base"]))
    size = "" if "hidden_size" in data.dims else f"n = {base.get('hidden_size', 64)}, "
    notes = f", {attributes['held']}" if attributes.get("held") else ""
    text = (
        f"{attributes['study']}: {size}{attributes['networks']} networks per point, "
        f"{attributes['steps']} steps, inputs {_inputs(attributes['inputs'], base, panels)}, "
        f"seed {attributes['seed']}{notes}"
    )
    figure.supxlabel(text, fontsize=6, color="#555555", x=0.99, ha="right")


def _inputs(name: str, base: Mapping[str, Any], panels: Iterable[Mapping[str, Any]]) -> str:
    """The inputs of the networks, panel by panel where these differ."""
    driven = [{**base, **fields}.get("input_scale") != 0 for fields in panels or [{}]]
    kind = name.split(")")[0].replace("array (", "from a file (") + (")" if "(" in name else "")
    if not any(driven):
        return "none"
    if kind == "zero" or all(driven):
        return kind
    return f"{kind} in {_letters(driven)}, none in {_letters([not one for one in driven])}"


def _letters(chosen: Iterable[bool]) -> str:
    """The letters of panels, of neighbours the first and the last: ``(a)-(c), (e)``."""
    runs = [[k for k, _ in run] for one, run in groupby(enumerate(chosen), itemgetter(1)) if one]
    ends = [sorted({f"({chr(97 + k)})" for k in (run[0], run[-1])}) for run in runs]
    return ", ".join("-".join(pair) for pair in ends)


def letter(axes: Iterable[Axes], titles: Iterable[str]) -> None:
    """Give panels their letters and titles."""
    for k, (ax, title) in enumerate(zip(axes, titles, strict=True)):
        ax.set_title(f"({chr(97 + k)}) {title}")


def number_ticks(ax: Axes, values: Any, axis: str = "x") -> None:
    """Logarithmic axis with plain numbers at values about a factor of two apart."""
    if not all(v > 0 for v in values):
        return
    getattr(ax, f"set_{axis}scale")("log")
    chosen: list[float] = []
    for value in sorted(float(v) for v in values):
        if not chosen or value > 1.9 * chosen[-1]:
            chosen.append(value)
    getattr(ax, f"set_{axis}ticks")(chosen, [f"{v:.3g}" for v in chosen])
    getattr(ax, f"{axis}axis").minorticks_off()


def sweep_figure(data: xr.Dataset) -> Figure:
    """A user's own sweep: the headline variable along the last numeric axis of the grid."""
    name = str(data.attrs["headline"])
    shown = f"{name}_mean" if name else "measured_share"  # a product may have no scalar
    axes = [str(d) for d in data[shown].dims]
    numeric = [d for d in axes if data[d].dtype.kind in "fi"]
    x = numeric[-1] if numeric else (axes[-1] if axes else None)
    others = [d for d in axes if d != x]
    figure = Figure(figsize=(WIDTH * 0.6, 3.2), layout="constrained")
    ax = figure.subplots()
    for k, index in enumerate(np.ndindex(*(data.sizes[d] for d in others))):
        point = dict(zip(others, index, strict=True))
        label = ", ".join(f"{d} = {data[d].values[i]}" for d, i in point.items())
        chosen = data.isel(point)
        at = chosen[x].values if x else [0]
        mean = np.atleast_1d(chosen[shown].values)
        errors = None
        if name:
            ends = [np.atleast_1d(chosen[f"{name}_{end}"].values) for end in ("low", "high")]
            errors = np.abs(np.array(ends) - mean)
        ax.errorbar(at, mean, yerr=errors, capsize=2, label=label if k < 16 else None, **style(k))
    ax.set_xlabel(x or "")
    ax.set_ylabel(f"{name or 'share of networks measured'} ({data[shown].attrs['units']})")
    if others:
        ax.legend(fontsize=6)
    provenance_line(figure, data)
    return figure
