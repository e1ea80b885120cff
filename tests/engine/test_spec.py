"""NetworkSpec: every field checked once, with one clear line; hashing and round trips."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
import tomllib
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradhorizon.engine import InputError, NetworkSpec, measure
from gradhorizon.kernels.activations import ACTIVATIONS

INF, NAN = math.inf, math.nan
NOT_NUMBERS = (
    *(NAN, INF, -INF, "1", None, [1.0], True, 1j, 10**400, np.array(1.0), np.timedelta64(1)),
    *(Decimal("nan"), Decimal("sNaN"), Decimal("1e999"), np.longdouble("1e4000")),
)
NOT_NAMES = ("", "Tanh", " tanh", None, 3, ["tanh"], b"tanh", "no such thing\nat all")
NOT_SIZES = (
    *(0.5, 2.0, "8", None, True, False, -1, 2**20 + 1, NAN, [8]),
    *(np.timedelta64(8, "ns"), np.timedelta64(8, "D"), np.float64(8), np.array(8)),
)

INVALID: dict[str, tuple[Any, ...]] = {
    "cell": NOT_NAMES,
    "activation": NOT_NAMES,
    "weights": NOT_NAMES,
    "normalization": NOT_NAMES,
    "precision": (*NOT_NAMES, "float16", "double", np.float32),
    "hidden_size": (*NOT_SIZES, 0),
    "input_size": NOT_SIZES,
    "batch_size": (*NOT_SIZES, 0),
    "slope": (*NOT_NUMBERS, 0.0, -1.0, 1e-31, 1e31),
    "norm_scale": (*NOT_NUMBERS, 0.0, -1.0),
    "weight_scale": (*NOT_NUMBERS, -1e-9),
    "input_scale": (*NOT_NUMBERS, -1.0),
    "bias_scale": (*NOT_NUMBERS, -1.0),
    "skip": NOT_NUMBERS,
    "branch": (*NOT_NUMBERS, 0.0, -0.0, 1e-31, -1e31),
    "tied": (0, 1, "true", None, 1.0),
    "gate_bias": (None, 1.0, "hidden", ["hidden"], {"forget": 1.0}, {3: 1.0}),
}

finite = st.floats(-5, 5, allow_subnormal=False)
scales = st.floats(0, 5, allow_subnormal=False)
positive = st.floats(0.01, 5)
GATES = {
    "rnn": ["hidden"],
    "lstm": ["input", "forget", "cell", "output"],
    "gru": ["reset", "update", "candidate"],
    "minimal_rnn": ["update", "candidate"],
}


@st.composite
def specs(draw: Any) -> NetworkSpec:
    """Any combination of fields that has a meaning."""
    fields = draw(COMMON)
    cell = draw(st.sampled_from(list(GATES)))
    fields["gate_bias"] = draw(st.dictionaries(st.sampled_from(GATES[cell]), finite))
    if cell == "rnn":
        fields |= {"activation": draw(st.sampled_from(list(ACTIVATIONS))), "slope": draw(positive)}
    norm = draw(st.sampled_from(["none", "batch", "batch-separate", "layer"]))
    if norm != "none":
        least = {"batch_size": 2, "hidden_size": 2}
        fields |= {name: max(fields[name], low) for name, low in least.items()}
        fields["norm_scale"] = draw(positive)
    return NetworkSpec(cell=cell, normalization=norm, **fields)


COMMON = st.fixed_dictionaries(
    dict(
        hidden_size=st.integers(1, 6),
        input_size=st.integers(0, 6),
        weight_scale=scales,
        weights=st.sampled_from(["gaussian", "orthogonal", "uniform", "identity", "pytorch"]),
        input_scale=scales,
        bias_scale=scales,
        tied=st.booleans(),
        skip=finite,
        branch=finite.filter(lambda x: abs(x) >= 1e-30),
        batch_size=st.integers(1, 3),
        precision=st.sampled_from(["float64", "float32"]),
    )
)
SPECS = specs()


def assert_one_line(error: InputError, field: str) -> None:
    message = str(error)
    assert message.startswith(field)
    assert "\n" not in message
    assert "is not allowed; allowed: " in message
    assert len(message) < 400


CASES = [(field, value) for field, values in INVALID.items() for value in values]


@pytest.mark.parametrize("field, value", CASES, ids=lambda x: repr(x)[:24])
def test_invalid_values(field: str, value: Any) -> None:
    """One line that names the field, the value and what is allowed."""
    with pytest.raises(InputError) as caught:
        NetworkSpec(**{field: value})
    assert_one_line(caught.value, field)


COMBINATIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"cell": "lstm", "activation": "relu"}, "activation", "tanh, for the nonlinearities of cell"),
    ({"cell": "gru", "slope": 2.0}, "slope", "1 for cell 'gru'"),
    ({"cell": "gru", "gate_bias": {"forget": 1.0}}, "gate_bias", "reset, update, candidate"),
    ({"normalization": "batch"}, "batch_size", "at least 2 with normalization 'batch'"),
    ({"normalization": "batch-separate"}, "batch_size", "at least 2"),
    ({"normalization": "layer", "hidden_size": 1}, "hidden_size", "at least 2"),
    ({"norm_scale": 0.1}, "norm_scale", "1 without a normalization"),
]


@pytest.mark.parametrize("fields, field, allowed", COMBINATIONS, ids=lambda x: repr(x)[:40])
def test_combinations_without_meaning(fields: dict[str, Any], field: str, allowed: str) -> None:
    """Refused rather than ignored, in one line that says why."""
    with pytest.raises(InputError) as caught:
        NetworkSpec(**fields)
    assert_one_line(caught.value, field)
    assert allowed in str(caught.value)


@pytest.mark.parametrize("value", [NAN, INF, "1", None, True])
def test_invalid_gate_bias_names_the_gate(value: Any) -> None:
    with pytest.raises(InputError, match=r"^gate_bias\.hidden: "):
        NetworkSpec(gate_bias={"hidden": value})


def test_every_field_is_covered() -> None:
    assert set(INVALID) == {f.name for f in dataclasses.fields(NetworkSpec)}


def test_defaults() -> None:
    """The defaults of the public interface."""
    spec = NetworkSpec()
    assert dataclasses.asdict(spec) | {"gate_bias": {}} == {
        "cell": "rnn",
        "activation": "tanh",
        "slope": 1.0,
        "hidden_size": 64,
        "input_size": 64,
        "weight_scale": 1.0,
        "weights": "gaussian",
        "input_scale": 1.0,
        "bias_scale": 0.0,
        "gate_bias": {},
        "tied": True,
        "skip": 0.0,
        "branch": 1.0,
        "normalization": "none",
        "norm_scale": 1.0,
        "batch_size": 1,
        "precision": "float64",
    }
    assert dict(spec.gate_bias) == {}
    assert NetworkSpec(hidden_size=5).input_size == 5


def test_numbers_are_normalised() -> None:
    """NumPy and rational numbers are taken, and stored as Python's own, so that specs compare."""
    spec = NetworkSpec(
        hidden_size=np.int64(8), weight_scale=np.float32(0.5), slope=2, skip=Fraction(1, 4)
    )
    assert type(spec.hidden_size) is int
    assert type(spec.weight_scale) is float
    assert type(spec.slope) is float
    assert spec == NetworkSpec(hidden_size=8, weight_scale=0.5, slope=2.0, skip=0.25)
    spec = NetworkSpec(tied=np.False_, branch=Decimal("0.5"), gate_bias={"hidden": Fraction(1, 2)})
    assert type(spec.tied) is bool
    assert spec == NetworkSpec(tied=False, branch=0.5, gate_bias={"hidden": 0.5})


class Word(StrEnum):
    RELU = "relu"
    HIDDEN = "hidden"


@pytest.mark.parametrize("relu", [np.str_("relu"), Word.RELU], ids=["numpy", "enum"])
def test_words_are_normalised(relu: Any) -> None:
    """A word of a subclass of str is stored as the plain one, and gates' names likewise."""
    spec = NetworkSpec(activation=relu, gate_bias={Word.HIDDEN: 1.0})
    assert type(spec.activation) is str
    assert [type(gate) for gate in spec.gate_bias] == [str]
    assert spec.to_json() == NetworkSpec(activation="relu", gate_bias={"hidden": 1.0}).to_json()
    assert NetworkSpec.from_toml(spec.to_toml()) == spec


@pytest.mark.parametrize("name", ["weight_scale", "input_scale", "bias_scale", "skip"])
def test_equal_specs_are_written_alike(name: str) -> None:
    """Zero has no sign: specs that are equal, and so share what is kept by spec, are the same."""
    plus, minus = NetworkSpec(**{name: 0.0}), NetworkSpec(**{name: -0.0})
    assert plus == minus and plus.to_json() == minus.to_json()
    biased = NetworkSpec(gate_bias={"hidden": -0.0})
    assert biased.to_json() == NetworkSpec(gate_bias={"hidden": 0}).to_json()


class Unwritable:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("value", [10**5000, Unwritable()], ids=["integer", "object"])
def test_what_cannot_be_written_is_refused_by_its_type(value: Any) -> None:
    """Python does not write integers of more than 4300 digits."""
    with pytest.raises(InputError, match=f"^hidden_size: an object of type {type(value).__name__}"):
        NetworkSpec(hidden_size=value)


def test_frozen_and_keyword_only() -> None:
    spec = NetworkSpec()
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.slope = 2.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        NetworkSpec("rnn")  # type: ignore[misc]
    with pytest.raises(TypeError):
        spec.gate_bias["hidden"] = 1.0  # type: ignore[index]


def test_the_callers_mapping_is_copied() -> None:
    table = {"hidden": 1.0}
    spec = NetworkSpec(gate_bias=table)
    table["hidden"] = 2.0
    assert spec.gate_bias["hidden"] == 1.0


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(SPECS)
def test_round_trips_and_hash(spec: NetworkSpec) -> None:
    """JSON, TOML, dict, pickle and replace all give an equal spec with an equal hash."""
    copies = [
        NetworkSpec.from_json(spec.to_json()),
        NetworkSpec.from_toml(spec.to_toml()),
        NetworkSpec.from_dict(spec.to_dict()),
        pickle.loads(pickle.dumps(spec)),
        dataclasses.replace(spec),
    ]
    for copy in copies:
        assert copy == spec
        assert hash(copy) == hash(spec)
    assert json.loads(spec.to_json()) == tomllib.loads(spec.to_toml()) == spec.to_dict()
    assert dataclasses.replace(spec, weight_scale=spec.weight_scale + 1) != spec
    assert "\n" not in spec.to_json()


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(SPECS)
def test_every_valid_spec_can_be_measured(spec: NetworkSpec) -> None:
    """Anything that is accepted runs, and networks with status 0 have numbers."""
    products = ("trajectory", "gradient", "weights", "jacobian")
    data = measure(spec, networks=2, steps=4, products=products)
    assert set(np.unique(data.status)) <= {0, 1, 2}
    ok = data.isel(network=data.status.values == 0)
    for name in ("mean_derivative", "rate", "log_grad_W"):
        assert not np.isnan(ok[name]).any(), name


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    field=st.sampled_from(list(INVALID)),
    value=st.one_of(
        st.none(),
        st.booleans(),
        st.text(),
        st.binary(),
        st.integers(),
        st.floats(),
        st.lists(st.integers()),
        st.dictionaries(st.text(), st.text()),
        st.complex_numbers(),
    ),
)
def test_any_value_is_taken_or_refused_in_one_line(field: str, value: Any) -> None:
    """No value of any type ends in another exception than InputError."""
    try:
        spec = NetworkSpec(**{field: value})
    except InputError as error:
        assert_one_line(error, field)
    else:
        assert NetworkSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "text",
    [
        *("", "[", "[1]", "3", "null", "NaN", '{"slope": NaN}', '{"slope": 1e999}', '{"n": 3}'),
        *(None, 3, {"slope": 2.0}, NetworkSpec(), "[" * 10**5),
    ],
    ids=lambda text: str(text)[:24],
)
def test_invalid_json(text: Any) -> None:
    with pytest.raises(InputError) as caught:
        NetworkSpec.from_json(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["slope", "slope = nan", "hidden = 3", "[[a]]", 'cell = "CNN"'])
def test_invalid_toml(text: str) -> None:
    with pytest.raises(InputError) as caught:
        NetworkSpec.from_toml(text)
    assert "\n" not in str(caught.value)


def test_documents_with_a_byte_order_mark() -> None:
    """As Windows' editors write them, read as UTF-8."""
    spec = NetworkSpec(hidden_size=3, gate_bias={"hidden": 0.5})
    assert NetworkSpec.from_toml("\ufeff" + spec.to_toml()) == spec
    assert NetworkSpec.from_json("\ufeff" + spec.to_json()) == spec


@pytest.mark.parametrize("text", [None, 3, b"slope = 2", b"\xff\xfe\x00"])
@pytest.mark.parametrize("read", [NetworkSpec.from_toml, NetworkSpec.from_json])
def test_what_is_no_text_is_no_document(read: Any, text: Any) -> None:
    with pytest.raises(InputError) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_unknown_fields_list_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"hiden_size.*hidden_size"):
        NetworkSpec.from_dict({"hiden_size": 3})
