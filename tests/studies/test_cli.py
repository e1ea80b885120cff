"""The command line as a user meets it: what it prints, what it leaves, how it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr
from commands import run_command

from gradhorizon.studies.catalogue import NAMES
from gradhorizon.studies.cli import main

SMALL = ("--networks", "8", "--steps", "12", "--set", "hidden_size=6")


LEADING = 5e-3
"""Nats per step. Over 200 steps, exponents found alone or with others still differ by as much."""


def run(tmp_path, *arguments):
    return main(["run", *arguments, "--out", str(tmp_path / "out")])


def one_line_of(capsys):
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    return error


def test_list_names_every_study(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(NAMES)


def test_help_is_immediate():
    """The quickest of five, as others may use the machine; numba alone takes longer to import."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        command = [sys.executable, "-m", "gradhorizon.studies.cli", "run", "--help"]
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


def test_help_imports_no_numerics():
    heavy = ("numba", "numpy", "scipy", "xarray", "matplotlib")
    code = (
        "import sys; from gradhorizon.studies.cli import build_parser; build_parser();"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"


INPUTS = {
    "phase": "gaussian in (c), none in (a)-(b)",
    "tied": "gaussian in (g)-(i), none in (a)-(f)",
    "spectrum": "gaussian in (d)-(f), none in (a)-(c), (g)-(i)",
    "eigenvalue": "gaussian in (b)-(c), (e)-(f), none in (a), (d)",
    "batchnorm": "gaussian in (d)-(f), none in (a)-(c)",
    "depth": "zero",
    "coverage": "zero",
}
"""What the line under a figure says of the inputs, where they are not gaussian throughout."""


@pytest.fixture(scope="module")
def started(request, beside, tmp_path_factory):
    """Arguments -> folder and future result of the runs that this session looks at, all begun."""
    wanted = {}
    for item in request.session.items:
        if "started" in getattr(item, "fixturenames", ()):
            params = item.callspec.params
            wanted[params.get("arguments") or (params["name"],)] = None
    found = {}
    for arguments in wanted:
        out = tmp_path_factory.mktemp(arguments[0]) / "out"
        command = ["run", *arguments, *SMALL, "--workers", "1", "--out", str(out)]
        found[arguments] = out, beside.submit(run_command, command)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_study_leaves_its_files(name, started):
    out, future = started[name,]
    said_all = future.result()
    assert said_all.status == 0, said_all.error
    for file in ("results.nc", "figure.png", "figure.svg", "summary.csv", "provenance.json"):
        assert (out / file).stat().st_size > 0
    assert [p.name for p in out.rglob("*.tmp")] == []
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["networks"] == 8
    assert provenance["networks_measured"] == 8 * provenance["cells"] > 0
    assert provenance["failed"] == []
    assert provenance["networks_per_second"] > 0
    data = xr.load_dataset(out / "results.nc")
    for variable in data.data_vars.values():
        assert {"units", "long_name"} <= set(variable.attrs), variable.name
    lines = (out / "summary.csv").read_text().splitlines()
    points = data.measured_share.size  # more than cells where a network stands on several
    assert len(lines) == 1 + points
    assert 0 < provenance["cells"] <= points
    said = f"inputs {INPUTS.get(name, 'gaussian')}, seed 0"
    assert said in (out / "figure.svg").read_text()
    assert "results:" in said_all.output


@pytest.mark.usefixtures("undrawn_once")
def test_the_same_command_again_measures_nothing(tmp_path):
    command = ("decay", *SMALL, "--set", "slope=1", "--set", "weight_scale=0.5,1,2")
    assert run(tmp_path, *command) == 0
    out = tmp_path / "out"
    first = (out / "results.nc").read_bytes()
    kept = [*out.glob("cells/*.cell"), out / "provenance.json"]
    written = {p: p.stat().st_mtime_ns for p in kept}
    assert run(tmp_path, *command) == 0
    assert {p: p.stat().st_mtime_ns for p in kept} == written
    again = xr.load_dataset(tmp_path / "out/results.nc")
    (tmp_path / "first.nc").write_bytes(first)
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "first.nc"), again)


def test_figure_redraws_from_the_stored_results(tmp_path):
    assert run(tmp_path, "bptt", *SMALL) == 0
    png = tmp_path / "out/figure.png"
    before = png.read_bytes()
    png.unlink()
    assert main(["figure", str(tmp_path / "out")]) == 0
    assert png.read_bytes() == before


@pytest.mark.usefixtures("undrawn_once")
def test_set_replaces_an_axis_and_a_field(tmp_path):
    arguments = ("decay", *SMALL, "--set", "weight_scale=0.5,2", "--set", "slope=1")
    assert run(tmp_path, *arguments, "--set", "activation=tanh,relu") == 0
    data = xr.load_dataset(tmp_path / "out/results.nc")
    assert list(data.weight_scale.values) == [0.5, 2.0]
    assert list(data.activation.values) == ["tanh", "relu"]
    assert data.sizes["slope"] == 1


@pytest.mark.usefixtures("undrawn_once")
def test_precision_reaches_the_networks(tmp_path):
    assert run(tmp_path, "bptt", *SMALL, "--precision", "float32") == 0
    base = json.loads(xr.load_dataset(tmp_path / "out/results.nc").attrs["base"])
    assert base["precision"] == "float32"


SWEEP = """
name = "mine"
networks = 8
steps = 12
products = ["gradient", "trajectory"]
[spec]
hidden_size = 6
[grid]
activation = ["tanh", "erf"]
weight_scale = [0.5, 1.5]
"""


@pytest.mark.usefixtures("undrawn_once")
def test_a_sweep_of_the_users_own(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(SWEEP)
    assert run(tmp_path, str(file), "--seed", "3") == 0
    data = xr.load_dataset(tmp_path / "out/results.nc")
    assert data.rate_mean.dims == ("activation", "weight_scale")
    assert data.attrs["seed"] == 3
    assert np.isfinite(data.rate_mean).all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("networks = 8", "networks = -8"), "networks"),
        (("networks = 8", 'networks = "many"'), "networks"),
        (("steps = 12", "steps = 1"), "steps"),
        (("hidden_size = 6", "hidden_sizes = 6"), "hidden_sizes"),
        (("[0.5, 1.5]", "[0.5, nan]"), "weight_scale"),
        (("[0.5, 1.5]", "[]"), "weight_scale"),
        (("[0.5, 1.5]", "0.5"), "weight_scale"),
        (('"gradient", ', '"gradients", '), "products"),
        (("[grid]", "[gird]"), "gird"),
        (("[grid]", "[grid"), "mine.toml"),
        (('"mine"', '"decay"'), "name"),
        (('"mine"', '"../../mine"'), "name"),
        (("hidden_size = 6", "weight_scale = 1.0"), "weight_scale"),
        (("steps = 12", "steps = 12\nseed = false"), "seed"),
        (("steps = 12", 'steps = 12\nsummary = "a\\u0000b"'), "summary"),
        (('"erf"', '"erff"'), "activation"),
        (("[spec]", "clip = 1\n[spec]"), "clip"),
        (("[spec]", "clip = {norm = 1}\n[spec]"), "weights"),
        (("[spec]", "clip = {norm = -1}\n[spec]"), "clip.norm"),
        (("[spec]", "exponents = 2\n[spec]"), "lyapunov"),
        (('"trajectory"]', '"lyapunov"]\nexponents = 0'), "exponents"),
        (('"trajectory"]', '"lyapunov"]\nexponents = true'), "exponents"),
        (('"trajectory"]', '"lyapunov"]\nexponents = 1.5'), "exponents"),
        (('"trajectory"]', '"lyapunov", "jacobian"]\nexponents = 2'), "jacobian"),
    ],
)
def test_a_wrong_sweep_gets_one_line(change, named, tmp_path, capsys):
    file = tmp_path / "mine.toml"
    file.write_text(SWEEP.replace(*change))
    assert run(tmp_path, str(file)) == 2
    assert named in one_line_of(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("decai",), "decai"),
        (("no_such.toml",), "no_such.toml"),
        (("decay", "--networks", "0"), "networks"),
        (("decay", "--networks", "-3"), "networks"),
        (("decay", "--steps", "1"), "steps"),
        (("decay", "--burn-in", "-1"), "burn_in"),
        (("decay", "--seed", "-1"), "seed"),
        (("decay", "--workers", "0"), "workers"),
        (("decay", "--set", "hidden_size=-4"), "hidden_size"),
        (("decay", "--set", "hidden_size=4.5"), "hidden_size"),
        (("decay", "--set", "weight_scale=nan"), "weight_scale"),
        (("decay", "--set", "weight_scale=1,1"), "weight_scale"),
        (("decay", "--set", "nonsense=1"), "nonsense"),
        (("decay", "--set", "hidden_size"), "--set"),
        (("decay", "--set", "activation=tanhh"), "tanhh"),
        (("decay", "--set", "hidden_size=1000000"), "memory"),
        (("decay", "--inputs", "absent.npy"), "absent.npy"),
        (("gates", "--set", "ensemble=uniform"), "pytorch"),
        (("gates", "--set", "gate_bias.forget=1"), "gate_bias.forget"),
        (("depth", "--set", "net=tanh"), "tanh critical"),
        (("depth", "--set", "batch_size=4"), "net = tanh batch"),
        (("remedies", "--set", "remedy=prayer"), "identity relu"),
        (("remedies", "--set", "setting=8"), "setting"),
        (("remedies", "--set", "cell=gru"), "remedy = lstm"),
        (("bptt", "--set", "setting=0"), "setting"),
    ],
)
def test_bad_usage_gets_one_line(arguments, named, tmp_path, capsys):
    assert run(tmp_path, *arguments) == 2
    assert named in one_line_of(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("activations", "--set", "slope=1,2"),
        ("activations", "--set", "weight_scale=1,2,3,4,5,6,7,8,9"),
        ("bptt", "--set", "slope=1,2", "--set", "tied=true,false"),
        ("bptt", "--inputs", "zero"),
        ("decay", "--set", "slope=1e6", "--set", "weight_scale=1"),
        ("decay", "--set", "weight_scale=0"),
        ("decay", "--set", "skip=1", "--set", "weight_scale=1,2"),
        ("decay", "--set", "weights=orthogonal,gaussian", "--set", "slope=1"),
        ("gates", "--set", "cell=gru", "--set", "ensemble=gaussian 1", "--set", "skip=0.5"),
        ("gates", "--set", "bias=0", "--set", "gate_bias.input=1,2", "--set", "cell=lstm"),
        ("depth", "--set", "net=relu batch", "--inputs", "gaussian"),
        ("depth", "--set", "net=tanh 1,relu he", "--set", "batch_size=2,3"),
        ("batchnorm", "--set", "activation=sigmoid", "--set", "batch_size=2"),
        ("batchnorm", "--set", "net=recurrent layer", "--set", "weights=pytorch"),
        ("clipping", "--set", "weight_scale=1"),
        ("clipping", "--set", "activation=tanh", "--inputs", "zero"),
        ("remedies", "--set", "remedy=clipping", "--set", "setting=1,0"),
        ("remedies", "--set", "remedy=lstm,gru", "--set", "skip=0.1,0.2"),
    ],
    ids=" ".join,
)
def test_unusual_grids_run_and_are_drawn(arguments, started):
    out, future = started[arguments]
    said = future.result()
    assert (said.status, said.error) == (0, "")
    assert (out / "figure.png").stat().st_size > 0


def test_a_figure_that_cannot_be_drawn_costs_no_result(tmp_path, capsys):
    """Axes over 600 orders of magnitude are beyond matplotlib."""
    arguments = ("decay", "--set", "weight_scale=1e-300,1e300", "--set", "slope=1")
    assert run(tmp_path, *arguments, *SMALL) == 0
    assert one_line_of(capsys).startswith("warning: figure not drawn")
    assert xr.load_dataset(tmp_path / "out/results.nc").sizes["weight_scale"] == 2


@pytest.mark.usefixtures("undrawn_once")
def test_clipping_in_a_sweep_of_the_users_own(tmp_path):
    file = tmp_path / "mine.toml"
    text = SWEEP.replace('"trajectory"', '"weights"')
    file.write_text(text.replace("[spec]", "clip = {norm = [1, 10], value = 0.1}\n[spec]"))
    assert run(tmp_path, str(file)) == 0
    data = xr.load_dataset(tmp_path / "out/results.nc")
    assert list(data["clip"].values) == ["norm 1", "norm 10", "value 0.1"]
    assert (data.log_clipped_norm_mean.sel(clip="norm 1") <= 0).all()


def test_axes_that_are_not_drawn_are_named(tmp_path):
    assert run(tmp_path, "decay", *SMALL[:4], "--set", "hidden_size=6,8", "--set", "slope=1") == 0
    svg = (tmp_path / "out/figure.svg").read_text()
    assert "n = 8," in svg
    assert "hidden_size = 8" in svg


def test_a_product_without_a_number_per_network_is_drawn(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(SWEEP.replace('"gradient", "trajectory"', '"jacobian"'))
    assert run(tmp_path, str(file)) == 0
    assert (tmp_path / "out/figure.png").stat().st_size > 0


@pytest.mark.usefixtures("undrawn_once")
def test_an_axis_of_sizes_leaves_gaps_where_networks_have_fewer_exponents(tmp_path):
    """ReLU's exponents of -inf among them."""
    text = SWEEP.replace("hidden_size = 6", "").replace('"gradient", "trajectory"', '"lyapunov"')
    file = tmp_path / "mine.toml"
    grid = 'activation = ["tanh", "relu"]\nhidden_size = [3, 6, 4]'
    file.write_text(text.replace('activation = ["tanh", "erf"]', grid))
    assert run(tmp_path, str(file)) == 0
    data = xr.load_dataset(tmp_path / "out/results.nc")
    count = data.lyapunov_exponent_mean.notnull().sum("index")
    assert (count == data.hidden_size).all()
    sizes = ("activation", "hidden_size", "weight_scale", "block", "direction")
    assert data.local_exponent_mean.dims == sizes


@pytest.mark.usefixtures("undrawn_once")
def test_leading_exponents_in_a_sweep_of_the_users_own(tmp_path, capsys):
    """Those of the whole spectrum (`LEADING` away at most), in a folder that is theirs alone."""
    file = tmp_path / "mine.toml"
    whole = SWEEP.replace('"gradient", "trajectory"', '"lyapunov"').replace("12", "200")
    file.write_text(whole)
    assert run(tmp_path, str(file)) == 0
    every = xr.load_dataset(tmp_path / "out/results.nc")
    assert every.lyapunov_exponent_mean.sizes["index"] == 6
    file.write_text(whole.replace("[spec]", "exponents = 2\n[spec]"))
    assert run(tmp_path, str(file)) == 2
    assert "exponents = None" in one_line_of(capsys)
    assert main(["run", str(file), "--out", str(tmp_path / "two")]) == 0
    two = xr.load_dataset(tmp_path / "two/results.nc")
    assert two.lyapunov_exponent_mean.sizes["index"] == 2
    assert two.attrs["headline"] == "leading_exponent"
    difference = two.lyapunov_exponent_mean - every.lyapunov_exponent_mean.isel(index=slice(2))
    assert abs(difference).max() < LEADING
    first = two.lyapunov_exponent_mean.isel(index=0)
    np.testing.assert_allclose(two.leading_exponent_mean, first, rtol=1e-14)


@pytest.mark.usefixtures("undrawn_once")
def test_leading_exponents_of_chaotic_networks(tmp_path):
    """All of them positive, so that they tell neither dimension nor entropy."""
    file = tmp_path / "mine.toml"
    text = SWEEP.replace('"gradient", "trajectory"', '"lyapunov"').replace(
        "[spec]", "exponents = 1\n[spec]"
    )
    file.write_text(text.replace('["tanh", "erf"]', '["sin"]').replace("[0.5, 1.5]", "[5.0]"))
    assert run(tmp_path, str(file)) == 0
    data = xr.load_dataset(tmp_path / "out/results.nc")
    assert (data.leading_exponent_mean > 0).all()
    assert "entropy_rate_mean" not in data


@pytest.mark.parametrize("arguments", [("run", "decay", "--netwroks", "3"), (), ("fly",)])
def test_wrong_flags_get_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    assert stop.value.code == 2
    one_line_of(capsys)


@pytest.mark.parametrize(
    "array",
    [np.zeros((3, 20)), np.zeros((3, 0, 1)), np.zeros((2, 20, 1), complex), np.array(["a"])],
    ids=["two axes", "empty", "complex", "text"],
)
def test_wrong_inputs_get_one_line(array, tmp_path, capsys):
    np.save(tmp_path / "x.npy", array)
    assert run(tmp_path, "decay", *SMALL, "--inputs", str(tmp_path / "x.npy")) == 2
    assert "x.npy" in one_line_of(capsys)


def test_a_pickle_is_never_loaded(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], object), allow_pickle=True)
    assert run(tmp_path, "decay", *SMALL, "--inputs", str(tmp_path / "x.npy")) == 2
    assert "x.npy" in one_line_of(capsys)


@pytest.mark.parametrize("content", [b"1,2\n3,4\n", b"PK\x03\x04" + bytes(99)])
def test_inputs_of_another_format_are_not_called_pickles(content, tmp_path, capsys):
    """Nor is it suggested to trust them, as numpy does."""
    (tmp_path / "x.csv").write_bytes(content)
    assert run(tmp_path, "decay", *SMALL, "--inputs", str(tmp_path / "x.csv")) == 2
    assert "pickle" not in one_line_of(capsys)


@pytest.mark.usefixtures("undrawn_once")
def test_nan_inputs_are_counted_and_do_not_spoil_the_rest(tmp_path):
    x = np.random.default_rng(0).standard_normal((8, 12, 2))
    x[3, 5] = np.nan
    np.save(tmp_path / "x.npy", x)
    # relu networks of this size may die of themselves
    arguments = ("bptt", "--networks", "8", "--set", "hidden_size=6", "--set", "activation=tanh")
    assert run(tmp_path, *arguments, "--inputs", str(tmp_path / "x.npy")) == 0
    data = xr.load_dataset(tmp_path / "out/results.nc")
    assert (data.status_count.values == [7, 0, 0, 1, 0]).all()
    assert np.isfinite(data.log_grad_W_mean).all()


@pytest.mark.usefixtures("undrawn_once")
def test_a_block_without_any_good_network(tmp_path, capsys):
    """The second of three blocks of 256 networks reads NaN alone; the others are measured."""
    x = np.random.default_rng(0).standard_normal((600, 12, 1))
    x[256:512] = np.nan
    np.save(tmp_path / "x.npy", x)
    arguments = ("bptt", "--networks", "600", "--set", "hidden_size=4", "--set", "activation=tanh")
    assert run(tmp_path, *arguments, "--inputs", str(tmp_path / "x.npy")) == 0
    assert capsys.readouterr().err == ""
    data = xr.load_dataset(tmp_path / "out/results.nc")
    assert (data.status_count.values == [344, 0, 0, 256, 0]).all()
    assert np.isfinite(data.recent_share_U_mean).all()


@pytest.mark.usefixtures("undrawn_once")
def test_a_cell_without_any_good_network(tmp_path, capsys):
    """Nothing is measured, and nothing fails."""
    np.save(tmp_path / "x.npy", np.full((3, 12, 1), np.nan))
    assert run(tmp_path, "bptt", *SMALL[:2], "--inputs", str(tmp_path / "x.npy")) == 0
    assert capsys.readouterr().err == ""
    data = xr.load_dataset(tmp_path / "out/results.nc")
    assert (data.measured_share == 0).all()
    assert data.recent_share_W_mean.isnull().all()


@pytest.mark.usefixtures("undrawn_once")
def test_without_inputs_there_is_nothing_to_share(tmp_path):
    assert run(tmp_path, "bptt", *SMALL, "--inputs", "zero", "--set", "activation=tanh") == 0
    data = xr.load_dataset(tmp_path / "out/results.nc")
    assert data.recent_share_U_mean.isnull().all()
    assert np.isfinite(data.recent_share_W_mean).all()


@pytest.mark.usefixtures("undrawn_once")
def test_the_folder_of_another_run_is_refused_and_kept(tmp_path, capsys):
    assert run(tmp_path, "bptt", *SMALL) == 0
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    capsys.readouterr()
    assert run(tmp_path, "bptt", *SMALL, "--seed", "1") == 2
    assert "seed" in one_line_of(capsys)
    after = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert before == after


def test_a_folder_of_something_else_is_refused_and_kept(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/results.nc").write_text("precious")
    assert run(tmp_path, "bptt", *SMALL) == 2
    one_line_of(capsys)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["results.nc"]


def test_a_folder_whose_name_is_no_text(gradhorizon):
    done = gradhorizon("run", "bptt", *SMALL, "--out", os.fsdecode(b"name \xff"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "results: name \\udcff"


@pytest.mark.parametrize("content", [None, b"not netCDF", b""])
def test_figure_of_a_folder_without_results(content, tmp_path, capsys):
    if content is not None:
        (tmp_path / "results.nc").write_bytes(content)
    assert main(["figure", str(tmp_path)]) == 2
    one_line_of(capsys)


def test_figure_of_foreign_results(tmp_path, capsys):
    xr.Dataset({"x": ("y", [1.0])}).to_netcdf(tmp_path / "results.nc", engine="h5netcdf")
    assert main(["figure", str(tmp_path)]) == 2
    one_line_of(capsys)


def test_a_piped_run_shows_no_progress_bar(gradhorizon):
    done = gradhorizon("run", "bptt", *SMALL)
    assert done.returncode == 0
    assert done.stderr == ""
