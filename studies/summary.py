"""The statistics of one cell: what is kept of its networks, and how the parts are merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..engine import STATUS, Array, OnDevice, Results, Variable
from .intervals import wilson_interval
from .sketch import Sketch
from .statistics import LogMean, Moments
from .study import Derive, nothing_derived

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""5-95 % is the band over networks, 0.5 the median."""

GONE = float(np.log(1e3))
"""A gradient has vanished (exploded) if it shrank (grew) by a factor of 1000 over the window."""

COUNTS = ("status_count", "gone_count")

_KINDS: dict[str, type[Moments | Sketch | LogMean]] = {
    "moments": Moments,
    "sketch": Sketch,
    "annealed": LogMean,
}


@dataclass(frozen=True)
class Summary:
    """Mergeable statistics of the networks of a cell.

    Attributes
    ----------
    status_count : ndarray (status,)
        Networks by status code. Statistics are those of the networks whose status is 0.
    gone_count : ndarray (2,)
        Networks whose gradient vanished (dead networks among them) and exploded.
    parts : mapping
        (variable, kind) -> accumulator.
    """

    status_count: Array
    gone_count: Array
    parts: Mapping[tuple[str, str], Moments | Sketch | LogMean]

    @classmethod
    def of(
        cls,
        arrays: Mapping[str, Array | OnDevice],
        derive: Derive = nothing_derived,
        kept: Iterable[str] | None = None,
    ) -> Summary:
        """Summarise networks from arrays with the network axis first, wherever they are.

        `derive` returns further arrays; it sees all of those of networks whose status is 0. `kept`
        names the measured ones that are summarised themselves; None: all.
        """
        status = np.asarray(arrays["status"])
        good = status == STATUS["ok"]
        measured = {name: values[good] for name, values in arrays.items() if name != "status"}
        parts = {
            (name, kind): _accumulated(kind, values)
            for name, values in summarised(measured, derive, kept).items()
            for kind in kinds(name, values.ndim)
        }
        count = np.bincount(status, minlength=len(STATUS)).astype(np.int64)
        return cls(count, _gone(arrays, good, count), parts)

    def merge(self, other: Summary) -> Summary:
        """Statistics of both parts' networks together; the order of merging is the caller's."""
        return Summary(
            self.status_count + other.status_count,
            self.gone_count + other.gone_count,
            {key: part.merge(other.parts[key]) for key, part in self.parts.items()},  # type: ignore[arg-type]
        )

    def arrays(self) -> dict[str, Array]:
        """Everything as named arrays, for a cell file."""
        flat = {name: getattr(self, name) for name in COUNTS}
        for (name, kind), part in self.parts.items():
            flat |= {f"{name}/{kind}/{key}": value for key, value in part.arrays().items()}
        return flat

    @classmethod
    def from_arrays(cls, flat: Mapping[str, Array]) -> Summary:
        """Inverse of `arrays`; KeyError or ValueError for other names."""
        grouped: dict[tuple[str, str], dict[str, Array]] = {}
        for key in (key for key in flat if key not in COUNTS):
            name, kind, part = key.split("/")
            grouped.setdefault((name, kind), {})[part] = flat[key]
        parts = {key: _KINDS[key[1]].from_arrays(value) for key, value in grouped.items()}
        return cls(**{name: flat[name] for name in COUNTS}, parts=parts)  # type: ignore[arg-type]

    def results(self) -> dict[str, Array]:
        """The statistics themselves, by the name of their variable in the results."""
        total = int(self.status_count.sum())
        measured = self.status_count[STATUS["ok"]] / total if total else np.nan
        found: dict[str, Array] = {
            "status_count": self.status_count,
            "measured_share": np.asarray(measured),
        }
        for (name, kind), part in self.parts.items():
            if isinstance(part, Moments):
                low, high = part.interval()
                sd_low, sd_high = part.sd_interval()
                found |= {
                    f"{name}_mean": part.mean if part.count else np.full_like(part.mean, np.nan),
                    f"{name}_sd": part.sd,
                    f"{name}_low": low,
                    f"{name}_high": high,
                    f"{name}_sd_low": sd_low,
                    f"{name}_sd_high": sd_high,
                }
            elif isinstance(part, Sketch):
                low, high = part.quantile_interval(QUANTILES)
                found |= {
                    f"{name}_quantile": part.quantile(QUANTILES),
                    f"{name}_quantile_low": low,
                    f"{name}_quantile_high": high,
                }
            else:
                found[f"{name}_{kind}"] = 0.5 * part.value
        if ("log_gradient", "moments") in self.parts:
            for k, name in enumerate(("vanished", "exploded")):
                low, high = wilson_interval(self.gone_count[k], total)
                share = self.gone_count[k] / total if total else np.nan
                found |= {
                    f"{name}_share": np.asarray(share),
                    f"{name}_low": low,
                    f"{name}_high": high,
                }
        return {name: np.asarray(value) for name, value in found.items()}


class InMemory(Mapping[str, Array]):
    """Variables by name, as arrays: what is on a device is fetched when it is read."""

    def __init__(self, variables: Mapping[str, Array | OnDevice]) -> None:
        self._variables = dict(variables)

    def __getitem__(self, name: str) -> Array:
        found = self._variables[name] = np.asarray(self._variables[name])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def summarised(
    measured: Mapping[str, Array | OnDevice], derive: Derive, kept: Iterable[str] | None
) -> Results:
    """The variables whose statistics are kept, of networks whose status is 0; see `Summary.of`."""
    chosen = measured if kept is None else {name: measured[name] for name in kept}
    return {**chosen, **derive(InMemory(measured))}


def _accumulated(kind: str, values: Array | OnDevice) -> Moments | Sketch | LogMean:
    if kind == "annealed":
        return LogMean.of(values, power=2.0)
    return _KINDS[kind].of(values)  # type: ignore[arg-type]


def kinds(name: str, ndim: int) -> list[str]:
    """Which statistics a variable with so many axes has, that of the networks included."""
    found = {
        "moments": name != "horizon",  # infinite for every network that does not forget
        "sketch": ndim == 1,
        "annealed": name == "log_gradient",
    }
    return [kind for kind, kept in found.items() if kept]


def _gone(arrays: Mapping[str, Array | OnDevice], good: Array, count: Array) -> Array:
    if "log_gradient" not in arrays:
        return np.zeros(2, np.int64)
    final = arrays["log_gradient"][good][:, -1]
    vanished = np.count_nonzero(final < -GONE) + count[STATUS["dead"]]
    return np.array([vanished, np.count_nonzero(final > GONE)], np.int64)


def describe(name: str, table: Mapping[str, Variable]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Trailing dimensions and attributes of a variable of the results."""
    if name == "status_count":
        return ("status",), {"units": "networks", "long_name": "networks by status"}
    if name == "measured_share":
        return (), {"units": "1", "long_name": "share of networks whose status is ok"}
    base, _, statistic = name.rpartition("_")
    if base in ("vanished", "exploded"):
        ends = {"share": "share", "low": "lower end of 95 % interval", "high": "upper end"}
        text = f"networks whose gradient {base} by a factor of 1000: {ends[statistic]}"
        return (), {"units": "1", "long_name": text}
    if base not in table:  # the interval of a standard deviation or of a quantile
        base, _, of = base.rpartition("_")
        statistic = f"{of}_{statistic}"
    variable = table[base]
    dims = ("quantile",) if statistic.startswith("quantile") else variable.dims[1:]
    return dims, {"units": variable.units, "long_name": f"{variable.long_name}: {WORDS[statistic]}"}


WORDS = {
    "mean": "mean over networks",
    "sd": "standard deviation over networks",
    "low": "lower end of the 95 % confidence interval of the mean",
    "high": "upper end of the 95 % confidence interval of the mean",
    "sd_low": "lower end of the 95 % confidence interval of the standard deviation",
    "sd_high": "upper end of the 95 % confidence interval of the standard deviation",
    "quantile": "quantile over networks",
    "quantile_low": "lower end of the 95 % confidence interval of the quantile",
    "quantile_high": "upper end of the 95 % confidence interval of the quantile",
    "annealed": "annealed, half the ln of the mean square",
}
