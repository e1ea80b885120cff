"""Cell files whose checksum is right and whose content is not: measured again, never believed."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure
from gradhorizon.studies.catalogue import NAMES
from gradhorizon.studies.cli import main
from gradhorizon.studies.own_sweep import OF_ALL, study_of
from gradhorizon.studies.store import load_cell, save_cell
from gradhorizon.studies.sweep import Sweep

pytestmark = pytest.mark.usefixtures("undrawn")

SWEEP = """
networks = 4100  # a block of 4096, and the beginning of the next
steps = 4
[spec]
hidden_size = 2
[grid]
activation = ["tanh", "linear"]
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The folder of a finished run, beside the file of its sweep."""
    folder = tmp_path_factory.mktemp("original")
    (folder / "mine.toml").write_text(SWEEP)
    assert main(["run", str(folder / "mine.toml"), "--out", str(folder / "out")]) == 0
    return folder


@pytest.fixture
def folder(original, tmp_path):
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return tmp_path


def put(name, value):
    """A change of one array: to a value, or to what a function makes of it."""

    def change(arrays, meta):
        arrays[name] = value(arrays[name].copy()) if callable(value) else np.asarray(value)

    return change


def drop(start):
    """A change that removes the arrays whose names start so."""

    def change(arrays, meta):
        for name in [name for name in arrays if name.startswith(start)]:
            del arrays[name]

    return change


def say(**more):
    return lambda arrays, meta: meta.update(more)


def begin_with(*values):
    """A function that replaces the first elements of an array."""

    def replaced(array):
        array.flat[: len(values)] = values
        return array

    return replaced


def exchange(arrays, meta):
    """The block as the beginning of one, and the other way round."""
    for name in [name for name in arrays if name.startswith("whole/")]:
        other = "tail/" + name.removeprefix("whole/")
        arrays[name], arrays[other] = arrays[other], arrays[name]


MEAN, SPREAD = "whole/rate/moments/mean", "whole/rate/moments/squares"
COUNT, STATUS = "whole/rate/moments/count", "whole/status_count"
BUCKETS, COUNTS = "whole/rate/sketch/buckets", "whole/rate/sketch/counts"
LAGS, ANNEALED = "whole/log_gradient/moments/mean", "whole/log_gradient/annealed"

CHANGES = {
    "an array missing": drop(MEAN),
    "a statistic missing": drop("whole/rate/sketch"),
    "a variable missing": drop("whole/rate/"),
    "status missing": drop(STATUS),
    "the block missing": drop("whole/"),
    "all missing": drop(""),
    "an array too many": put("whole/rate/moments/more", 0.0),
    "a variable too many": lambda a, m: a.update(
        {k.replace("rate", "r\n" * 999): v for k, v in a.items()}
    ),
    "a nameless array": put("", 0.0),
    "an array of no variable": put("whole/more", 0.0),
    "a statistic unheard of": put("whole/rate/median/value", 0.0),
    "too few lags": put(LAGS, lambda a: a[:-1]),
    "no axis of lags": put(LAGS, 0.0),
    "a number with an axis": put(MEAN, [0.0]),
    "empty status": put(STATUS, np.zeros(0, np.int64)),
    "status of more codes": put(STATUS, lambda a: np.append(a, 0)),
    "counts that are no integers": put(COUNT, lambda a: a.astype(float)),
    "means that are integers": put(MEAN, 1),
    "status that is true": put(STATUS, lambda a: a.astype(bool)),
    "single precision": put(MEAN, lambda a: a.astype(np.float32)),
    "negative status": put(STATUS, begin_with(4097, -1)),
    "huge status": put(STATUS, begin_with(2**62)),
    "status that overflows to the right sum": put(
        STATUS, np.array([2**63 - 1, 2**63 - 1, 2 + 4096, 0])
    ),
    "another number of networks": put(STATUS, begin_with(4095)),
    "more vanished than there are": put("whole/gone_count", begin_with(4097)),
    "negative gone": put("whole/gone_count", begin_with(-1)),
    "more means than networks": put(COUNT, 4097),
    "negative counts": put(COUNT, -1),
    "means and quantiles of other networks": put(COUNT, 4000),
    "a mean of none": put(COUNT, 0),
    "a negative spread": put(SPREAD, -1.0),
    "no spread": put(SPREAD, np.nan),
    "no mean": put(MEAN, np.nan),
    "no peak": put(f"{ANNEALED}/peak", begin_with(np.nan)),
    "a negative sum": put(f"{ANNEALED}/total", begin_with(-1.0)),
    "buckets out of order": put(BUCKETS, lambda a: a[::-1]),
    "buckets twice": put(BUCKETS, lambda a: 0 * a),
    "more buckets than counts": put(BUCKETS, lambda a: np.append(a, a[-1] + 1)),
    "buckets that are one": put(BUCKETS, 0),
    "empty buckets": put(COUNTS, lambda a: begin_with(a[0] + a[1], 0)(a)),
    "negative buckets": put(COUNTS, lambda a: begin_with(a[0] + a[1] + 1, -1)(a)),
    "no buckets": lambda a, m: (
        put(BUCKETS, lambda b: b[:0])(a, m),
        put(COUNTS, lambda c: c[:0])(a, m),
    ),
    "another accuracy": put("whole/rate/sketch/accuracy", 0.0),
    "extremes exchanged": put("whole/rate/sketch/minimum", 1e9),
    "extremes missing": put("whole/rate/sketch/maximum", np.nan),
    "too many blocks": say(blocks=2),
    "blocks beyond the segment": say(blocks=17),
    "negative blocks": say(blocks=-1),
    "no blocks": say(blocks=0),
    "blocks that are true": say(blocks=True),
    "blocks that are text": say(blocks="1"),
    "huge blocks": say(blocks=2**70),
    "blocks missing": lambda arrays, meta: meta.pop("blocks"),
    "another cell": say(seed=1),
    "a block as a beginning": exchange,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_cannot_be_is_measured_again(change, folder, capsys, monkeypatch):
    """With a warning of one line, to the same bytes; so the results are the same, too."""
    monkeypatch.setattr("gradhorizon.studies.results.write_dataset", lambda folder, data: None)
    file = min(folder.glob("out/cells/*.cell"))
    before = file.read_bytes()
    arrays, meta = load_cell(file)
    change(arrays, meta)
    save_cell(file, arrays, meta)
    out = str(folder / "out")
    assert main(["status", out]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("mine: 1 of 2 cells, 4100 of 8200 networks\n")
    assert told.err.startswith("warning: ") and told.err.count("\n") == 1, told.err
    assert len(told.err) < len(str(file)) + 300
    assert main(["run", str(folder / "mine.toml"), "--out", out]) == 0
    assert file.read_bytes() == before


def test_results_after_a_damage_are_those_of_a_run_that_met_nothing(folder, original):
    min(folder.glob("out/cells/*.cell")).write_bytes(b"damaged")
    (folder / "out/results.nc").unlink()
    assert main(["run", str(folder / "mine.toml"), "--out", str(folder / "out")]) == 0
    xr.testing.assert_identical(
        *(xr.load_dataset(f / "out/results.nc") for f in (folder, original))
    )


def pipe(file):
    os.mkfifo(file)


def huge(file):
    """A hole of a terabyte behind a line that could be a checksum."""
    with open(file, "wb") as opened:
        opened.write(b"0" * 64 + b"\n{}\n")
        opened.truncate(1 << 40)


@pytest.mark.parametrize(
    "place",
    [pipe, huge, lambda file: file.symlink_to("/dev/zero"), lambda file: file.symlink_to(file)],
    ids=["pipe", "huge", "device", "loop"],
)
def test_what_is_no_file_is_replaced(place, folder, capsys):
    """Before it is read: nothing waits, nothing fills the memory."""
    file = min(folder.glob("out/cells/*.cell"))
    before = file.read_bytes()
    file.unlink()
    place(file)
    assert main(["run", str(folder / "mine.toml"), "--out", str(folder / "out")]) == 0
    error = capsys.readouterr().err
    assert error.startswith("warning: ") and error.count("\n") == 1, error
    assert not file.is_symlink() and file.read_bytes() == before


def test_a_folder_in_place_of_a_cell_is_named(folder, capsys):
    file = min(folder.glob("out/cells/*.cell"))
    file.unlink()
    file.mkdir()
    assert main(["run", str(folder / "mine.toml"), "--out", str(folder / "out")]) == 1
    warning, failure = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: ")
    assert failure.startswith("gradhorizon: the run failed: ") and file.name in failure


SPECS = [
    {"hidden_size": 5, "input_size": 3, "batch_size": 2},
    {"cell": "lstm", "hidden_size": 3, "batch_size": 3, "tied": False},
    {"cell": "gru", "hidden_size": 4, "batch_size": 2, "normalization": "batch"},
    {"cell": "minimal_rnn", "hidden_size": 2, "normalization": "layer"},
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s.get("cell", "rnn"))
@pytest.mark.parametrize("exponents", [None, 2, 999])
def test_shapes_are_known_before_anything_is_measured(spec, exponents):
    products = ["trajectory", "gradient", "weights", "lyapunov"]
    products += [] if "normalization" in spec else ["eigenvalue"]
    products += ["jacobian"] if exponents is None else []
    clip = {"norm": [1.0, 2.0], "value": 1.0}
    content = {"name": "n", "summary": "s", "products": products, "clip": clip, "spec": spec}
    study = study_of(content | ({"exponents": exponents} if exponents else {}), "n")
    sweep = Sweep(study, spec, {"slope": (1.0,)}, networks=3, steps=7)
    found = measure(
        NetworkSpec(**spec), networks=3, steps=7, products=products, clip=clip, exponents=exponents
    )
    shapes = dict(sweep.cells[0].measurement.shapes)
    assert shapes.pop("leading_exponent") == ()
    measured = {str(k): v.shape[1:] for k, v in found.data_vars.items() if k != "status"}
    unknown = OF_ALL if exponents else ()
    assert shapes == {name: shape for name, shape in measured.items() if name not in unknown}


@pytest.mark.parametrize("name", NAMES)
def test_shapes_of_derived_variables_are_known(name, cells):
    """Those of every study, among them what it does not keep."""
    cell = cells(name)[0]
    variables = cell.sweep.variables()
    assert cell.measurement.shapes.keys() == variables.keys()
    for variable, shape in cell.measurement.shapes.items():
        assert len(shape) == len(variables[variable].dims) - 1
