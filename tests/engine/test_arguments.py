"""The arguments of `measure` and `sample`: any value is taken, or refused in one line."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradhorizon.engine import InputError, NetworkSpec, measure, sample

SPEC = NetworkSpec(hidden_size=2)

numbers = st.sampled_from([-(2**70), -1, 0, 1, 2, 3, 2**31, 2**63, 2**64, 10**400, np.int8(-1)])
words = st.sampled_from(["gradient", "weights", "states", "last", "every", "zero", "cpu", "norm"])
ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    numbers,
    st.floats(),
    words | st.text(),
    st.binary(),
    st.lists(words | numbers | st.none() | st.lists(numbers)),
    st.dictionaries(words | st.text(), numbers | st.floats() | st.lists(st.floats())),
    st.complex_numbers(),
    st.sampled_from([np.zeros((1, 4, 2)), np.zeros((2, 9, 2), bool), np.full((1, 4, 2), np.nan)]),
)
ARGUMENTS = (
    *("networks", "steps", "seed", "inputs", "products", "burn_in", "loss", "keep", "clip"),
    *("exponents", "device", "workers"),
)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(field=st.sampled_from(ARGUMENTS), value=ANYTHING)
@example(field="clip", value={"norm": 10**400})
@example(field="clip", value={"norm": np.array(1.0), "value": np.array([1.0, 2.0])})
@example(field="clip", value={"norm": np.zeros((1, 1))})
@example(field="clip", value={"norm": b"1"})
def test_any_argument_is_taken_or_refused_in_one_line(field: str, value: Any) -> None:
    """No value of any type ends in another exception than InputError, which names the argument."""
    arguments: dict[str, Any] = {"networks": 2, "steps": 4, "products": ("weights",)}
    arguments[field] = value
    try:
        data = measure(SPEC, **arguments)
    except InputError as error:
        assert str(error).startswith(field) and "\n" not in str(error)
    else:
        assert data.sizes["network"] == arguments["networks"]


@pytest.mark.parametrize(
    "threshold",
    [
        *(Fraction(1, 10**400), Decimal("1e-400"), Decimal("nan"), np.timedelta64(1)),
        *(np.array([5], "m8[ns]"), np.array([5], "M8[ns]"), np.array(5, "m8[ns]"), np.ma.masked),
        np.ma.masked_array([1.0, 2.0], [False, True]),
    ],
    ids=lambda threshold: repr(threshold)[:30],
)
def test_thresholds_that_no_float_has_are_refused(threshold: Any) -> None:
    with pytest.raises(InputError, match=r"^clip.norm: .*a finite number > 0$"):
        measure(SPEC, networks=1, steps=4, products=("weights",), clip={"norm": threshold})


def test_thresholds_of_any_kind_of_number_that_differ_have_different_labels() -> None:
    thresholds = [Fraction(3, 10), 0.1 + 0.2, Decimal(2), np.float32(0.5)]
    clip = {"norm": thresholds}
    data = measure(SPEC, networks=1, steps=4, products=("weights",), clip=clip)
    np.testing.assert_array_equal(data.clip_threshold, [0.3, 0.1 + 0.2, 2.0, 0.5])
    labels = ["norm 0.3", "norm 0.30000000000000004", "norm 2", "norm 0.5"]
    assert list(data["clip"].values) == labels


def test_names_may_come_one_by_one() -> None:
    data = measure(SPEC, networks=2, steps=4, products=(name for name in ("gradient", "weights")))
    assert {"rate", "log_grad_W"} <= set(data.data_vars)


@pytest.mark.parametrize("function", [measure, sample])
@pytest.mark.parametrize("spec", [None, 1, "rnn", {"cell": "rnn"}, np.zeros(3)], ids=type)
def test_what_is_no_specification_is_refused(function: Any, spec: Any) -> None:
    with pytest.raises(InputError, match=r"^spec: .* is not allowed"):
        function(spec, networks=1, steps=3)
