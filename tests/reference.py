"""The networks once more, written naively from the equations: what the compiled code is held to.

    net_t = W h_{t-1} + U x_t + b,    h_t = skip h_{t-1} + branch phi(slope net_t)

All arithmetic is float64 NumPy, one network and one step at a time. Every function takes the
dataset of `gradhorizon.engine.sample`. Nothing here rescales: keep chains short.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import special

Array = np.ndarray


def _silu_derivative(z: Array) -> Array:
    s = special.expit(z)
    return s * (1 + z * special.expit(-z))


def _gelu_derivative(z: Array) -> Array:
    return special.ndtr(z) + z * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)


ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    "linear": (lambda z: z, lambda z: np.ones_like(z)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
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
"""Name -> (phi, phi')."""


class Network(NamedTuple):
    """One network of an ensemble, in float64, its weights listed step by step."""

    spec: dict
    burn_in: int
    W: Array  # (T, n, n), T = burn_in + steps
    U: Array  # (T, n, m)
    b: Array  # (T, n)
    x: Array  # (B, T, m)
    h0: Array  # (B, n)
    v: Array  # (B, T, n): dL/dh_t, zero where the loss has no term

    @property
    def steps(self) -> int:
        return self.x.shape[1] - self.burn_in


class Passage(NamedTuple):
    """A forward run: pre-activations, states (h[0] is the initial one) and dh/dnet without skip."""

    net: Array  # (B, T, n)
    h: Array  # (B, T + 1, n)
    derivative: Array  # (B, T, n): slope phi'(slope net)


def networks(ensemble: xr.Dataset) -> list[Network]:
    """All networks of an ensemble of the plain recurrent cell."""
    spec, burn_in = json.loads(ensemble.attrs["spec"]), int(ensemble.attrs["burn_in"])
    T, found = ensemble.sizes["step"], []
    for k in range(ensemble.sizes["network"]):
        one = ensemble.isel(network=k).astype(float)
        W, U, b = (one[name].isel(gate=0).values for name in ("W", "U", "b"))
        if spec["tied"]:
            W, U, b = (np.array([a] * T) for a in (W, U, b))
        v = np.zeros((spec["batch_size"], T, spec["hidden_size"]))
        if ensemble.attrs["every"]:
            v[:, burn_in:] = one.readout_gradient.values
        else:
            v[:, -1] = one.readout_gradient.values
        found.append(Network(spec, burn_in, W, U, b, one.input.values, one.initial_state.values, v))
    return found


def forward(net: Network) -> Passage:
    """Run one network through all its steps."""
    phi, dphi = ACTIVATIONS[net.spec["activation"]]
    a, skip, branch = net.spec["slope"], net.spec["skip"], net.spec["branch"]
    B, T, _ = net.x.shape
    z = np.zeros((B, T, len(net.b[0])))
    h = np.zeros((B, T + 1, len(net.b[0])))
    for s in range(B):
        h[s, 0] = net.h0[s]
        for t in range(T):
            z[s, t] = net.W[t] @ h[s, t] + net.U[t] @ net.x[s, t] + net.b[t]
            h[s, t + 1] = skip * h[s, t] + branch * phi(a * z[s, t])
    return Passage(z, h, a * dphi(a * z))


def loss(net: Network) -> float:
    """L = sum over sequences and steps of v . h."""
    return float(np.sum(net.v * forward(net).h[:, 1:]))


def backward(net: Network) -> Array:
    """dL/dnet_t (B, T, n) by the chain rule; zero before the measured window."""
    skip, branch = net.spec["skip"], net.spec["branch"]
    d = forward(net).derivative
    B, T, n = d.shape
    delta = np.zeros((B, T, n))
    for s in range(B):
        g = np.zeros(n)  # dL/dh_t, through everything later than step t
        for t in range(T - 1, net.burn_in - 1, -1):
            g = g + net.v[s, t]
            delta[s, t] = branch * d[s, t] * g
            g = skip * g + net.W[t].T @ delta[s, t]
    return delta


def bptt_terms(net: Network) -> dict[str, Array]:
    """dL/dW_t, dL/dU_t, dL/db_t of every measured step; for tied weights their sum counts."""
    h, delta = forward(net).h, backward(net)
    terms: dict[str, list[Array]] = {"W": [], "U": [], "b": []}
    for t in range(net.burn_in, net.burn_in + net.steps):
        sequences = range(len(delta))
        terms["W"].append(sum(np.outer(delta[s, t], h[s, t]) for s in sequences))
        terms["U"].append(sum(np.outer(delta[s, t], net.x[s, t]) for s in sequences))
        terms["b"].append(sum(delta[s, t] for s in sequences))
    return {name: np.array(list_) for name, list_ in terms.items()}


def step_jacobians(net: Network) -> Array:
    """dh_t/dh_{t-1} (B, T, n, n) for fixed inputs."""
    d = forward(net).derivative
    B, T, n = d.shape
    J = np.zeros((B, T, n, n))
    for s in range(B):
        for t in range(T):
            J[s, t] = net.spec["skip"] * np.eye(n)
            J[s, t] += net.spec["branch"] * np.diag(d[s, t]) @ net.W[t]
    return J


def jacobian_products(net: Network) -> Array:
    """dh_{t0+lag}/dh_{t0} (B, lag, n, n), t0 after the first measured step."""
    J = step_jacobians(net)
    B, _, n, _ = J.shape
    products = np.zeros((B, net.steps, n, n))
    for s in range(B):
        P = np.eye(n)
        for lag in range(net.steps):
            if lag > 0:
                P = J[s, net.burn_in + lag] @ P
            products[s, lag] = P
    return products


def measure(ensemble: xr.Dataset) -> dict[str, Array]:
    """Every variable of every product, network axis first, and the kept arrays."""
    rows = [_measure_one(net) for net in networks(ensemble)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _measure_one(net: Network) -> dict[str, Array]:
    passage, start = forward(net), net.burn_in
    d, h = passage.derivative[:, start:], passage.h[:, start + 1 :]
    with np.errstate(divide="ignore"):
        return {
            "mean_derivative": d.mean(),
            "mean_square_derivative": (d**2).mean(),
            "max_derivative": np.abs(d).max(),
            "activation_variance": h.var(axis=2).mean(axis=0),
            "state": h,
            **_gradient(net),
            **_weights(net),
            **_jacobian(net),
        }


def _gradient(net: Network) -> dict[str, Array]:
    norm = np.sqrt((backward(net)[:, net.burn_in :] ** 2).sum(axis=(0, 2)))[::-1]
    log = np.log(norm / norm[0])
    rate = (log[-1] - log[net.burn_in]) / (len(log) - 1 - net.burn_in)
    return {"log_gradient": log, "rate": rate, "horizon": -1 / rate if rate < 0 else np.inf}


def _weights(net: Network) -> dict[str, Array]:
    terms, found = bptt_terms(net), {}
    for name, term in terms.items():
        full = term.sum(axis=0) if net.spec["tied"] else term
        found[f"log_grad_{name}"] = np.log(np.linalg.norm(full))
        found[f"grad_{name}"] = np.expand_dims(full, 0 if net.spec["tied"] else 1)  # gate
        each = np.array([np.linalg.norm(one) for one in term[::-1]])
        found[f"contribution_{name}"] = np.log(each)
    return found


def _jacobian(net: Network) -> dict[str, Array]:
    P = jacobian_products(net)
    singular = np.linalg.svd(P, compute_uv=False)
    frobenius = np.sqrt((P**2).sum(axis=(0, 2, 3)))
    return {
        "log_jacobian_norm": np.log([frobenius, singular.max(axis=(0, 2))]),
        "log_singular_value": np.log(np.sort(singular[:, -1].ravel())[::-1]),
    }


def rounding_error(ensemble: xr.Dataset, unit_roundoff: float) -> float:
    """First-order estimate, times 4, of the error of a log norm computed with rounding.

    A step commits a relative error of at most (n + m + 8) u in its state: dot products of n and m
    terms, bias, activation, skip. It travels forward with the true Jacobians. An error e of the
    state changes the derivative of the next step by phi'' W e, and with it the log of the norm by
    as much relative to the derivative; every factor adds (n + m + 8) u of its own.
    """
    worst = 0.0
    for net in networks(ensemble):
        own = (net.W.shape[2] + net.U.shape[2] + 8) * unit_roundoff
        passage, bend = forward(net), _second_derivative(net)
        for s, jacobians in enumerate(step_jacobians(net)):
            state = total = 0.0
            for t, J in enumerate(jacobians):
                typical = abs(net.spec["skip"]) + np.sqrt((passage.derivative[s, t] ** 2).mean())
                if typical == 0:  # a dead network: nothing passes
                    break
                total += own + bend[s, t] * np.linalg.norm(net.W[t], 2) * state / typical
                state = np.linalg.norm(J, 2) * state + own * np.linalg.norm(passage.h[s, t + 1])
            final = np.linalg.norm(passage.h[s, -1])
            worst = max(worst, total + (state / final if final > 0 else 0.0))
    return 4 * worst


def _second_derivative(net: Network) -> Array:
    """Largest slope^2 |phi''(slope net)| of every step (B, T); kinks are left out."""
    a, dphi, e = net.spec["slope"], ACTIVATIONS[net.spec["activation"]][1], 1e-6
    z = a * forward(net).net
    bend = np.abs(dphi(z + e) - dphi(z - e)) / (2 * e)
    return a * a * np.where(bend > 10, 0, bend).max(axis=2)
