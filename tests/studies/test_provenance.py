"""The line under a figure says which networks had inputs."""

from __future__ import annotations

import json

import pytest
import xarray as xr
from matplotlib.figure import Figure

from gradhorizon.studies.figures import provenance_line

DRIVEN, FREE = {"weight_scale": 2.0}, {"input_scale": 0.0}


@pytest.mark.parametrize(
    ("inputs", "base", "panels", "said"),
    [
        ("gaussian", {}, [], "gaussian"),
        ("gaussian", {}, [DRIVEN, DRIVEN], "gaussian"),
        ("gaussian", {}, [FREE, FREE], "none"),
        ("gaussian", {}, [FREE, FREE, FREE, DRIVEN], "gaussian in (d), none in (a)-(c)"),
        ("gaussian", {}, [DRIVEN, FREE, DRIVEN], "gaussian in (a), (c), none in (b)"),
        ("gaussian", FREE, [], "none"),
        ("gaussian", FREE, [DRIVEN, {"input_scale": 1.0}], "gaussian in (b), none in (a)"),
        ("zero", {}, [DRIVEN, FREE], "zero"),
        ("array (9, 8, 1) 0f", {}, [], "from a file (9, 8, 1)"),
        ("array (9, 8, 1) 0f", {}, [DRIVEN, FREE], "from a file (9, 8, 1) in (a), none in (b)"),
    ],
)
def test_inputs_are_told_panel_by_panel(inputs, base, panels, said):
    attributes = {"study": "decay", "networks": 4, "steps": 14, "seed": 0, "inputs": inputs}
    figure = Figure()
    provenance_line(figure, xr.Dataset(attrs={**attributes, "base": json.dumps(base)}), panels)
    assert f"14 steps, inputs {said}, seed 0" in figure.get_supxlabel()
