"""`gradhorizon validate`: it passes, it can fail, and its p values are what they say."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import run_command
from scipy import stats

from gradhorizon.engine import NetworkSpec
from gradhorizon.studies import validation
from gradhorizon.studies.cli import main
from gradhorizon.studies.oracles import CHECKS, EXTRAPOLATED, SIZES, Draws, Exact, Statistical
from gradhorizon.studies.oracles.chain import at_zero
from gradhorizon.studies.oracles.estimates import (
    Estimate,
    difference,
    mean_of,
    median_of,
    ratio_of,
    variance_of,
    wide_limit,
)

BY_STATEMENT = {check.statement: check for check in CHECKS}


def once(function):
    """Its first answer, whatever it is asked later."""
    answers = []

    def answer(*arguments):
        if not answers:
            answers.append(function(*arguments))
        return answers[0]

    return answer


def measured_once(check):
    """The check on the networks that it is first examined with, for other theories too."""
    drawn = {"draw": once(check.draw)} if isinstance(check, Exact) else {}
    return replace(check, measure=once(check.measure), **drawn)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """The command in its quick form: what it said, its file, and its checks by statement.

    The checks keep what they measured. They are run here, before any test: a check counts its
    networks only when it measures.
    """
    checks = {check.statement: measured_once(check) for check in CHECKS}
    file = tmp_path_factory.mktemp("quick") / "validation.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validation, "CHECKS", tuple(checks.values()))
        said = run_command(["validate", "--quick", "--json", str(file)])
    return said, file, checks


@pytest.fixture(scope="module")
def measured(quick):
    """The checks by statement; what they measure in the quick form has been measured."""
    return quick[2]


def examined(check, seed=0):
    """The verdict on a single check, in the quick form."""
    (verdict,) = validation.validate([check], size="quick", seed=seed, workers=1).verdicts
    return verdict


# The command


def test_the_quick_form_holds(quick):
    """All statements, as a user has them. The seed is the default, so the numbers are fixed."""
    (status, output, error), file, _ = quick
    assert (status, error) == (0, "")
    lines = output.splitlines()
    assert "theory" in lines[0] and "REFUTED" not in output
    for line, check in zip(lines[1 : 1 + len(CHECKS)], CHECKS, strict=True):
        assert line[3:].startswith(check.statement) and line.endswith("holds")
    found = json.loads(file.read_text())
    overall = found["overall"]
    assert overall["holds"] and overall["refuted"] == []
    assert overall["checks"] == len(found["checks"]) == len(CHECKS)
    assert {c["oracle"] for c in found["checks"]} == set("ABCDEFGH")
    tested = [c for c in found["checks"] if c["kind"] == "statistical"]
    p_values = np.array([c["p_value"] for c in tested])
    assert overall["p_value"] == pytest.approx(1 - (1 - p_values.min()) ** len(tested))
    for check in found["checks"]:
        assert check["holds"] and check["networks"] > 0 and check["failed_networks"] == {}
        assert check["source"] and np.isfinite(check["theory"]).all()
        known = ("standard_error", "z") if check in tested else ("deviation", "tolerance")
        assert all(check[name] is not None for name in known)
    assert found["seed"] == 0 and found["size"] == "quick" and found["kernel_digest"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--seed", "-1"),
        ("--seed", "x"),
        ("--workers", "0"),
        ("--quick", "--thorough"),
        ("--json", "/no/such/folder/file.json"),
        ("--json", "."),
        ("decay",),
        ("--networks", "4"),
    ],
    ids=" ".join,
)
def test_wrong_flags_get_one_line(arguments, capsys, monkeypatch):
    monkeypatch.setattr(validation, "CHECKS", ())
    try:
        status = main(["validate", *arguments])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and arguments[0].lstrip("-") in error


# It can fail


WRONG = {
    "leading exponent, chaotic tanh, g = 3": 1.05,
    "mean Lyapunov exponent, driven tanh, g = 3": 1.06,
    "Kaplan-Yorke dimension / N, driven tanh, g = 3": 1.25,
    "tied linear, symmetric W: late rate is ln of the spectral radius": 1.001,
    "orthogonal W: all Lyapunov exponents are ln g": 1.001,
    "variance of ln R_11 of a factor": 1.1,
    "all 32 exponents (means; z from chi^2)": 1.05,
    "growth of ln |gradient|^2 over a layer, deep ReLU (He), n = 64": 1.5,
    "growth of the gradient over a layer, deep sigmoid": 1.02,
    "variance of pre-activations, deep tanh, chaotic": 1.06,
    "wide LSTM, PyTorch's weights, biases 0": 1.1,
    "leading exponent per unit of time, leaky tanh, leak 0.25, g = 5": 0.8,
    "leaky tanh at 0 (leak 0.001, g = 0.9): sum of all exponents, as for leak 0": 1.002,
    "share of unstable directions, driven tanh, g = 3": 1.2,
    "exponent at t = 0.125, ReLU, fresh Gaussian weights": 1.6,
    "share of finite exponents, ReLU with biases, g = 1": 1.2,
    "tied linear, n = 16: mean late rate, ln of the spectral radius": 1.6,
    "tied linear, n = 16: variance of the late rate over networks": 1.5,
    "tied linear, n = 16: mean of |gradient|^2 at lag 4 (fresh weights: 1)": 0.9,
    "untied linear, n = 64: variance of ln |gradient| over 64 layers": 0.6,
    "share of a small change of variance left after 2 layers, ordered": 1.25,
    "share of a small change of variance left after 2 layers, chaotic": 1.15,
    "share of a small change of correlation left after 4 layers, chaotic": 0.75,
    "rate, tanh RNN, normalization 'batch-separate', batch size 16": 1.12,
}
"""Factors on the theory: a few per cent where the quick form can tell that."""


@pytest.mark.parametrize("statement", WRONG)
def test_wrong_theory_is_refuted(statement, measured):
    check = measured[statement]
    assert examined(check).holds
    right, factor = check.theory, WRONG[statement]
    wrong = replace(check, theory=lambda *ensemble: factor * right(*ensemble))
    assert not examined(wrong).holds


def test_a_refuted_statement_gives_status_1(tmp_path, capsys, monkeypatch):
    statements = list(WRONG)[4:6]
    checks = [BY_STATEMENT[statement] for statement in statements]
    checks[1] = replace(checks[1], theory=lambda: 1.1 * BY_STATEMENT[statements[1]].theory())
    monkeypatch.setattr(validation, "CHECKS", tuple(checks))
    file = tmp_path / "found.json"
    assert main(["validate", "--quick", "--json", str(file)]) == 1
    assert capsys.readouterr().out.count("REFUTED") == 2
    overall = json.loads(file.read_text())["overall"]
    assert not overall["holds"] and overall["p_value"] < validation.LEVEL
    assert overall["refuted"] == statements[1:]


def spoilt(draws):
    """Linear networks, of the first of which a weight is NaN."""
    ensemble = at_zero(draws, NetworkSpec(activation="linear", hidden_size=4), 40, 20)
    ensemble["W"][0, 0, 0, 0] = np.nan
    return ensemble


def test_a_network_without_a_result_refutes():
    """Both kinds: its check is there, and has failed."""
    about = ("E", "a statement", "nobody")
    exact = Exact(
        *about,
        spoilt,
        lambda ensemble: np.zeros(10),
        lambda draws, ensemble: draws.measure_given(ensemble).rate.values,
        lambda ensemble: np.array(np.inf),
    )
    statistical = Statistical(
        *about, lambda: 0.0, lambda draws: mean_of(draws.measure_given(spoilt(draws)).rate.values)
    )
    found = validation.validate([exact, statistical], size="quick")
    assert not found.holds and found.p_value == 0
    for verdict in found.verdicts:
        assert not verdict.holds
        assert verdict.result.failed_networks == {"bad_input": 1}
        assert verdict.result.networks == 10
    lines = list(validation.table(found))
    assert sum("1 bad_input of 10 networks failed  REFUTED" in line for line in lines) == 2
    assert len(json.loads(validation.as_json(found))["checks"]) == 2


def test_nan_holds_nothing():
    nan = Estimate(np.nan, 1.0)
    assert difference(nan, 0.0).p_value == 0
    assert difference(Estimate(0.0, np.nan), 0.0).p_value == 0
    check = Exact(
        *("E", "a statement", "nobody"),
        lambda draws: None,
        lambda ensemble: np.array([0.0, 0.0]),
        lambda draws, ensemble: np.array([0.0, np.nan]),
        lambda ensemble: np.array(1.0),
    )
    assert not examined(check).holds


# What the README says of them


def test_the_numbers_of_the_readme():
    """How many statements there are of each kind."""
    text = " ".join((Path(__file__).parents[2] / "README.md").read_text().split())
    exact = sum(isinstance(check, Exact) for check in CHECKS)
    limits = sum(getattr(check, "finite_size", None) == EXTRAPOLATED for check in CHECKS)
    assert re.findall(r"(\d+) statements about plain", text) == [str(len(CHECKS))]
    assert re.findall(r"(\d+) hold for every single network", text) == [str(exact)]
    finite = str(len(CHECKS) - exact - limits)
    assert re.findall(r"(\d+) are distributions that are exact", text) == [finite]
    assert re.findall(r"(\d+) are limits of infinite width", text) == [str(limits)]


# p values


def naive_holm(p_values):
    """Step by step: the smallest of those left, adjusted for their number."""
    left, adjusted, so_far = dict(enumerate(p_values)), {}, 0.0
    while left:
        best = min(left, key=left.get)
        so_far = max(so_far, 1 - (1 - left[best]) ** len(left))
        adjusted[best] = so_far
        del left[best]
    return [adjusted[k] for k in range(len(p_values))]


def test_holm_against_a_naive_implementation():
    rng = np.random.default_rng(0)
    for size in (0, 1, 2, 7, 40):
        p_values = rng.uniform(size=size) ** 3
        np.testing.assert_allclose(
            validation.holm_sidak(p_values), naive_holm(p_values), atol=1e-14
        )
    extremes = np.array([1.0, 0.0, 1e-300, 0.5, 0.5])
    np.testing.assert_allclose(validation.holm_sidak(extremes), naive_holm(extremes), atol=1e-14)
    assert validation.holm_sidak(extremes)[2] == pytest.approx(4e-300)


def test_the_overall_p_value_is_uniform_if_all_is_right():
    """10,000 runs of 30 tests; false-alarm rate of the Kolmogorov-Smirnov test 1e-3."""
    p_values = np.random.default_rng(1).uniform(size=(10_000, 30))
    overall = np.array([validation.holm_sidak(p).min() for p in p_values])
    assert stats.kstest(overall, "uniform").pvalue > 1e-3
    tippett = [stats.combine_pvalues(p, "tippett").pvalue for p in p_values[:100]]
    np.testing.assert_allclose(overall[:100], tippett)


def uniform(p_values):
    """Whether they are, as far as 2000 can tell: false-alarm rate 1e-3."""
    assert len(p_values) == 2000
    return stats.kstest(p_values, "uniform").pvalue > 1e-3


def test_p_values_of_estimates_are_uniform_if_theory_is_right():
    """Few values and unequal variances too; estimates of variances and medians of many."""
    rng = np.random.default_rng(2)
    kinds = {
        "mean": lambda: difference(mean_of(rng.normal(3.0, 2.0, 8)), 3.0),
        "several": lambda: difference(
            mean_of(rng.normal(0, [1.0, 2.0], (5, 2)), np.array([1, 2])), 0
        ),
        "variance": lambda: difference(variance_of(rng.normal(0.0, 2.0, 4000)), 4.0),
        "median": lambda: difference(median_of(rng.exponential(size=1001), 0.5), np.log(2)),
        "limit": lambda: difference(
            wide_limit(rng.normal(1.5, 1.0, 40), rng.normal(1.25, 3.0, 20)), 1.0
        ),
        "ratio": lambda: difference(ratio_estimate(rng), 0.5),
    }
    for name, one in kinds.items():
        assert uniform([one().p_value for _ in range(2000)]), name


def ratio_estimate(rng):
    y = rng.normal(2.0, 0.1, 400)
    return mean_of(ratio_of(0.5 * y + rng.normal(0.0, 0.05, 400), y))


def test_an_allowance_counts_what_exceeds_it():
    estimate = Estimate(1.3, 0.1)
    assert difference(estimate, 1.0).z == pytest.approx(3.0)
    assert difference(estimate, 1.0, 0.1).z == pytest.approx(2.0)
    assert difference(estimate, 1.0, 0.5) == (0.0, 1.0)
    assert difference(Estimate(0.7, 0.1), 1.0, 0.1).z == pytest.approx(-2.0)


# Independence


def test_every_check_has_networks_of_its_own():
    """Seeds differ by check, by specification and by the seed of the run."""
    assert len(BY_STATEMENT) == len(CHECKS)
    specs = [NetworkSpec(hidden_size=n, tied=False, input_size=1) for n in (3, 6)]
    found = [
        Draws(check.statement, seed, SIZES["quick"]).sample(spec, 16, 2).W.values.ravel()[:9]
        for check in CHECKS
        for seed in (0, 1)
        for spec in specs
    ]
    assert len(np.unique(np.stack(found)[:, 0])) == 4 * len(CHECKS)


def test_the_seed_decides_everything():
    check = BY_STATEMENT["variance of ln R_11 of a factor"]
    assert examined(check) == examined(check)
    assert examined(check).result.measured != examined(check, seed=1).result.measured
