"""Phase diagrams of tanh: the sign of the rate over weight scale and what drives the network.

The theory of wide nets draws the line chi_1 = 1 between vanishing and exploding gradients (Poole et
al. 2016), and says that plain nets of up to about 6 xi_c layers can be trained (Schoenholz et al.
2017, "Deep information propagation"): between the two lines 6 xi_c = T for a chain of T steps. It
knows only the variance that a drive adds to net. The measured networks differ by what the drive is:

- a deep net, with fresh weights and biases in every layer: the net of the theory. (An input that is
  new to every layer, through fresh weights, is the same.)
- a recurrent net with constant biases, which may come to rest;
- a recurrent net with inputs N(0, 1) that are new at every step.

The mean rate is that of a typical network, and chi_1 is the growth of a mean square: networks of N
units reach the rate 0 above the line. Measured from N = 32 to 128, by about 6 / N at a drive of 1
in deep nets and with inputs, and by about 19 / N in recurrent nets that nothing drives.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import nan
from typing import TYPE_CHECKING, Any

from .crossing import first_rise
from .study import Study, named
from .wide import wide_network

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from .sweep import Cell, Sweep

UNDRIVEN = {"input_scale": 0.0, "input_size": 1}

PLANES: dict[str, tuple[str, dict[str, Any]]] = {
    "deep bias": ("bias_scale", {"tied": False, **UNDRIVEN}),
    "recurrent bias": ("bias_scale", {"tied": True, **UNDRIVEN}),
    "recurrent input": ("input_scale", {"tied": True}),
}
"""The field that is the second axis, and what else makes the plane."""

TRAINABLE = 6.0
"""Depths xi_c to which plain nets train (Schoenholz et al. 2017)."""


def fields(point: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a plane at a scale of its drive."""
    drive, others = named("plane", point["plane"], PLANES)
    return {drive: point["drive_scale"], "weight_scale": point["weight_scale"], **others}


THEORY = {
    "mean_field_rate": ("nats per step", "mean-field rate, infinitely wide network"),
    "critical": ("1", "weight scale of rate 0 in a wide network, chi_1 = 1"),
    "trainable_low": ("1", "weight scale below `critical` where 6 xi_c is the number of steps"),
    "trainable_high": ("1", "weight scale above `critical` where 6 xi_c is the number of steps"),
}
LINES = tuple(THEORY)[1:]
"""A weight scale for each drive; the rate is that of a point."""


def complete(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """Add rate and lines of the theory, and the weight scale where the measured rate is zero."""
    axes, values = sweep.on_grid([_theory(cell) for cell in sweep.cells])
    for k, (name, (units, text)) in enumerate(THEORY.items()):
        data = data.assign({name: (axes, values[..., k], {"units": units, "long_name": text})})
    lines = {name: data[name].isel(weight_scale=0, drop=True) for name in LINES}
    return data.assign({**lines, **_crossings(data)})


def _theory(cell: Cell) -> tuple[float, ...]:
    """The values of `THEORY` at a cell; NaN where there is no theory."""
    wide = wide_network(cell)
    if wide is None or cell.spec.weights not in ("gaussian", "uniform"):
        return (nan,) * len(THEORY)
    drive = wide["bias_scale"] ** 2 + wide["input_variance"]
    net = (wide["activation"], wide["slope"], drive)
    return _mean_field_rate(*net, wide["weight_scale"]), *_lines(*net, cell.sweep.steps)


@cache  # planes differ by more than the theory knows of
def _mean_field_rate(activation: str, slope: float, drive: float, weight_scale: float) -> float:
    from .theory import mean_field

    options = {"slope": slope, "weight_scale": weight_scale, "input_variance": drive}
    return mean_field(activation, **options).rate


@cache
def _lines(activation: str, slope: float, drive: float, steps: float) -> tuple[float, float, float]:
    """Weight scales of chi_1 = 1, and below and above it of 6 xi_c = steps; NaN for none.

    `drive` is the variance that biases and inputs add to net.
    """
    from scipy.optimize import brentq

    from .theory import critical_weight_scale, depth_scales

    options: dict[str, Any] = {"slope": slope, "input_variance": drive}
    critical = critical_weight_scale(activation, **options)

    def excess(weight_scale: float) -> float:
        if weight_scale == critical:  # xi_c is infinite, or, where the variance diverges, NaN
            return -TRAINABLE / steps
        depth = depth_scales(activation, weight_scale=weight_scale, **options).xi_c
        return 1 / depth - TRAINABLE / steps

    low = brentq(excess, 1e-3 * critical, critical, rtol=RELATIVE)
    high = critical
    while high < FARTHEST * critical and excess(high) <= 0:
        high *= 1.25
    if not excess(high) > 0:  # NaN where the variance diverges
        return critical, low, nan
    return critical, low, brentq(excess, critical, high, rtol=RELATIVE)


RELATIVE = 1e-5
"""Accuracy of the lines: a hundredth of what can be seen."""

FARTHEST = 30.0
"""Weight scales, over the critical one, up to which the upper line is looked for."""


def _crossings(data: xr.Dataset) -> dict[str, xr.DataArray]:
    """Weight scales at which the mean rate, and the ends of its interval, first rise through 0."""
    import xarray as xr

    data = data.sortby("weight_scale")
    ends = {
        "measured_critical": ("rate_mean", "weight scale at which the measured mean rate is 0"),
        "measured_critical_low": ("rate_high", "the same, lower end of the 95 % interval"),
        "measured_critical_high": ("rate_low", "the same, upper end of the 95 % interval"),
    }
    at = data.weight_scale.values
    return {
        name: xr.apply_ufunc(
            lambda rate: first_rise(at, rate),
            data[source],
            input_core_dims=[["weight_scale"]],
            vectorize=True,
        ).assign_attrs(units="1", long_name=text)
        for name, (source, text) in ends.items()
    }


def figure(data: xr.Dataset) -> Figure:
    """A heat map of the rate per plane, and how far the measured line is from the theory's."""
    from .phase_figure import draw

    return draw(data)


STUDY = Study(
    name="phase",
    summary="phase diagrams: sign of the rate over weight scale and scale of biases or inputs",
    grid={
        "plane": tuple(PLANES),
        "drive_scale": (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.25, 1.5),
        "weight_scale": tuple(0.5 + 0.125 * k for k in range(21)),
    },
    base={"activation": "tanh"},
    fields=fields,
    networks=128,
    steps=100,
    burn_in=10,
    complete=complete,
    figure=figure,
)
