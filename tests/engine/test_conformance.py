"""One suite for every architecture: all products against the naive reference."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import reference
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure, sample
from gradhorizon.engine.spec import CHOICES
from gradhorizon.engine.spectrum import VARIABLES

PRODUCTS = ("trajectory", "gradient", "weights", "jacobian", "lyapunov")
KEEP = ("states", "gradients")
STEPS, NETWORKS = 9, 3

SKIPS = {"plain": (0.0, 1.0, 0.8), "residual": (1.0, 1.0, 0.4), "leaky": (0.7, 0.3, 0.8)}
"""skip, branch, weight_scale; no chain grows so fast that rounding would hide an error."""

GATE_BIAS = {"lstm": {"forget": 0.5}, "gru": {"update": -1.0}}
"""Keeps the state of a residual GRU, which grows by 1 + u at every step, from saturating it."""

LOOSEST = 1e4
"""Errors allowed at most, in units of the format's rounding: worse conditioned chains could hide a
mistake, and no test uses one."""


def architecture(cell: str, normalization: str = "none", activation: str = "tanh") -> dict:
    """Fields of a spec whose every constant differs from the value that would do nothing."""
    return dict(
        cell=cell,
        activation=activation,
        slope=0.9 if cell == "rnn" else 1.0,
        normalization=normalization,
        norm_scale=0.8 if normalization != "none" else 1.0,
        bias_scale=0.3,
        gate_bias=GATE_BIAS.get(cell, {}),
    )


def cases() -> list[Any]:
    """(architecture, batch size): every activation, and every cell with every normalisation.

    Batches normalised over their sequences have four of them: with two, nothing but signs is
    left, and three leave one direction, so that little remains of a gradient but rounding.
    """
    found = [("rnn", "none", activation) for activation in CHOICES["activation"]]
    for cell in CHOICES["cell"]:
        for activation in ("tanh", "relu") if cell == "rnn" else ("tanh",):
            for normalization in CHOICES["normalization"]:
                found.append((cell, normalization, activation))
    return [
        pytest.param(architecture(*names), batch, id=f"{'-'.join(names)}-{batch}")
        for names in dict.fromkeys(found)
        for batch in ((4,) if names[1].startswith("batch") else (1, 3))
    ]


GROWTH = 1e-10
"""Error allowed of exp(exponent): one interval may cost eight digits, which the reference keeps."""

ELSEWHERE = set(VARIABLES) - {"lyapunov_exponent", "entropy_rate"}
"""What follows from Lyapunov exponents: `test_lyapunov` holds it to its definitions."""


class Case(NamedTuple):
    """An ensemble, what the reference says of it, and the error that rounding allows."""

    ensemble: xr.Dataset
    expected: dict[str, np.ndarray]
    tolerance: dict[str, float]


def understood(ensemble: xr.Dataset) -> Case | None:
    """The reference's answer, if rounding leaves anything of it.

    None where a gradient is exactly zero (dead units), or worse conditioned than `LOOSEST`: a
    pre-activation within rounding of a kink, say, where the side that it falls on is chance, and
    the derivative with it.
    """
    precision = NetworkSpec.from_json(ensemble.attrs["spec"]).precision
    unit_roundoff = float(np.finfo(precision).eps) / 2
    expected = reference.measure(ensemble)
    error = reference.rounding_error(ensemble, unit_roundoff, expected)
    dead = not np.isfinite(expected["log_gradient"]).all()
    conditioned = [e for name, e in error.items() if name != "lyapunov_exponent"]
    if dead or not max(conditioned) < LOOSEST * unit_roundoff:
        return None
    usual = dict.fromkeys(expected, 1e-12) | {"lyapunov_exponent": GROWTH}
    tolerance = error if precision == "float32" else usual
    return Case(ensemble, expected, tolerance)


def draw(spec: NetworkSpec, networks: int, steps: int, **options: Any) -> Case:
    """The first ensemble of seeds 11, 12, ... that is understood."""
    found = (understood(sample(spec, networks, steps, seed, **options)) for seed in range(11, 21))
    return next(case for case in found if case is not None)


def compare(data: xr.Dataset, case: Case) -> None:
    """Hold every variable of a measurement to the reference."""
    assert (data.status == 0).all()
    assert set(data.data_vars) - {"status", *ELSEWHERE} == set(case.expected)
    for name, want in case.expected.items():
        assert data[name].shape == want.shape, name
        assert reference.deviation(name, data[name], want) <= case.tolerance[name], name


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("skip", SKIPS)
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("fields, batch_size", cases())
def test_products_equal_the_reference(
    fields: dict, batch_size: int, tied: bool, skip: str, precision: str
) -> None:
    """All variables of all products, and the arrays themselves."""
    keep_h, branch, weight_scale = SKIPS[skip]
    spec = NetworkSpec(
        hidden_size=7 if fields["cell"] == "rnn" else 4,
        input_size=4,
        weight_scale=weight_scale,
        tied=tied,
        skip=keep_h,
        branch=branch,
        batch_size=batch_size,
        precision=precision,
        **fields,
    )
    loss = "every" if batch_size > 1 else "last"
    case = draw(spec, NETWORKS, STEPS, burn_in=2 if tied else 1, loss=loss)
    compare(measure(case.ensemble, products=PRODUCTS, keep=KEEP), case)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 17, 33])
def test_any_size_equals_the_reference(size: int) -> None:
    """Sizes on both sides of every unrolled loop, inputs of another size."""
    spec = NetworkSpec(hidden_size=size, input_size=size % 3 + 1, batch_size=2, weight_scale=0.7)
    case = draw(spec, 2, 6)
    compare(measure(case.ensemble, products=PRODUCTS, keep=KEEP), case)


@pytest.mark.parametrize("size, batch_size", [(3, 9), (4, 5), (8, 3), (9, 1)])
@pytest.mark.parametrize("normalization", CHOICES["normalization"])
@pytest.mark.parametrize("cell", CHOICES["cell"])
def test_any_shape_equals_the_reference(
    cell: str, normalization: str, size: int, batch_size: int
) -> None:
    """Few units and many sequences, and the other way round."""
    if normalization.startswith("batch") and batch_size < 4:
        batch_size = 6
    spec = NetworkSpec(
        hidden_size=size,
        input_size=3,
        batch_size=batch_size,
        weight_scale=0.7,
        skip=0.6,
        branch=0.5,
        **architecture(cell, normalization),
    )
    case = draw(spec, 1, 3)
    compare(measure(case.ensemble, products=PRODUCTS, keep=KEEP), case)


@pytest.mark.parametrize("normalization", CHOICES["normalization"])
@pytest.mark.parametrize("cell", CHOICES["cell"])
def test_without_inputs(cell: str, normalization: str) -> None:
    """Nothing enters but the initial state: no term of dL/dU is left."""
    fields = architecture(cell, normalization)
    spec = NetworkSpec(hidden_size=5, input_size=2, batch_size=4, weight_scale=1.1, **fields)
    arguments = dict(networks=2, steps=5, seed=8, inputs="zero")
    data = measure(spec, products=PRODUCTS, keep=KEEP, **arguments)
    assert (data.grad_U == 0).all() and (data.log_grad_U == -np.inf).all()
    compare(data, understood(sample(spec, **arguments)))


@pytest.mark.parametrize("loss", ["last", "every"])
@pytest.mark.parametrize("burn_in", [0, 3])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("cell", CHOICES["cell"])
def test_window_and_loss(cell: str, loss: str, burn_in: int, tied: bool) -> None:
    """Where the loss acts and what burn-in leaves out."""
    spec = NetworkSpec(cell=cell, hidden_size=5, tied=tied, batch_size=2, weight_scale=0.9)
    arguments = dict(networks=2, steps=6, seed=3, burn_in=burn_in, loss=loss)
    case = understood(sample(spec, **arguments))
    assert case.ensemble.sizes["step"] == 6 + burn_in
    compare(measure(spec, products=PRODUCTS, keep=KEEP, **arguments), case)
