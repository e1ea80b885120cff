"""Statistics over networks that a GPU makes: those of the arrays, and nothing else comes back."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gradhorizon.engine import (
    NetworkSpec,
    cuda,
    device_of,
    measure_block,
    products,
    random_source,
)
from gradhorizon.engine.device_memory import DeviceMemory
from gradhorizon.engine.device_results import DeviceResult
from gradhorizon.studies.catalogue import load_study
from gradhorizon.studies.options import Options, settle
from gradhorizon.studies.statistics import LogMean, Moments
from gradhorizon.studies.summary import Summary
from gradhorizon.studies.task import Measurement, Task, code_digest

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of NumPy, in the simulator

GOOD = {
    "all": np.ones(11, bool),
    "some": np.arange(11) % 3 > 0,
    "one": np.arange(11) == 7,
    "none": np.zeros(11, bool),
}


def put(values: Any) -> DeviceResult:
    """Numbers of some networks, on the device."""
    memory = DeviceMemory()
    return DeviceResult.of(memory, "values", memory.put("values", values))


def same(found: Any, expected: Any) -> None:
    """Two accumulators, to 1e-12 of the sizes of what is added up."""
    spread = np.sqrt(getattr(expected, "squares", 0.0))
    powers = {"cubes": spread**3, "fourths": spread**4}
    for name, want in expected.arrays().items():
        size = np.nan_to_num(powers.get(name, 0.0))
        error = np.abs(getattr(found, name) - want)
        close = error <= 1e-12 * np.maximum(np.abs(want), size)
        np.testing.assert_array_equal(np.where(close, want, getattr(found, name)), want, name)


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("good", GOOD)
def test_moments_and_annealed_means(good: str) -> None:
    """Of good networks alone; terms that are zero, both infinities, equal and huge values too."""
    values = np.random.default_rng(0).normal(-3.0, 5.0, (11, 9))
    values[4, 1] = -np.inf
    values[:, 2] = -np.inf
    values[1:3, 3] = np.inf, -np.inf
    values[:, 4] = 0.1
    values[:, 5] *= 1e306
    values[~GOOD[good], 6:] = np.nan
    there, here = put(values)[GOOD[good]], values[GOOD[good]]
    assert there.shape == here.shape
    np.testing.assert_array_equal(there, here)
    np.testing.assert_array_equal(there[:, -2], here[:, -2])
    same(Moments.of(there), Moments.of(here))
    same(LogMean.of(there, 2.0), LogMean.of(here, 2.0))


def test_a_bad_number_is_refused() -> None:
    """NaN in a network that counts: as of arrays."""
    values = np.ones((3, 4))
    values[1, 2] = np.nan
    for kind in (Moments, LogMean):
        with pytest.raises(ValueError, match="NaN"):
            kind.of(put(values))
        kind.of(put(values)[np.array([True, False, True])])


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_numbers_with_exponents(precision: str) -> None:
    """Logarithms and variances as of arrays, over the whole range of the format and beyond."""
    generator, memory = np.random.default_rng(1), DeviceMemory()
    values = np.exp2(generator.uniform(-100, 100, (5, 7, 3))).astype(precision)
    values[0, 0], values[0, 1, 1], values[0, 1, 2] = 0, np.inf, np.nan
    exponent = generator.integers(-1500, 1500, values.shape).astype(np.int32)
    exponent[1:3] //= 10
    there = [
        DeviceResult.of(memory, name, memory.put(name, array))
        for name, array in (("values", values), ("exponent", exponent), ("one", exponent[..., :1]))
    ]
    bound = {"rtol": 1e-14, "atol": 1e-12}
    found = products.log_norm(*there[:2])
    np.testing.assert_allclose(found, products.log_norm(values, exponent), **bound)
    here = products.log_norm(values[..., 0], exponent[..., 0], relative=True)
    found = put(values[..., 0].copy()).log_norms(put(exponent[..., 0].copy()), True)
    np.testing.assert_allclose(found, here, **bound)
    for groups, exponents in ((3, there[1]), (1, there[2])):  # as many as sequences, or one
        here = products.state_variance(values[1:], exponent[1:, :, :groups])
        found = products.state_variance(there[0][1:], exponents[1:])
        np.testing.assert_allclose(found, here, rtol=1e-14)
    assert {0.0, np.inf} < set(here.ravel())


SPECS = {
    "plain": NetworkSpec(hidden_size=3, batch_size=2),
    "float32": NetworkSpec(hidden_size=3, weight_scale=2.0, precision="float32"),
    "untied": NetworkSpec(cell="gru", hidden_size=2, tied=False),
    "dying": NetworkSpec(hidden_size=2, activation="relu", weight_scale=0.7),
}
LONG = ("log_gradient", "activation_variance", "contribution_W", "contribution_U")


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize("name", SPECS)
def test_what_stays_is_what_would_have_come(name: str) -> None:
    """The variables of `measure_block` to rounding, and the statistics of their good networks."""
    source = random_source(SPECS[name], 5, 0, "gaussian", 1, "last")
    wanted = ("trajectory", "gradient", "weights")
    fetched = measure_block(source, 0, 6, wanted, device="cuda")
    kept = measure_block(source, 0, 6, wanted, device="cuda", on_device=True)
    good = fetched["status"] == 0
    assert name != "dying" or 0 < np.count_nonzero(good) < 6
    assert {k for k, v in kept.items() if isinstance(v, DeviceResult)} == set(LONG)
    for k, values in fetched.items():
        np.testing.assert_allclose(kept[k], values, rtol=1e-12, atol=1e-12)
        if k in LONG:
            same(Moments.of(kept[k][good]), Moments.of(np.asarray(kept[k])[good]))
            np.testing.assert_array_equal(kept[k][2:4], np.asarray(kept[k])[2:4])


def measurement(**changes: Any) -> Measurement:
    """Some networks of a study like decay."""
    study = replace(load_study("decay"), grid={})
    options = Options(networks=1, steps=6, overrides=("hidden_size=3",), precision="float64")
    (cell,) = settle(study, options).cells
    return replace(cell.measurement, device="cuda", **changes)


def summary(wanted: Measurement, networks: int) -> Summary:
    return Task(wanted, 0, networks, code_digest(wanted.derive))()


def compare(there: Summary, here: Summary) -> None:
    """The results of two devices, to rounding."""
    theirs = here.results()
    for name, values in there.results().items():
        np.testing.assert_allclose(values, theirs[name], rtol=1e-8, atol=1e-8, err_msg=name)


def test_no_lags_of_networks_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a study's networks, numbers of each and statistics of lags; the CPU's statistics."""
    networks, wanted, shapes = 13, measurement(), []
    fetch = DeviceMemory.fetch

    def counted(memory: DeviceMemory, array: Any) -> Any:
        shapes.append(array.shape)
        return fetch(memory, array)

    monkeypatch.setattr(DeviceMemory, "fetch", counted)
    there = summary(wanted, networks)
    for shape in shapes:
        assert networks not in shape or math.prod(shape) <= 3 * networks
    assert (5, wanted.steps) in shapes and (3, wanted.steps) in shapes
    compare(there, summary(replace(wanted, device="cpu"), networks))


@pytest.mark.usefixtures("small_groups")
def test_statistics_do_not_depend_on_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole groups of networks: the same bits. Others: the same to rounding."""
    found = {}
    for chunk in (8, 4, 3):
        monkeypatch.setattr(cuda, "LARGEST_CHUNK", chunk)
        found[chunk] = summary(measurement(), 9)
    for name, array in found[8].arrays().items():
        np.testing.assert_array_equal(found[4].arrays()[name], array)
    compare(found[3], found[8])


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four networks to a group."""
    monkeypatch.setattr(cuda, "GROUP", 4)


def test_a_chunk_that_does_not_fit_is_smaller(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Summarised chunk by chunk, nothing is fetched to be joined; the statistics are the same."""
    whole, run = summary(measurement(), 5), cuda.Gpu._run

    def full(gpu: Any, source: Any, first: int, count: int, *rest: Any) -> Any:
        if count > 2:
            raise MemoryError
        return run(gpu, source, first, count, *rest)

    monkeypatch.setattr(cuda.Gpu, "_run", full)
    compare(summary(measurement(), 5), whole)
    assert "networks at a time now" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["bptt", "clipping", "depth", "tied"])
def test_studies_that_read_lags_have_them(name: str) -> None:
    """Derived variables are made of arrays that are fetched for them."""
    fields = ("hidden_size=3",) if name != "clipping" else ("hidden_size=3", "weight_scale=1.5")
    options = Options(networks=1, steps=8, overrides=fields, precision="float64")
    wanted = settle(load_study(name), options).cells[0].measurement
    compare(summary(replace(wanted, device="cuda"), 4), summary(wanted, 4))


def test_a_plan_has_whole_groups() -> None:
    """Where results stay and a chunk is larger than a group; measure() cuts as it likes."""
    wanted = measurement()
    window = wanted.source().window
    kept = device_of("cuda").plan(wanted.spec, window, wanted.wanted, 1)
    assert kept.chunk > kept.group == cuda.GROUP
    counts = [count for _, count in kept.ranges(0, 5 * kept.chunk // 2 + 7)]
    assert all(count % cuda.GROUP == 0 for count in counts[:-1])
    assert sum(counts) == 5 * kept.chunk // 2 + 7 and max(counts) <= kept.chunk
    fetched = replace(wanted.wanted, on_device=False)
    assert device_of("cuda").plan(wanted.spec, window, fetched, 1).group == 1
