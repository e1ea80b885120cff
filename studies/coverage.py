"""Whether the intervals are honest: how often they cover the truth where it is known exactly.

One measurement is repeated with fresh seeds, a cell of the grid each, and the 95 % intervals of the
rate that every study reports (of its mean, its standard deviation and its quantiles over networks)
are compared with their exact distribution (`theory.rate_distributions`). Few layers and units make
it skewed and long-tailed, ReLU's above all: there, intervals that rely on normal rates fail.

Which of a layer's ReLU units are active is decided by independent fair coins, also as seen by the
gradient, since the weights of a unit and their negatives are equally likely: its norm grows as that
of the forward Jacobian does. Networks with a dead layer are left out, as everywhere; what is exact
is the distribution of the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import sqrt
from typing import TYPE_CHECKING, Any

from .study import Study, named, own_seed

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from ..engine import NetworkSpec
    from .sweep import Cell, Sweep
    from .theory import RateDistribution

NETS: dict[str, dict[str, Any]] = {
    "linear": {"activation": "linear"},
    "relu": {"activation": "relu", "weight_scale": sqrt(2.0)},
}
"""ReLU with the weights of He et al. 2015."""

KNOWN: dict[str, Any] = {
    "cell": "rnn",
    "tied": False,
    "weights": "gaussian",
    "bias_scale": 0.0,
    "skip": 0.0,
    "branch": 1.0,
    "normalization": "none",
    "batch_size": 1,
}
"""Fields of the nets whose rate has an exactly known distribution, beside their activation."""

REPETITIONS = 1000
CONFIDENCE = 0.95
TOLERANCE = 0.02
"""An interval is honest if it covers the truth in 95 +- 2 % of the repetitions."""

POINTS, EDGE = 201, 1e-3
"""Of the exact density, and the probability beyond either end of it."""


def fields(point: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a net; a repetition changes none of them."""
    from ..engine import InputError

    repetition = point["repetition"]
    if isinstance(repetition, bool) or not isinstance(repetition, int) or repetition < 0:
        raise InputError("repetition", repetition, "an integer >= 0")
    return named("net", point["net"], NETS)


def seed(run: int, point: Mapping[str, Any]) -> int:
    """A seed of its own for each net and repetition of a run."""
    return own_seed(run, (tuple(NETS).index(point["net"]), point["repetition"]))


def check(spec: NetworkSpec) -> None:
    """Refuse a network whose rate has no exactly known distribution.

    Raises
    ------
    InputError
        Naming the field, its value and what is allowed.
    """
    from ..engine import InputError

    why = "the distribution of the rate is known exactly for no other"
    for name, value in KNOWN.items():
        if getattr(spec, name) != value:
            raise InputError(name, getattr(spec, name), f"{value!r}: {why}")
    if spec.weight_scale == 0:
        raise InputError("weight_scale", spec.weight_scale, "a number > 0, as no gradient is left")
    for gate, bias in spec.gate_bias.items():
        if bias != 0:
            raise InputError(f"gate_bias.{gate}", bias, f"0.0: {why}")


def exact(cell: Cell) -> RateDistribution:
    """The distribution of the rate in a cell."""
    spec, window = cell.spec, cell.measurement.source().window
    layers = window.steps - 1 - window.burn_in
    return _distribution(spec.activation, spec.hidden_size, layers, spec.weight_scale * spec.slope)


@cache
def _distribution(activation: str, n: int, layers: int, scale: float) -> RateDistribution:
    from .theory import linear_rate, relu_rate

    return {"linear": linear_rate, "relu": relu_rate}[activation](n, layers, scale)


def statistics() -> list[str]:
    """Names of the statistics whose intervals every study reports."""
    from .summary import QUANTILES

    return ["mean", "sd", *(f"quantile {q:g}" for q in QUANTILES)]


@cache
def _truth(law: RateDistribution) -> Any:
    """Mean, standard deviation and quantiles."""
    import numpy as np

    from .summary import QUANTILES

    return np.array([law.mean, law.sd, *law.quantile(QUANTILES)])


@cache
def _curve(law: RateDistribution) -> Any:
    """Rates and the exact density there, shape (2, POINTS)."""
    import numpy as np

    ends = law.quantile([EDGE, 1 - EDGE])
    rate = np.linspace(ends[0], ends[1], POINTS)
    return np.stack([rate, law.density(rate)])


def complete(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """Add the exact statistics and density, and how often the intervals cover the truth."""
    data = data.assign_coords(statistic=statistics()).assign(_exact_variables(sweep))
    exact_sd = data.exact_statistic.sel(statistic="sd", drop=True)
    return data.assign(
        _shares("coverage", _reported(data), data.exact_statistic)
        | _shares("coverage_normal_sd", _normal(data), exact_sd)
    )


def _exact_variables(sweep: Sweep) -> xr.Dataset:
    """The exact distributions, by net; they are the same in every repetition."""
    import numpy as np
    import xarray as xr

    laws = [exact(cell) for cell in sweep.cells]
    axes, truth = sweep.on_grid([_truth(law) for law in laws])
    rate, density = np.moveaxis(sweep.on_grid([_curve(law) for law in laws])[1], -2, 0)
    nats = {"units": "nats per step"}
    variables = {
        "exact_statistic": (
            (*axes, "statistic"),
            truth,
            nats | {"long_name": "statistic of the rate, exact"},
        ),
        "exact_rate": ((*axes, "point"), rate, nats | {"long_name": "rates of the exact density"}),
        "exact_density": (
            (*axes, "point"),
            density,
            {"units": "steps per nat", "long_name": "exact density of the rate"},
        ),
    }
    return xr.Dataset(variables).isel(repetition=0)


def _normal(data: xr.Dataset) -> list[xr.DataArray]:
    """Lower and upper ends of the interval of the sd that takes rates for normal."""
    from .intervals import normal_sd_interval

    measured = data.status_count.sel(status="ok").values
    ends = normal_sd_interval(data.rate_sd.values, measured.clip(min=2), CONFIDENCE)
    return [data.rate_sd.copy(data=end) for end in ends]


def _reported(data: xr.Dataset) -> list[xr.DataArray]:
    """Lower and upper ends of the intervals of the rate in the results, by statistic."""
    import xarray as xr

    both = []
    for end in ("low", "high"):
        quantiles = data[f"rate_quantile_{end}"].rename(quantile="statistic")
        parts = [data[f"rate_{end}"], data[f"rate_sd_{end}"]]
        found = xr.concat([*parts, quantiles.drop_vars("statistic")], "statistic")
        both.append(found.assign_coords(statistic=statistics()))
    return both


def _shares(name: str, interval: list[xr.DataArray], truth: xr.DataArray) -> dict[str, Any]:
    """Share of the repetitions whose interval covers the truth, and the interval of that share."""
    from .intervals import wilson_interval

    low, high = interval
    covers = ((low <= truth) & (truth <= high)).sum("repetition")
    known = low.notnull().sum("repetition")
    ends = wilson_interval(covers, known, CONFIDENCE)
    what = "the chi-squared interval of the sd" if name != "coverage" else "the interval"
    text = f"share of repetitions in which {what} covers the truth"
    found = {"": (covers / known.where(known > 0), text)}
    found |= {
        end: (covers.copy(data=values), f"{text}: {end[1:]} end of its 95 % interval")
        for end, values in zip(("_low", "_high"), ends, strict=True)
    }
    return {
        f"{name}{end}": values.assign_attrs(units="1", long_name=long_name)
        for end, (values, long_name) in found.items()
    }


def figure(data: xr.Dataset) -> Figure:
    """Coverage by statistic, the exact density with one measurement, and intervals one by one."""
    from .coverage_figure import draw

    return draw(data)


STUDY = Study(
    name="coverage",
    summary="honest intervals: how often they cover a truth that is known exactly",
    grid={"net": tuple(NETS), "repetition": tuple(range(REPETITIONS))},
    base={"tied": False, "hidden_size": 16, "input_size": 1},
    fields=fields,
    check=check,
    seed=seed,
    steps=5,
    inputs="zero",
    headline="coverage",
    complete=complete,
    figure=figure,
)
