"""One table of all jobs: ours, every peer as a ratio, the share of the limit, and the goals."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import NamedTuple

from .jobs import JACOBIAN, LYAPUNOV, Job
from .peers import COLUMNS, HINT, columns, missing


@dataclass(frozen=True)
class Row:
    """Medians of one job.

    Attributes
    ----------
    seconds : dict
        Of ``ours`` and of every peer; of ours on ``one thread``, of ``sampling`` on one thread,
        and of the ``sweep`` without it on two.
    gemm_rate, copy_rate : float
        Operations and bytes per second, measured between the turns.
    limit : float
        Seconds, see `limit.seconds`.
    """

    job: Job
    seconds: dict[str, float]
    gemm_rate: float
    copy_rate: float
    limit: float

    def ratio(self, column: str) -> float:
        """A peer's time in units of ours."""
        return self.seconds[column] / self.seconds["ours"]

    @property
    def best(self) -> str | None:
        """The peer that takes the least time."""
        return min((c for c in COLUMNS if c in self.seconds), key=self.ratio, default=None)

    @property
    def measures(self) -> dict[str, float]:
        """Everything there is a column for."""
        found = {c: self.ratio(c) for c in COLUMNS if c in self.seconds}
        if self.best and not any(map(missing, columns(self.job))):
            found["best peer"] = self.ratio(self.best)
        found["limit"] = 100 * self.limit / self.seconds["sweep"]
        found["sampling"] = 100 * self.seconds["sampling"] / self.seconds["one thread"]
        return found | {"threads": self.seconds["one thread"] / self.seconds["ours"]}


class Goal(NamedTuple):
    """A number that a measure should not fall short of, or exceed."""

    value: float
    most: bool = False

    def met(self, measured: float) -> bool:
        return measured <= self.value if self.most else measured >= self.value

    def __str__(self) -> str:
        return f"{'<=' if self.most else '>='} {self.value:g}"


def goals(job: Job) -> dict[str, Goal]:
    """Goals by measure."""
    found = {"threads": Goal(1.9)}
    if job.main:
        faster = {"float64": (10, 5), "float32": (8, 4)}[job.precision][job.n > 128]
        found |= {"JAX expert": Goal(faster), "best peer": Goal(faster)}
        found |= {"limit": Goal(60 if job.n >= 64 else 35), "sampling": Goal(15, most=True)}
    if job.products == LYAPUNOV:
        found |= {"JAX expert": Goal(12), "JAX, our interval": Goal(6)}
        found |= {"limit": Goal(60)} if job.n >= 64 else {}
    return found


HEADINGS = {
    "best peer": "best peer",
    **{column: column for column in COLUMNS},
    "limit": "of the limit, %",
    "sampling": "sampling, %",
    "threads": "two threads",
}
"""Measure -> heading."""


def cell(row: Row, measure: str) -> str:
    """A measure, and whether its goal is met."""
    if measure not in row.measures:
        absent = measure in columns(row.job) and missing(measure)
        return "not installed" if absent else "-"
    value, goal = row.measures[measure], goals(row.job).get(measure)
    text = f"{value:.2f}" if measure == "threads" or value < 0.95 else f"{value:.1f}"
    if measure in ("limit", "sampling"):
        text = f"{value:.2g}"
    if measure == "best peer":
        text += f" {row.best}"
    return f"{text} ({goal}: {'met' if goal.met(value) else 'missed'})" if goal else text


def markdown(rows: Sequence[Row]) -> str:
    """The table, its columns aligned; peers are ratios of times, theirs to ours."""
    lines = [["job", "ours, ms", "networks/s", *HEADINGS.values()]]
    for row in rows:
        ours = row.seconds["ours"]
        first = [row.job.name, f"{1e3 * ours:.1f}", f"{row.job.N / ours:,.0f}"]
        lines.append([*first, *(cell(row, measure) for measure in HEADINGS)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    padded = ([c.ljust(w) for c, w in zip(line, widths, strict=True)] for line in lines)
    return "\n".join(["| " + " | ".join(line) + " |" for line in padded] + ["", *notes(rows)])


def notes(rows: Sequence[Row]) -> list[str]:
    """What stands below the table."""
    rates = []
    for name, precision in (("dgemm", "float64"), ("sgemm", "float32")):
        found = [row.gemm_rate for row in rows if row.job.precision == precision]
        rates += [f"{name} {median(found) / 1e9:.0f} GFLOP/s"] if found else []
    rates.append(f"copy {median(row.copy_rate for row in rows) / 1e9:.0f} GB/s")
    verdicts = [
        goal.met(row.measures[measure])
        for row in rows
        for measure, goal in goals(row.job).items()
        if measure in row.measures
    ]
    lines = [f"Two threads: {', '.join(rates)}.", f"Goals met: {sum(verdicts)} of {len(verdicts)}."]
    if any(row.job.products == JACOBIAN for row in rows):
        lines.append("jacobian: peers compute Frobenius norms alone; ours spectra too, by QR.")
    if any(row.job.products == LYAPUNOV for row in rows):
        lines.append("lyapunov: peers decompose after every step, or after as many as ours did.")
    if any(missing(column) for column in COLUMNS):
        lines.append(f"not installed: {HINT}")
    return lines


def comma_separated(rows: Sequence[Row]) -> str:
    """The same in numbers: seconds, rates and measures of every job."""
    records = [
        {key: value for key, value in asdict(row.job).items() if key != "products"}
        | {"products": " ".join(row.job.products), "gemm_rate": row.gemm_rate}
        | {"copy_rate": row.copy_rate, "limit_seconds": row.limit}
        | {f"{name} seconds": value for name, value in row.seconds.items()}
        | {HEADINGS[name]: value for name, value in row.measures.items()}
        for row in rows
    ]
    fields = list(dict.fromkeys(key for record in records for key in record))
    out = io.StringIO()
    writer = csv.DictWriter(out, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()
