"""Validation: every check of `oracles`, the verdict on all of them together, table and JSON.

Every check draws networks of its own, so that the statistical ones are independent. Their p values
are adjusted for their number by Holm's step-down procedure (Holm 1979) with the bound of Sidak 1967
for independent tests (Holland & Copenhaver 1987). The overall p value is the smallest adjusted one:
of m tests 1 - (1 - p_min)^m (Tippett 1931), uniformly distributed if all statements are right; a
check that has an allowance makes it larger, if anything. So a right program is refuted with
probability `LEVEL`. Statements that hold network by network are judged by their tolerance and have
no part in that.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import numpy as np

from ..engine import Array, kernel_digest, versions
from ..engine.arguments import LARGEST_SEED
from ..engine.progress import progress_bar
from ..engine.spec import check_integer
from .oracles import CHECKS, EXTRAPOLATED, SIZES, Check, Draws, Result

LEVEL = 5e-4
"""Probability that a right program is refuted; for less than 1e-3 of all seeds, although the far
tails of skewed means are known to a factor of two only."""

METHOD = (
    "smallest p value, adjusted by Holm's procedure (Holm 1979) with the bound of Sidak 1967 for "
    "independent tests (Holland & Copenhaver 1987)"
)


@dataclass(frozen=True)
class Verdict:
    """A result beside the others.

    Attributes
    ----------
    result : Result
    adjusted_p_value : float or None
        Adjusted for the number of statistical checks; None for exact ones.
    holds : bool
    """

    result: Result
    adjusted_p_value: float | None
    holds: bool


@dataclass(frozen=True)
class Validation:
    """What came of a run.

    Attributes
    ----------
    verdicts : tuple of Verdict
    p_value : float
        Overall, of the statistical checks; 1 if there are none.
    size : str
    seed : int
    """

    verdicts: tuple[Verdict, ...]
    p_value: float
    size: str
    seed: int

    @property
    def refuted(self) -> list[Verdict]:
        """The verdicts on statements that do not hold."""
        return [verdict for verdict in self.verdicts if not verdict.holds]

    @property
    def holds(self) -> bool:
        """Whether every statement does."""
        return not self.refuted


def validate(
    checks: Sequence[Check] | None = None,
    *,
    size: str = "default",
    seed: int = 0,
    workers: int | None = None,
) -> Validation:
    """Measure and judge.

    Parameters
    ----------
    checks : sequence of Check, optional
        Default all.
    size : {"quick", "default", "thorough"}
    seed : int
        In [0, 2^64).
    workers : int, optional
        Threads; default one per available core.

    Returns
    -------
    Validation

    Raises
    ------
    InputError
        For a seed or a number of workers out of range.
    """
    seed = check_integer("seed", seed, 0, LARGEST_SEED)
    if workers is not None:
        workers = check_integer("workers", workers, 1, 1024)
    chosen = CHECKS if checks is None else checks
    results = []
    with progress_bar(len(chosen), always=False, desc="validate", unit=" checks") as bar:
        for check in chosen:
            results.append(check.examine(Draws(check.statement, seed, SIZES[size], workers)))
            bar.update()
    return judge(results, size, seed)


def judge(results: Sequence[Result], size: str, seed: int) -> Validation:
    """Adjust the p values for their number, and say which statements hold."""
    tested = [result.p_value for result in results if result.p_value is not None]
    adjusted = holm_sidak(np.array(tested))
    following = iter(adjusted.tolist())
    verdicts = []
    for result in results:
        p_value = next(following) if result.p_value is not None else None
        holds = within_tolerance(result) if p_value is None else p_value >= LEVEL
        verdicts.append(Verdict(result, p_value, holds))
    return Validation(tuple(verdicts), float(adjusted.min(initial=1.0)), size, seed)


def within_tolerance(result: Result) -> bool:
    """Whether an exact statement holds; not if networks failed or something is NaN."""
    if result.deviation is None or result.tolerance is None:
        return False
    return result.deviation <= result.tolerance


def holm_sidak(p_values: Array) -> Array:
    """Adjust the p values of independent tests for their number.

    The k-th smallest of m, p, becomes 1 - (1 - p)^(m - k + 1), at least what the one before it
    became: refuting those below a level refutes a true statement with at most that probability
    (Holland & Copenhaver 1987).

    Parameters
    ----------
    p_values : ndarray, shape (m,)

    Returns
    -------
    ndarray, shape (m,)
        In the order given.
    """
    order = np.argsort(p_values)
    with np.errstate(divide="ignore"):  # p = 1
        steps = -np.expm1(np.arange(p_values.size, 0, -1) * np.log1p(-p_values[order]))
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted


def table(validation: Validation) -> Iterator[str]:
    """Lines: a header, one per statement, and the overall verdict."""
    wide = max(len(verdict.result.statement) for verdict in validation.verdicts)
    yield f"   {'statement':<{wide}}{'theory':>13}{'measured':>13}{'std. error':>12}{'z':>7}"
    for verdict in validation.verdicts:
        yield _line(verdict, wide)
    yield ""
    yield from _summary(validation)


def _line(verdict: Verdict, wide: int) -> str:
    result = verdict.result
    start = f"{result.oracle:<3}{result.statement:<{wide}}"
    says = "holds" if verdict.holds else "REFUTED"
    if result.failed_networks:
        failed = ", ".join(f"{count} {status}" for status, count in result.failed_networks.items())
        return f"{start}  {failed} of {result.networks} networks failed  {says}"
    numbers = f"{_mean(result.theory):>13.6f}{_mean(result.measured):>13.6f}"
    if result.kind == "exact":
        sign = "<=" if verdict.holds else ">"
        compared = f"|d| {result.deviation:.0e} {sign} {result.tolerance:.0e}"
        return f"{start}{numbers}{compared:>19}  {says}"
    return f"{start}{numbers}{_mean(result.standard_error):>12.6f}{result.z:>7.2f}  {says}"


def _mean(value: float | tuple[float, ...] | None) -> float:
    return float(np.mean(value)) if value is not None else np.nan


def _summary(validation: Validation) -> Iterator[str]:
    results = [verdict.result for verdict in validation.verdicts]
    tested = sum(result.kind == "statistical" for result in results)
    networks = sum(result.networks for result in results)
    yield f"{len(results)} statements, {networks} networks: {tested} tested by z, the others for"
    yield "every single network, to rounding: |d| is the largest distance"
    limits = sum(result.finite_size == EXTRAPOLATED for result in results)
    yield f"{limits} are limits N -> infinity: measured is {EXTRAPOLATED}, free of terms in 1/N"
    allowed = Counter((r.allowance, r.allowed_for) for r in results if r.allowance)
    for (allowance, reason), count in allowed.items():
        yield f"{count} are allowed {allowance:.1e} besides: {reason}"
    yield f"overall p value {validation.p_value:.3g}: the {METHOD}"
    failed = len(validation.refuted)
    verdict = f"{failed} of {len(results)} REFUTED" if failed else "all hold"
    yield f"{verdict}; a right program is refuted with probability {LEVEL:g}"


def as_json(validation: Validation) -> str:
    """The same for machines: ``checks``, a list, and ``overall``."""
    checks = [
        asdict(v.result) | {"adjusted_p_value": v.adjusted_p_value, "holds": v.holds}
        for v in validation.verdicts
    ]
    overall = {
        "holds": validation.holds,
        "p_value": validation.p_value,
        "method": METHOD,
        "level": LEVEL,
        "checks": len(checks),
        "refuted": [verdict.result.statement for verdict in validation.refuted],
    }
    run = {"size": validation.size, "seed": validation.seed}
    program = {"versions": versions(), "kernel_digest": kernel_digest()}
    document = {"overall": overall, "checks": checks, **run, **program}
    return json.dumps(_finite(document), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """JSON has no infinity: degrees of freedom of a standard error that is known are null."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return value
