"""Every remedy of the textbook, ranked by how far the gradient reaches.

All networks have n = 64 units and read N(0, 1) inputs; remedies and settings stand in
`remedy_settings`. What is common is the size and the inputs, not the other weights: the remedies
that are ensembles of W ("relu he", "orthogonal", "identity relu") have Gaussian input weights, of
sd 1/sqrt n (identity: 0.001), and no biases, all others PyTorch's input weights and biases.

Networks are ranked by the e-folding length of their gradients, 1 / mean |rate|
over networks, whichever way they go: a gradient that explodes is as far from being carried back
unchanged as one that vanishes. The mean is that of |rate| of single networks, because the mean of
the rate is zero at some setting of nearly every knob, where networks that explode and networks that
vanish make it up; 1 / |mean rate| stands in the results as well.

The best setting is the one with the largest e-folding length among those of which at least 99 % of
the networks have a gradient that is not exactly zero. It is chosen on the networks that it is then
shown for, which flatters it where neighbours on the grid differ by little more than their
intervals. A remedy whose knob leads to the identity (gates held open, branches switched off)
reaches as far as its grid goes, and lengths well beyond the steps measured are extrapolations.

Clipping changes the weight gradient and not the network: its rows are those of the baseline, tanh
with PyTorch's weights, at any threshold (see the study ``clipping``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .remedy_settings import REMEDIES
from .study import Study, named

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from .sweep import Sweep

SETTINGS = len(REMEDIES["tanh"].values)
LEAST_MEASURED = 0.99


def fields(point: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a remedy at a setting."""
    from ..engine import InputError

    remedy, setting = named("remedy", point["remedy"], REMEDIES), point["setting"]
    if isinstance(setting, bool) or not isinstance(setting, int) or not 0 <= setting < SETTINGS:
        raise InputError("setting", setting, f"an integer from 0, the default, to {SETTINGS - 1}")
    return remedy.fields(setting)


def derive(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The rate without its direction."""
    return {"absolute_rate": abs(arrays["rate"])}


def _variables() -> dict[str, Any]:
    from ..engine import Variable

    return {"absolute_rate": Variable(("network",), "nats per step", "|gradient growth rate|")}


def complete(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """Add e-folding lengths with their intervals, the settings in words, and the best ones.

    An interval of 1 / |mean rate| has an infinite end where that of the mean rate contains 0.
    """
    import numpy as np

    with np.errstate(divide="ignore"):
        reach = {
            "reach": 1 / data.absolute_rate_mean,
            "reach_low": 1 / data.absolute_rate_high,
            "reach_high": 1 / data.absolute_rate_low.clip(min=0),
            "reach_of_mean": 1 / abs(data.rate_mean),
        }
        ends = abs(data.rate_low), abs(data.rate_high)
        least = np.minimum(*ends).where(data.rate_low * data.rate_high > 0, 0)
        reach |= {"reach_of_mean_low": 1 / np.maximum(*ends), "reach_of_mean_high": 1 / least}
    data = data.assign({name: v.assign_attrs(_reach(name)) for name, v in reach.items()})
    eligible = data.reach.where(data.measured_share >= LEAST_MEASURED, -1.0)
    best = eligible.fillna(-1.0).argmax("setting")
    best = data.setting[best].drop_vars("setting")
    labels = [REMEDIES[c.point["remedy"]].label(c.point["setting"]) for c in sweep.cells]
    text = {"units": "1", "long_name": "the setting in words"}
    return data.assign(
        best=best.assign_attrs(units="1", long_name="setting of the largest reach"),
        label=(*sweep.on_grid(labels), text),
    )


def _reach(name: str) -> dict[str, str]:
    what = "1 / |mean rate|" if "of_mean" in name else "1 / mean |rate|"
    end = {"low": ", lower end of the 95 % interval", "high": ", upper end"}
    text = f"e-folding length of the gradient, {what}{end.get(name.rpartition('_')[2], '')}"
    return {"units": "steps", "long_name": text}


def figure(data: xr.Dataset) -> Figure:
    """The ranking, and the gradient against lag for each remedy."""
    from .remedy_figure import draw

    return draw(data)


STUDY = Study(
    name="remedies",
    summary="every remedy of the textbook, ranked by how far the gradient reaches",
    grid={"remedy": tuple(REMEDIES), "setting": tuple(range(SETTINGS))},
    fields=fields,
    networks=200,
    headline="absolute_rate",
    derived=_variables,
    derive=derive,
    complete=complete,
    figure=figure,
)
