"""The textbook's remedies for vanishing gradients, each with its usual default and other settings.

Every remedy has one knob. Its first value is the usual default, the others are the grid on which
the best one is looked for. "PyTorch's weights" are U(-1/sqrt n, 1/sqrt n) for all weights and
biases; a weight scale beside them is a factor on the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any, NamedTuple

Fields = dict[str, Any]


class Knob(NamedTuple):
    """What is turned: the fields that a value v stands for, and how v and 1 - v are shown."""

    fields: Callable[[float], Fields]
    text: str


class Remedy(NamedTuple):
    """Name in the figure, fields common to all settings, the knob, and its values."""

    title: str
    common: Mapping[str, Any]
    knob: Knob
    values: tuple[float, ...]

    def fields(self, setting: int) -> Fields:
        """Fields of `NetworkSpec` at a setting."""
        return {**self.common, **self.knob.fields(self.values[setting])}

    def label(self, setting: int) -> str:
        """The setting in words."""
        value = self.values[setting]
        return self.knob.text.format(value, 1 - value)


SCALE = Knob(lambda v: {"weight_scale": v}, "weights \u00d7 {:.3g}")
SIGMA = Knob(lambda v: {"weight_scale": v}, "$\\sigma_w$ = {:.4g}")
FORGET = Knob(lambda v: {"gate_bias": {"forget": v}}, "forget bias {:g}")
UPDATE = Knob(lambda v: {"gate_bias": {"update": v}}, "update bias {:g}")
GAMMA = Knob(lambda v: {"norm_scale": v}, "$\\gamma$ = {:g}")
BRANCH = Knob(lambda v: {"skip": 1.0, "branch": v}, "h + {:g} f")
LEAK = Knob(lambda v: {"skip": 1 - v, "branch": v}, "{1:g} h + {0:g} f")
NONE = Knob(lambda v: {}, "at any threshold")

PYTORCH = {"weights": "pytorch"}
BATCH = {**PYTORCH, "batch_size": 16}
IDENTITY = {"weights": "identity", "activation": "relu", "input_scale": 0.008}
"""Le, Jaitly and Hinton 2015: W the identity, input weights of sd 0.001 (0.008 / sqrt 64).

Here h_0 ~ N(0, 1): units that start positive hardly ever turn off while inputs are so small."""
APART = {**BATCH, "normalization": "batch-separate"}
"""Cooijmans et al. 2017: W h and U x normalised apart, gamma = 0.1.

"LSTM, batch norm apart" leaves out a part of theirs: they also normalise the cell where the output
is read from it, h = o tanh(N(c))."""

RELU_SCALES = (1, 1.5, 2, 2.2, 2.3, 2.4, 2.5, 3)
GAMMAS = (1, 0.1, 0.5, 2, 2.5, 3, 3.5, 4)
SHARES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)

REMEDIES: dict[str, Remedy] = {
    "tanh": Remedy("tanh (baseline)", PYTORCH, SCALE, (1, 1.5, 2, 2.25, 2.5, 2.75, 3, 3.5)),
    "sigmoid": Remedy(
        "sigmoid", {**PYTORCH, "activation": "sigmoid"}, SCALE, (1, 4, 8, 12, 16, 18, 20, 24)
    ),
    "relu": Remedy("ReLU", {**PYTORCH, "activation": "relu"}, SCALE, RELU_SCALES),
    "leaky relu": Remedy("leaky ReLU", {**PYTORCH, "activation": "leaky_relu"}, SCALE, RELU_SCALES),
    "relu he": Remedy(
        "ReLU, He", {"activation": "relu"}, SIGMA, (sqrt(2.0), 1, 1.2, 1.3, 1.33, 1.36, 1.39, 1.5)
    ),
    "orthogonal": Remedy(
        "orthogonal, tanh", {"weights": "orthogonal"}, SIGMA, (1, 1.2, 1.4, 1.6, 1.8, 1.9, 2, 2.2)
    ),
    "identity relu": Remedy(
        "identity, ReLU", IDENTITY, SIGMA, (1, 0.98, 0.99, 0.995, 0.998, 1.002, 1.005, 1.01)
    ),
    "lstm": Remedy("LSTM", {**PYTORCH, "cell": "lstm"}, FORGET, (0, 1, 2, 2.5, 3, 3.5, 4, 6)),
    "gru": Remedy("GRU", {**PYTORCH, "cell": "gru"}, UPDATE, (0, 1, 2, 3, 4, 5, 6, 8)),
    "batch norm": Remedy("batch norm", {**BATCH, "normalization": "batch"}, GAMMA, GAMMAS),
    "batch norm apart": Remedy(
        "batch norm apart", APART, GAMMA, (0.1, 0.3, 1, 1.5, 1.75, 2, 2.5, 3)
    ),
    "lstm batch norm apart": Remedy(
        "LSTM, batch norm apart",
        {**APART, "cell": "lstm", "norm_scale": 0.1},
        FORGET,
        (0, 0.5, 1, 1.5, 2, *([0] * 3)),
    ),
    "layer norm": Remedy("layer norm", {**PYTORCH, "normalization": "layer"}, GAMMA, GAMMAS),
    "residual": Remedy("residual", PYTORCH, BRANCH, (1, *SHARES)),
    "leaky": Remedy("leaky units", PYTORCH, LEAK, (0.1, *(v for v in SHARES if v != 0.1), 0.3)),
    "clipping": Remedy("clipping", PYTORCH, NONE, (0.0,) * 8),
}
"""By name. All have eight settings; one that is repeated to fill them up is measured once."""
