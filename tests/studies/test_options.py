"""From a study and the user's words to a sweep: own axes, gate biases, defaults, refusals."""

from __future__ import annotations

import dataclasses
import tomllib

import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import InputError, NetworkSpec, measure
from gradhorizon.studies.catalogue import load_study
from gradhorizon.studies.cli import main, settled
from gradhorizon.studies.names import flat, nested, overlapping
from gradhorizon.studies.options import Options, settle
from gradhorizon.studies.own_sweep import load_toml
from gradhorizon.studies.parser import build_parser
from gradhorizon.studies.run import Means, run_sweep
from gradhorizon.studies.study import Study

RECIPES = {"plain": {}, "shifted": {"gate_bias": {"hidden": 0.5}, "weight_scale": 1.5}}


def recipe(point):
    """Fields of a recipe; any size goes with it."""
    if point["recipe"] not in RECIPES:
        raise InputError("recipe", point["recipe"], ", ".join(RECIPES))
    return {**RECIPES[point["recipe"]], "hidden_size": point["size"]}


OWN = Study(
    name="own",
    summary="axes that are no fields",
    grid={"recipe": tuple(RECIPES), "size": (3, 5)},
    base={"activation": "sin"},
    fields=recipe,
    networks=4,
    steps=6,
)
PLAIN = Study(
    name="plain",
    summary="axes that are fields",
    grid={"gate_bias.hidden": (0.0, 1.0), "weight_scale": (0.5, 1.0)},
    networks=4,
    steps=6,
)


def specs(study, *overrides):
    return [cell.spec for cell in settle(study, Options(overrides=overrides)).cells]


def refusal(study, *overrides):
    with pytest.raises(InputError) as caught:
        _ = settle(study, Options(overrides=overrides)).cells
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Names


def test_tables_of_gate_biases_are_taken_apart_and_put_together():
    fields = {"cell": "lstm", "gate_bias": {"forget": 1.0, "input": -1.0}}
    apart = {"cell": "lstm", "gate_bias.forget": 1.0, "gate_bias.input": -1.0}
    assert flat(fields) == apart
    assert flat(apart) == apart
    assert nested(apart) == fields
    assert flat({"gate_bias": {}}) == nested({}) == {}


def test_which_names_overlap():
    names = ["gate_bias", "gate_bias.forget", "gate_bias.input", "weight_scale"]
    assert overlapping("gate_bias", names) == names[:3]
    assert overlapping("gate_bias.input", names) == ["gate_bias", "gate_bias.input"]
    assert overlapping("weights", names) == []


# Gate biases


def test_a_gate_bias_is_an_axis():
    found = specs(PLAIN)
    assert [s.gate_bias["hidden"] for s in found] == [0.0, 0.0, 1.0, 1.0]
    found = specs(PLAIN, "gate_bias.hidden=-2,3", "weight_scale=1")
    assert [s.gate_bias["hidden"] for s in found] == [-2.0, 3.0]
    assert [s.gate_bias["hidden"] for s in specs(PLAIN, "gate_bias={hidden = 4}")] == [4.0, 4.0]


def test_a_gate_bias_in_the_base_is_replaced():
    study = dataclasses.replace(PLAIN, grid={"slope": (1.0,)}, base={"gate_bias": {"hidden": 1.0}})
    assert [s.gate_bias for s in specs(study)] == [{"hidden": 1.0}]
    assert [s.gate_bias for s in specs(study, "gate_bias.hidden=2")] == [{"hidden": 2.0}]
    assert [s.gate_bias for s in specs(study, "gate_bias={}")] == [{}]
    both = specs(study, "gate_bias=[{hidden = 2}, {}]")
    assert [s.gate_bias for s in both] == [{"hidden": 2.0}, {}]


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("gate_bias.forgte=1", "forgte"),
        ("gate_bias.hidden=much", "gate_bias.hidden"),
        ("gate_bias.hidden=1,1", "gate_bias.hidden"),
        ("gate_bias=[{hidden = 1}, {hidden = 2}]", "gate_bias.hidden beside gate_bias"),
        ("gate_bias=5", "gate_bias"),
    ],
)
def test_wrong_gate_biases_get_one_line(override, named):
    assert named in refusal(PLAIN, override)


SWEEP = """
networks = 4
steps = 6
[spec]
hidden_size = 4
{spec}
[grid]
slope = [1.0]
{grid}
"""


@pytest.mark.parametrize(
    ("spec", "grid"),
    [
        ("", "gate_bias.hidden = [0, 1]"),
        ("", '"gate_bias.hidden" = [0, 1]'),
        ("", "gate_bias = [{}, {hidden = 1}]"),
        ("gate_bias.hidden = 1", "weight_scale = [0, 1]"),
        ("gate_bias = {hidden = 1}", "weight_scale = [0, 1]"),
        ('"gate_bias.hidden" = 1', "weight_scale = [0, 1]"),
    ],
)
def test_gate_biases_in_a_sweeps_file(spec, grid, tmp_path):
    (tmp_path / "mine.toml").write_text(SWEEP.format(spec=spec, grid=grid))
    out = tmp_path / "out"
    assert main(["run", str(tmp_path / "mine.toml"), "--out", str(out)]) == 0
    data = xr.load_dataset(out / "results.nc")
    assert data.rate_mean.size == 2
    first, last = data.rate_mean.values.ravel()
    assert last != first
    expected = measure(
        NetworkSpec(hidden_size=4, gate_bias={"hidden": 1.0}), networks=4, steps=6
    ).rate.mean()
    assert last == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize(
    ("spec", "grid", "named"),
    [
        ("", "gate_bias.hiden = [0, 1]", "hiden"),
        ("", "gate_bias.hidden = 1", "gate_bias.hidden"),
        ("gate_bias.hidden = 1", "gate_bias.hidden = [0, 1]", "gate_bias.hidden"),
        ("gate_bias.hidden = 1", "gate_bias = [{}, {hidden = 1}]", "gate_bias.hidden"),
        ("gate_bias = 1", "", "gate_bias"),
        ("", "remedy = [1]", "remedy"),
    ],
)
def test_wrong_gate_biases_in_a_sweeps_file(spec, grid, named, tmp_path, capsys):
    (tmp_path / "mine.toml").write_text(SWEEP.format(spec=spec, grid=grid))
    assert main(["run", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert named in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_sweeps_file_may_come_from_any_editor(mark, end, tmp_path):
    """The right values: what the library reads of the bare text."""
    text = 'summary = "ä"' + SWEEP.format(spec="", grid="weight_scale = [0, 1]")
    file = tmp_path / "mine.TOML"
    file.write_bytes((mark + text.replace("\n", end)).encode())
    study, options = load_toml(file)
    expected = tomllib.loads(text)
    assert (study.base, study.grid) == (expected["spec"], expected["grid"])
    assert study.summary == "ä"
    assert options == {"networks": 4, "steps": 6}
    assert settled(build_parser().parse_args(["run", str(file)])).steps == 6


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_a_sweeps_file_in_another_encoding_is_refused_for_that(encoding, tmp_path, capsys):
    text = '[spec]\nhidden_size = 4\n[grid]\nweight_scale = [1]\n# "\xe4"\n'
    (tmp_path / "mine.toml").write_bytes(text.encode(encoding))
    assert main(["run", str(tmp_path / "mine.toml"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "not UTF-8" in error
    assert error.count("\n") == 1


# A study's own axes


def test_own_axes_are_translated():
    found = specs(OWN)
    assert [(s.hidden_size, s.weight_scale) for s in found] == [(3, 1), (5, 1), (3, 1.5), (5, 1.5)]
    assert {s.activation for s in found} == {"sin"}
    assert found[-1].gate_bias == {"hidden": 0.5}


def test_own_axes_can_be_set_and_further_fields_too():
    found = specs(OWN, "recipe=shifted", "size=7,9", "slope=1,2", "activation=erf")
    assert [(s.hidden_size, s.slope) for s in found] == [(7, 1), (7, 2), (9, 1), (9, 2)]
    assert {(s.weight_scale, s.activation) for s in found} == {(1.5, "erf")}


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("recipe=plane", "plain, shifted"),
        ("recipee=plain", "recipe, size, cell"),
        ("size=0", "hidden_size"),
        ("hidden_size=4", "hidden_size"),
        ("weight_scale=1,2", "recipe = shifted"),
        ("gate_bias={}", "recipe = shifted"),
    ],
)
def test_wrong_values_of_own_axes_get_one_line(override, named):
    assert named in refusal(OWN, override)


def test_a_field_that_no_chosen_point_decides_may_be_set():
    assert {s.weight_scale for s in specs(OWN, "recipe=plain", "weight_scale=2")} == {2.0}


# What a study says where the user does not


def test_defaults_of_a_study_and_the_users_own_word():
    study = dataclasses.replace(PLAIN, inputs="zero", burn_in=3)
    assert (settle(study, Options()).inputs, settle(study, Options()).burn_in) == ("zero", 3)
    asked = settle(study, Options(inputs="gaussian", burn_in=0))
    assert (asked.inputs, asked.burn_in) == ("gaussian", 0)


def test_all_that_decides_numbers_is_in_the_key_of_a_cell():
    studies = [
        PLAIN,
        dataclasses.replace(PLAIN, inputs="zero"),
        dataclasses.replace(PLAIN, burn_in=1),
        dataclasses.replace(PLAIN, products=("weights",)),
        dataclasses.replace(PLAIN, products=("weights",), clip={"norm": (1.0,)}),
        dataclasses.replace(PLAIN, products=("weights",), clip={"value": (1.0,)}),
        dataclasses.replace(PLAIN, base={"gate_bias": {"hidden": 3.0}}, grid={"slope": (1.0,)}),
    ]
    keys = [cell.key for study in studies for cell in settle(study, Options()).cells]
    assert len(set(keys)) == len(keys) == 6 * 4 + 1


def test_a_network_that_stands_twice_on_the_grid_is_measured_once(tmp_path):
    def constant(point):
        return {"weight_scale": 1.0, "hidden_size": 3, "slope": max(1.0, point["setting"])}

    study = dataclasses.replace(OWN, grid={"setting": (0.0, 1.0, 2.0)}, fields=constant)
    sweep = settle(study, Options())
    assert [cell.point["setting"] for cell in sweep.distinct] in ([0.0, 2.0], [1.0, 2.0])
    data = run_sweep(sweep, tmp_path / "out", Means(workers=1))
    assert len(list((tmp_path / "out/cells").iterdir())) == 2
    first, second, third = data.rate_mean.values
    assert first == second != third


# Clipping


def test_results_hold_the_axis_of_clipping(tmp_path):
    clip = {"norm": (1e-3, 1.0), "value": (0.01,)}
    study = dataclasses.replace(PLAIN, products=("weights",), clip=clip, headline="log_grad_W")
    out = tmp_path / "out"
    run_sweep(settle(study, Options()), out, Means(workers=1))
    data = xr.load_dataset(out / "results.nc")
    assert list(data["clip"].values) == ["norm 0.001", "norm 1", "value 0.01"]
    assert list(data.clip_kind.values) == ["norm", "norm", "value"]
    assert list(data.clip_threshold.values) == [1e-3, 1.0, 0.01]
    point = {"gate_bias.hidden": 1.0, "weight_scale": 0.5}
    expected = measure(
        NetworkSpec(weight_scale=0.5, gate_bias={"hidden": 1.0}),
        networks=4,
        steps=6,
        products=("weights",),
        clip=clip,
    )
    for name in ("log_clipped_norm", "clipped_share", "clip_angle"):
        np.testing.assert_allclose(
            data[f"{name}_mean"].sel(point), expected[name].mean("network"), rtol=1e-12, atol=1e-15
        )


def test_a_field_that_the_axes_decide_is_refused_with_the_names_of_the_axes():
    study = load_study("gates")
    message = refusal(study, "gate_bias.forget=1")
    assert message.endswith("; the axes of this study are cell, ensemble, input_scale, bias")


def test_values_are_laid_out_on_the_grid():
    sweep = settle(PLAIN, Options())
    axes, values = sweep.on_grid([list(cell.point.values()) for cell in sweep.cells])
    assert axes == ("gate_bias.hidden", "weight_scale")
    assert values.shape == (2, 2, 2)
    np.testing.assert_array_equal(values[1, 0], [1.0, 0.5])


def test_burn_in_of_a_study_fits_into_a_short_window():
    """A default that the user never gave is no reason to refuse the steps that he did."""
    study = load_study("tied")
    assert study.burn_in == 10
    assert settle(study, Options(steps=5)).burn_in == 3
    assert settle(study, Options(steps=50)).burn_in == 10
    assert settle(study, Options(steps=5, burn_in=0)).burn_in == 0
