"""`NetworkSpec`: what a random network is. The only place where its fields are checked."""

from __future__ import annotations

import contextlib
import json
import math
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from ..kernels.activations import ACTIVATIONS
from ..kernels.cells import CELLS
from ..kernels.norms import BATCH, LAYER, NORMALIZATIONS
from ..kernels.precision import FORMATS
from .errors import InputError, Shown, listed

WEIGHTS = ("gaussian", "orthogonal", "uniform", "identity", "pytorch")

CHOICES: dict[str, tuple[str, ...]] = {
    "cell": tuple(CELLS),
    "activation": tuple(ACTIVATIONS),
    "weights": WEIGHTS,
    "normalization": tuple(NORMALIZATIONS),
    "precision": tuple(FORMATS),
}
SIZES = ("hidden_size", "input_size", "batch_size")
LARGEST_SIZE = 2**20


class Rule(NamedTuple):
    """Which finite numbers a field may have."""

    allowed: str
    holds: Callable[[float], bool]


ANY = Rule("a finite number", lambda x: True)
NOT_NEGATIVE = Rule("a finite number >= 0", lambda x: x >= 0)
# factors that are divided by, so that their inverse must exist in either precision
POSITIVE = Rule("a number from 1e-30 to 1e30", lambda x: 1e-30 <= x <= 1e30)
NOT_ZERO = Rule("a number of magnitude 1e-30 to 1e30", lambda x: 1e-30 <= abs(x) <= 1e30)

NUMBERS: dict[str, Rule] = {
    "slope": POSITIVE,
    "weight_scale": NOT_NEGATIVE,
    "input_scale": NOT_NEGATIVE,
    "bias_scale": NOT_NEGATIVE,
    "skip": ANY,
    "branch": NOT_ZERO,
    "norm_scale": POSITIVE,
}


class GateBias(Mapping[str, float]):
    """An immutable, hashable mapping from gate names to additions to their biases."""

    def __init__(self, items: Mapping[str, float]) -> None:
        self._items = dict(sorted(items.items()))

    def __getitem__(self, gate: str) -> float:
        return self._items[gate]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(tuple(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """A distribution of random recurrent networks.

    net_t = N(W h_{t-1} + U x_t) + b, h_t = skip h_{t-1} + branch f(net_t, h_{t-1}). N is the
    normalization; f is phi(slope net_t) for the ``rnn`` cell, and stands in its file for others.

    Attributes
    ----------
    cell : str
        Architecture, one of the files of `kernels.cells`.
    activation : str
        Nonlinearity phi of the ``rnn`` cell; those of other cells are fixed.
    slope : float
        a > 0 in phi(a z): makes the derivative bound a sup|phi'| a continuous axis (``rnn``).
    hidden_size, input_size : int
        Numbers of units n and of input features m; m = n unless given.
    weight_scale : float
        sigma_w >= 0: W_ij ~ N(0, sigma_w^2 / n), each gate its own block.
    weights : str
        Ensemble of W: ``gaussian``; ``orthogonal`` (sigma_w times a Haar matrix); ``uniform``
        (the same variance); ``identity`` (sigma_w I); ``pytorch`` (entries of W, U and of both
        biases of a gate U(-1/sqrt n, 1/sqrt n), W and U multiplied by their scales).
    input_scale : float
        sd of the input weights, U_ij ~ N(0, input_scale^2 / m).
    bias_scale : float
        sd of the biases.
    gate_bias : mapping
        Fixed additions to the bias per gate, e.g. ``{"forget": 1.0}`` (``lstm``: input, forget,
        cell, output; ``gru``: reset, update, candidate; PyTorch's conventions).
    tied : bool
        False: fresh weights at every step, the deep feed-forward net of that depth.
    skip, branch : float
        (1, 1) is the residual net, (1 - d, d) the leaky RNN; branch is not 0. They act on h.
    normalization : str
        ``none``; ``batch``, of every gate and unit over the sequences; ``layer``, of every gate
        and sequence over the units; ``batch-separate``, of the recurrent and of the input term by
        itself. Statistics are those of the step (training mode). Terms that a cell takes apart
        (``gru``: candidate) are normalised apart.
    norm_scale : float
        gamma, which multiplies normalised terms; the shift is the bias.
    batch_size : int
        Sequences per network; at least 2 with batch normalisation.
    precision : str
        ``float64`` or ``float32``.

    Raises
    ------
    InputError
        Naming the field, the value and what is allowed.
    """

    cell: str = "rnn"
    activation: str = "tanh"
    slope: float = 1.0
    hidden_size: int = 64
    input_size: int = 0
    weight_scale: float = 1.0
    weights: str = "gaussian"
    input_scale: float = 1.0
    bias_scale: float = 0.0
    gate_bias: Mapping[str, float] = field(default_factory=dict)
    tied: bool = True
    skip: float = 0.0
    branch: float = 1.0
    normalization: str = "none"
    norm_scale: float = 1.0
    batch_size: int = 1
    precision: str = "float64"

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        for name, allowed in CHOICES.items():
            set_field(self, name, _check_choice(name, getattr(self, name), allowed))
        set_field(
            self, "hidden_size", check_integer("hidden_size", self.hidden_size, 1, LARGEST_SIZE)
        )
        if _is(Integral, self.input_size) and self.input_size == 0:
            set_field(self, "input_size", self.hidden_size)
        for name in SIZES:
            set_field(self, name, check_integer(name, getattr(self, name), 1, LARGEST_SIZE))
        for name, rule in NUMBERS.items():
            set_field(self, name, _check_number(name, getattr(self, name), rule))
        if not isinstance(self.tied, bool | np.bool_):
            raise InputError("tied", self.tied, "true or false")
        set_field(self, "tied", bool(self.tied))
        set_field(self, "gate_bias", self._checked_gate_bias())
        self._check_combination()

    def _checked_gate_bias(self) -> GateBias:
        gates = CELLS[self.cell].gates
        if not isinstance(self.gate_bias, Mapping):
            raise InputError("gate_bias", self.gate_bias, "a table of gate names and numbers")
        return GateBias(
            {
                _check_choice("gate_bias", gate, gates): _check_number(
                    f"gate_bias.{gate}", value, ANY
                )
                for gate, value in self.gate_bias.items()
            }
        )

    def _check_combination(self) -> None:
        """Refuse fields that have no meaning beside others."""
        cell, kind = CELLS[self.cell], NORMALIZATIONS[self.normalization].kind
        if not cell.activations and self.activation != "tanh":
            allowed = f"tanh, for the nonlinearities of cell {self.cell!r} are fixed"
            raise InputError("activation", self.activation, allowed)
        if "slope" not in cell.parameters and self.slope != 1:
            raise InputError("slope", self.slope, f"1 for cell {self.cell!r}, which has no slope")
        if not kind and self.norm_scale != 1:
            raise InputError("norm_scale", self.norm_scale, "1 without a normalization")
        least = {BATCH: "batch_size", LAYER: "hidden_size"}.get(kind)
        if least and getattr(self, least) < 2:
            allowed = f"at least 2 with normalization {self.normalization!r}"
            raise InputError(least, getattr(self, least), allowed)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetworkSpec:
        """Build a spec from a mapping of fields; unknown fields are an `InputError`."""
        known = [f.name for f in fields(cls)]
        for name in values:
            if name not in known:
                raise InputError("field", name, listed(known))
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["gate_bias"] = dict(self.gate_bias)
        return values

    @classmethod
    def from_json(cls, text: str) -> NetworkSpec:
        """Inverse of `to_json`."""
        return cls.from_dict(_table(text, json.loads, "JSON"))

    def to_json(self) -> str:
        """All fields as a JSON object in one line."""
        return json.dumps(self.to_dict(), allow_nan=False)

    @classmethod
    def from_toml(cls, text: str) -> NetworkSpec:
        """Inverse of `to_toml`."""
        return cls.from_dict(_table(text, tomllib.loads, "TOML"))

    def to_toml(self) -> str:
        """All fields as a TOML document."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())


def _table(text: str, parse: Any, language: str) -> Mapping[str, Any]:
    allowed = f"a {language} document"
    if not isinstance(text, str):
        raise InputError("spec", text, allowed)
    try:
        values = parse(text.removeprefix("\ufeff"))  # the mark of a file read as UTF-8
    except (ValueError, RecursionError) as error:
        raise InputError("spec", Shown(error), allowed) from None
    if not isinstance(values, dict):
        raise InputError("spec", values, f"a {language} table of fields")
    return values


def _check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> str:
    """The word of `allowed` that equals `value`, which may be of a subclass of str."""
    if isinstance(value, str):
        for word in allowed:
            if word == value:
                return word
    raise InputError(name, value, listed(allowed))


def check_integer(name: str, value: Any, low: int, high: int) -> int:
    """`value` as an int between `low` and `high`, or an `InputError`."""
    if _is(Integral, value) and low <= int(value) <= high:
        return int(value)
    raise InputError(name, value, f"an integer from {low} to {high}")


def _is(kind: Any, value: Any) -> bool:
    """Whether a value is a number of a kind: Python counts truth among them, numpy time spans."""
    return isinstance(value, kind) and not isinstance(value, bool | np.timedelta64)


def _check_number(name: str, value: Any, rule: Rule) -> float:
    number = as_float(value)
    if not math.isfinite(number) or not rule.holds(number):
        raise InputError(name, value, rule.allowed)
    return number


def as_float(value: Any) -> float:
    """A real number as a float; NaN for anything else. Zero has no sign: equal specs are equal."""
    number = math.nan
    if _is(Real | Decimal, value):
        # an integer beyond every float; a decimal that is a signalling NaN
        with contextlib.suppress(OverflowError, ValueError):
            number = float(value) + 0.0
    return number
