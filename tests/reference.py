"""The networks once more, written naively from the equations: what the compiled code is held to.

Written forward only and once for every architecture: `CELLS` has the equations of each cell, `step`
puts the linear maps, the normalisation and the skip connection around them. All derivatives follow
by the complex-step method (Squire and Trapp 1998): with an input moved by i e, e = 1e-30, the
imaginary part of a result is e times its derivative, exact to rounding since nothing is subtracted.

All arithmetic is float64 NumPy. Functions take the dataset of `gradhorizon.engine.sample`, or one
`Network` of it. Nothing here rescales: keep chains short.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy import special

Array = np.ndarray
TINY = 1e-30
LARGEST = 2**22  # numbers in an array of variants


def _silu_derivative(z: Array) -> Array:
    s = special.expit(z)
    return s * (1 + z * special.expit(-z))


def _gelu_derivative(z: Array) -> Array:
    return special.ndtr(z) + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "linear": (lambda z: z, lambda z: np.ones_like(z)),
    "tanh": (np.tanh, lambda z: 4 * special.expit(2 * z) * special.expit(-2 * z)),
    "sigmoid": (special.expit, lambda z: special.expit(z) * special.expit(-z)),
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.heaviside(z, 0.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
    "softplus": (lambda z: np.logaddexp(0, z), special.expit),
    "elu": (
        lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
        lambda z: np.exp(np.minimum(z, 0)),
    ),
    "gelu": (lambda z: z * special.ndtr(z), _gelu_derivative),
    "silu": (lambda z: z * special.expit(z), _silu_derivative),
    "erf": (special.erf, lambda z: 2 / np.sqrt(np.pi) * np.exp(-z * z)),
    "hard_tanh": (lambda z: np.clip(z, -1, 1), lambda z: (np.abs(z) < 1).astype(float)),
    "sin": (np.sin, np.cos),
}
"""Name -> (phi, phi') of a real argument."""


def activate(name: str, z: Array) -> Array:
    """phi of z (T, P, ...) to first order in its imaginary part; kinks need no care so.

    The P variants of a step differ in their imaginary parts alone.
    """
    phi, dphi = ACTIVATIONS[name]
    real = z.real[:, :1]
    return phi(real) + 1j * z.imag * dphi(real)


class Cell(NamedTuple):
    """An architecture: ``step(spec, z, s)`` gives the new slots from pre-activations and slots.

    `z` has one entry per gate, W h + U x + b. A gate listed in `apart` has a pair of them, its
    recurrent term, with a bias of its own, and its input term. A gate in `input_only` reads no h.
    """

    gates: tuple[str, ...]
    slots: tuple[str, ...]
    step: Callable[..., tuple[Array, ...]]
    apart: tuple[str, ...] = ()
    input_only: tuple[str, ...] = ()


def _rnn(spec: dict, z: dict[str, Any], s: dict[str, Array]) -> tuple[Array, ...]:
    """Elman 1990."""
    return (activate(spec["activation"], spec["slope"] * z["hidden"]),)


def _lstm(spec: dict, z: dict[str, Any], s: dict[str, Array]) -> tuple[Array, ...]:
    """Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000."""
    i, f, o = (activate("sigmoid", z[gate]) for gate in ("input", "forget", "output"))
    c = f * s["cell"] + i * activate("tanh", z["cell"])
    return o * activate("tanh", c), c


def _gru(spec: dict, z: dict[str, Any], s: dict[str, Array]) -> tuple[Array, ...]:
    """Cho et al. 2014 with the reset gate after the matrix, as in cuDNN and PyTorch."""
    r, u = activate("sigmoid", z["reset"]), activate("sigmoid", z["update"])
    recurrent, driven = z["candidate"]
    new = activate("tanh", driven + r * recurrent)
    return (activate("sigmoid", -z["update"]) * new + u * s["h"],)  # 1 - u cancels near u = 1


SLOTS = {"h": "state", "cell": "cell_state"}
"""Names of the slots in datasets."""


def _minimal_rnn(spec: dict, z: dict[str, Array], s: dict[str, Array]) -> tuple[Array, ...]:
    """Chen, Pennington and Schoenholz 2018."""
    keep, write = activate("sigmoid", z["update"]), activate("sigmoid", -z["update"])
    return (keep * s["h"] + write * activate("tanh", z["candidate"]),)


CELLS: dict[str, Cell] = {
    "rnn": Cell(("hidden",), ("h",), _rnn),
    "lstm": Cell(("input", "forget", "cell", "output"), ("h", "cell"), _lstm),
    "gru": Cell(("reset", "update", "candidate"), ("h",), _gru, apart=("candidate",)),
    "minimal_rnn": Cell(("update", "candidate"), ("h",), _minimal_rnn, input_only=("candidate",)),
}


class Network(NamedTuple):
    """One network of an ensemble, in float64, its weights listed step by step."""

    spec: dict
    burn_in: int
    W: Array  # (T, G, n, n), T = burn_in + steps
    U: Array  # (T, G, n, m)
    b: Array  # (T, G, n)
    b_recurrent: Array  # (T, gates apart, n)
    x: Array  # (T, B, m)
    start: Array  # (S, B, n)
    v: Array  # (T, B, n): dL/dh_t, zero where the loss has no term

    @property
    def cell(self) -> Cell:
        return CELLS[self.spec["cell"]]

    @property
    def steps(self) -> int:
        return len(self.x) - self.burn_in


def networks(ensemble: xr.Dataset) -> list[Network]:
    """All networks of an ensemble."""
    spec, burn_in = json.loads(ensemble.attrs["spec"]), int(ensemble.attrs["burn_in"])
    cell, T, n = CELLS[spec["cell"]], ensemble.sizes["step"], spec["hidden_size"]
    found = []
    for k in range(ensemble.sizes["network"]):
        one = ensemble.isel(network=k).astype(float)
        none = np.zeros((0, n) if spec["tied"] else (T, 0, n))
        weights = [one.W.values, one.U.values, one.b.values]
        weights.append(one.b_recurrent.values if cell.apart else none)
        if spec["tied"]:
            weights = [np.array([a] * T) for a in weights]
        start = np.array([one[f"initial_{SLOTS[slot]}"].values for slot in cell.slots])
        x = one.input.transpose("step", ...).values
        v = np.zeros((T, *start.shape[1:]))
        if ensemble.attrs["every"]:
            v[burn_in:] = one.readout_gradient.transpose("loss_step", ...).values
        else:
            v[-1] = one.readout_gradient.values
        found.append(Network(spec, burn_in, *weights, x, start, v))
    return found


Rounding = Callable[[Array], Array]
"""What becomes of an array (T, P, ...) of intermediate results: nothing, or simulated rounding."""


def exact(array: Array) -> Array:
    return array


def step(spec: dict, part: dict[str, Array], rounded: Rounding = exact) -> Array:
    """New slots (T, P, S, B, n) of steps T and variants P, from `part`.

    state (T, P, S, B, n), x (T, P, B, m), W (T, P, G, n, n), U, b, b_recurrent, and
    shift (T, P, B, G, n), which is added to the pre-activations with the input term.
    """
    cell, z = CELLS[spec["cell"]], {}
    state = rounded(part["state"])
    s = {name: state[:, :, a] for a, name in enumerate(cell.slots)}
    W, U = rounded(part["W"]), rounded(part["U"])
    for g, gate in enumerate(cell.gates):
        recurrent = rounded(np.einsum("tpij,tpbj->tpbi", W[:, :, g], s["h"]))
        recurrent = 0 * recurrent if gate in cell.input_only else recurrent
        driven = rounded(np.einsum("tpij,tpbj->tpbi", U[:, :, g], part["x"]))
        bias = part["b"][:, :, None, g] + part["shift"][:, :, :, g]
        apart = gate in cell.apart
        if apart or spec["normalization"].endswith("separate"):
            recurrent, driven = (rounded(normalised(spec, a)) for a in (recurrent, driven))
        else:
            recurrent, driven = 0.0, rounded(normalised(spec, recurrent + driven))
        if apart:
            own_bias = part["b_recurrent"][:, :, None, cell.apart.index(gate)]
            z[gate] = recurrent + own_bias, driven + bias
        else:
            z[gate] = recurrent + driven + bias
    h, *others = cell.step(spec, z, s)
    h = spec["skip"] * s["h"] + spec["branch"] * h
    return np.stack([h, *others], axis=2)


def normalised(spec: dict, z: Array) -> Array:
    """gamma (z - mean) / sqrt(var + 1e-5) over sequences or units of z (T, P, B, n).

    Ioffe and Szegedy 2015; Ba, Kiros and Hinton 2016.
    """
    if spec["normalization"] == "none":
        return z
    axis = 3 if spec["normalization"] == "layer" else 2
    centred = z - z.mean(axis=axis, keepdims=True)
    variance = (centred * centred).mean(axis=axis, keepdims=True)
    return spec["norm_scale"] * centred / np.sqrt(variance + 1e-5)


class Passage:
    """A network run forward: its states, and derivatives of each of its steps.

    states : (T + 1, S, B, n), the first one is the initial one.
    """

    def __init__(self, net: Network, rounded: Rounding = exact) -> None:
        self.net, self.rounded = net, rounded
        self.states = np.zeros((len(net.x) + 1, *net.start.shape))
        self.states[0] = net.start
        for t in range(len(net.x)):
            part = {name: a[t : t + 1, None] for name, a in self._inputs().items()}
            self.states[t + 1] = step(net.spec, part, rounded)[0, 0].real

    def _inputs(self) -> dict[str, Array]:
        """What enters each step, step axis first."""
        net = self.net
        names = ("W", "U", "b", "b_recurrent", "x")
        shift = np.zeros((len(net.x), net.x.shape[1], *net.b.shape[1:]))
        return {name: getattr(net, name) for name in names} | {
            "state": self.states[:-1],
            "shift": shift,
        }

    def derivative(self, name: str) -> Array:
        """Derivatives of the new slots of each step by every number that enters under a name.

        (T, P, S, B, n), P the numbers of ``state``, ``shift``, ``W``, ... in C order.
        """
        part = {key: a[:, None] for key, a in self._inputs().items()}
        steps, _, *shape = part[name].shape
        size = math.prod(shape)
        found = []
        for some in np.array_split(np.eye(size), steps * size**2 // LARGEST + 1):
            moves = 1j * TINY * some.reshape(len(some), *shape)
            moved = part | {name: part[name] + moves}
            found.append(step(self.net.spec, moved, self.rounded).imag / TINY)
        return np.concatenate(found, axis=1)

    @cached_property
    def jacobians(self) -> Array:
        """ds_t/ds_{t-1} (T, S B n, S B n) over all slots of all sequences, for fixed inputs."""
        size = self.net.start.size
        return self.derivative("state").reshape(-1, size, size).swapaxes(1, 2)

    @cached_property
    def cotangents(self) -> Array:
        """dL/ds_t after each step (T, S, B, n) by the chain rule; zero before the window."""
        net = self.net
        found = np.zeros((len(net.x), *net.start.shape))
        jacobians, cotangent = self.jacobians, np.zeros(net.start.shape)
        for t in range(len(net.x) - 1, net.burn_in - 1, -1):
            cotangent[0] += net.v[t]
            found[t] = cotangent
            cotangent = (jacobians[t].T @ cotangent.ravel()).reshape(cotangent.shape)
        return found

    def terms(self, name: str) -> Array:
        """dL/d(name) of every measured step; for tied weights the sum of the steps counts."""
        shape = self._inputs()[name].shape
        if not math.prod(shape):
            return np.zeros(shape)[self.net.burn_in :]
        each = np.einsum("tpabi,tabi->tp", self.derivative(name), self.cotangents)
        return each.reshape(shape)[self.net.burn_in :]


def forward(net: Network) -> Array:
    """States h (T + 1, B, n); the first one is the initial one."""
    return Passage(net).states[:, 0]


def loss(net: Network) -> float:
    """L = sum over sequences and steps of v . h."""
    return float(np.sum(net.v * forward(net)[1:]))


def bptt_terms(net: Network) -> dict[str, Array]:
    """dL/dW_t, dL/dU_t, ... of every measured step."""
    passage = Passage(net)
    return {name: passage.terms(name) for name in ("W", "U", "b", "b_recurrent")}


def jacobian_products(passage: Passage) -> Array:
    """ds_{t0+lag}/ds_{t0} (lag, S B n, S B n), t0 after the first measured step."""
    jacobians = passage.jacobians[passage.net.burn_in :]
    products = [np.eye(jacobians.shape[1])]
    for J in jacobians[1:]:
        products.append(J @ products[-1])
    return np.array(products)


def measure(ensemble: xr.Dataset, rounding: Callable[[Network], Rounding] | None = None) -> dict:
    """Every variable of every product, network axis first, and the kept arrays."""
    rows = []
    for net in networks(ensemble):
        passage = Passage(net, rounding(net) if rounding else exact)
        with np.errstate(divide="ignore"):
            parts = (_trajectory, _gradient, _weights, _jacobian, _lyapunov)
            rows.append({k: v for part in parts for k, v in part(passage).items()})
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _trajectory(passage: Passage) -> dict[str, Array]:
    net = passage.net
    shape = (len(net.x), net.x.shape[1], *net.b.shape[1:])
    slopes = passage.derivative("shift")[:, :, 0].reshape(*shape, *net.start.shape[1:])
    d = np.einsum("tbgibi->tbgi", slopes)[net.burn_in :] / net.spec["branch"]
    states = passage.states[net.burn_in + 1 :]
    kept = {SLOTS[slot]: states[:, a].swapaxes(0, 1) for a, slot in enumerate(net.cell.slots)}
    return kept | {
        "mean_derivative": d.mean(),
        "mean_square_derivative": (d**2).mean(),
        "max_derivative": np.abs(d).max(),
        "activation_variance": states[:, 0].var(axis=2).mean(axis=1),
    }


def _gradient(passage: Passage) -> dict[str, Array]:
    burn_in = passage.net.burn_in
    norm = np.sqrt((passage.terms("shift") ** 2).sum(axis=(1, 2, 3)))[::-1]
    log = np.log(norm / norm[0])
    rate = (log[-1] - log[burn_in]) / (len(log) - 1 - burn_in)
    return {"log_gradient": log, "rate": rate, "horizon": -1 / rate if rate < 0 else np.inf}


def _weights(passage: Passage) -> dict[str, Array]:
    found, square, spec = {}, {}, passage.net.spec
    for name in ("W", "U", "b", "b_recurrent"):
        terms = passage.terms(name)
        full = terms.sum(axis=0) if spec["tied"] else terms
        square[name] = (full**2).sum()
        if full.size:
            found[f"grad_{name}"] = full
        if name in "WU":
            each = np.sqrt((terms**2).sum(axis=(1, 2, 3)))
            found[f"contribution_{name}"] = np.log(each[::-1])
    square["b"] += square.pop("b_recurrent")
    return found | {f"log_grad_{name}": np.log(s) / 2 for name, s in square.items()}


def _jacobian(passage: Passage) -> dict[str, Array]:
    P = jacobian_products(passage)
    singular = np.linalg.svd(P, compute_uv=False)
    frobenius = np.sqrt((P**2).sum(axis=(1, 2)))
    return {
        "log_jacobian_norm": np.log([frobenius, singular[:, 0]]),
        "log_singular_value": np.log(singular[-1]),
    }


def _lyapunov(passage: Passage) -> dict[str, Array]:
    burn_in = passage.net.burn_in
    jacobians = passage.jacobians[burn_in + 1 :]
    frame, logs = np.eye(jacobians.shape[1]), []
    for J in jacobians:
        frame, lengths = gram_schmidt(J @ frame)
        logs.append(np.log(lengths))
    exponents = np.sort(np.mean(logs[burn_in:], axis=0))[::-1]
    return {
        "lyapunov_exponent": exponents,
        "entropy_rate": exponents[exponents > 0].sum(),
    }


def gram_schmidt(frame: Array) -> tuple[Array, Array]:
    """(Q, R_ii) by columns, twice over; a column that depends on the others becomes zero."""
    q, lengths = np.zeros_like(frame), np.zeros(len(frame))
    for j, column in enumerate(frame.T):
        left = column
        for _ in range(2):
            left = left - q @ (q.T @ left)
        lengths[j] = np.linalg.norm(left)
        if lengths[j] <= 1e-13 * np.linalg.norm(column):
            lengths[j] = 0.0
        else:
            q[:, j] = left / lengths[j]
    return q, lengths


def deviation(name: str, found: Array, expected: Array) -> float:
    """Largest error of a variable: of a logarithm as it is, else relative to the largest entry.

    A horizon counts as the rate it stands for, and of singular values and growth per step only
    errors relative to the largest of the network: a dense SVD, or QR, gives no more.
    """
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    if name == "horizon":
        with np.errstate(divide="ignore"):  # no horizon at all: the rate is -inf
            found, expected = -1 / found, -1 / expected
    elif name in ("log_singular_value", "lyapunov_exponent"):
        top = expected.max(axis=1, keepdims=True)
        found, expected = np.exp(found - top), np.exp(expected - top)
    elif not name.startswith(("log", "contribution", "rate")):
        largest = np.abs(expected).max() or 1.0
        found, expected = found / largest, expected / largest
    with np.errstate(invalid="ignore"):  # -inf where a term is exactly zero in both
        return float(np.where(found == expected, 0.0, np.abs(found - expected)).max())


def rounding_error(
    ensemble: xr.Dataset, unit_roundoff: float, expected: dict[str, Array], runs: int = 3
) -> dict[str, float]:
    """Estimate of the error of each variable, as `deviation` counts it, by stochastic arithmetic.

    By Higham's backward error analysis a computed dot product of n and m terms is the exact one of
    weights that are off by (n + m) u at most, and activation, bias and skip add a few u. So every
    step is run with weights, pre-activations before and after the normalisation, and states
    multiplied by 1 + (n + m + 8) u xi, xi uniform in +-1 (Vignes 1993), a few times. Four times
    the largest deviation, and as much as one step's error for the result itself.
    """

    def measured(seed: int) -> dict[str, Array]:
        rng = np.random.default_rng(seed)

        def rounding(net: Network) -> Rounding:
            size = own(net) * unit_roundoff

            def rounded(array: Array) -> Array:
                xi = rng.uniform(-1, 1, (len(array), 1, *array.shape[2:]))  # one for all variants
                return array * (1 + size * xi)

            return rounded

        return measure(ensemble, rounding)

    def own(net: Network) -> int:
        return net.W.shape[-1] + net.U.shape[-1] + 8

    noisy = [measured(seed) for seed in range(runs)]
    last = own(networks(ensemble)[0]) * unit_roundoff
    return {
        name: last + 4 * max(deviation(name, run[name], want) for run in noisy)
        for name, want in expected.items()
    }
