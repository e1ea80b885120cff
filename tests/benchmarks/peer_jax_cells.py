"""Gated and batch-normalised networks in JAX, hand-batched by an expert.

As `peer_jax_rnn.expert`, with the pull-backs of a step's pointwise parts from JAX. Pre-activations
are (N, B, P, n), each slot of the state (N, B, n): N networks, B sequences, P rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import sigmoid

from .peer_jax_rnn import scaled_back

State = tuple[Any, ...]


def rnn(z: Any, s: State) -> State:
    return (jnp.tanh(z[:, :, 0]),)


def lstm(z: Any, s: State) -> State:
    write, keep, candidate, read = jnp.moveaxis(z, 2, 0)
    cell = sigmoid(keep) * s[1] + sigmoid(write) * jnp.tanh(candidate)
    return sigmoid(read) * jnp.tanh(cell), cell


def gru(z: Any, s: State) -> State:
    reset, update, recurrent, driven = jnp.moveaxis(z, 2, 0)
    candidate = jnp.tanh(driven + sigmoid(reset) * recurrent)
    return (sigmoid(-update) * candidate + sigmoid(update) * s[0],)


class Cell(NamedTuple):
    step: Any
    gates: int
    slots: int
    shared: int  # gates whose recurrent and input terms are added; others have a row for each


CELLS = {"rnn": Cell(rnn, 1, 1, 1), "lstm": Cell(lstm, 4, 2, 4), "gru": Cell(gru, 3, 1, 2)}


def identity(z: Any) -> Any:
    return z


def batch_norm(z: Any) -> Any:
    z = z - z.mean(axis=1, keepdims=True)
    return z / jnp.sqrt((z * z).mean(axis=1, keepdims=True) + 1e-5)


def expert(cell: Cell, norm: Any, W: Any, U: Any, x: Any, h: Any, v: Any) -> dict[str, Any]:
    """W, U (N, G n, n), x (N, B, T, n), h, v (N, B, n)."""
    G, shared = cell.gates, cell.shared
    inputs = jnp.array([*range(shared), *range(G, 2 * G - shared)])

    def rows(terms: Any) -> Any:
        return terms.reshape(*terms.shape[:-1], G, -1)

    def forward(s: State, drive: Any) -> Any:
        recurrent = rows(jnp.einsum("kij,kbj->kbi", W, s[0]))
        both = recurrent[:, :, :shared] + drive[:, :, :shared]
        z = jnp.concatenate([both, recurrent[:, :, shared:], drive[:, :, shared:]], axis=2)
        z, through_norm = jax.vjp(norm, z)
        new, through_cell = jax.vjp(cell.step, z, s)
        return new, (s[0], through_norm, through_cell)

    def backward(carry: Any, pulls: Any) -> Any:
        L, log = carry
        through_norm, through_cell = pulls
        dz, ds = through_cell(L)
        size = jnp.sqrt((dz[:, :, inputs] ** 2).sum(axis=(1, 2, 3)))
        dz, ds = jax.tree.map(lambda d: d / size.reshape(-1, *[1] * (d.ndim - 1)), (dz, ds))
        (delta,) = through_norm(dz)
        past = jnp.einsum("kij,kbi->kbj", W, delta[:, :, :G].reshape(*h.shape[:2], -1))
        log = log + jnp.log(size)
        return ((ds[0] + past, *ds[1:]), log), (delta, log)

    zeros = (jnp.zeros_like(h),) * (cell.slots - 1)
    drive = rows(jnp.einsum("kij,kbtj->tkbi", U, x))
    _, (states, *pulls) = lax.scan(forward, (h, *zeros), drive)
    start = (v, *zeros), jnp.zeros_like(h[:, 0, 0])
    _, (delta, log) = lax.scan(backward, start, tuple(pulls), reverse=True)
    largest = log.max(axis=0)
    delta = delta * jnp.exp(log - largest)[..., None, None, None]
    own, driven = (d.reshape(*d.shape[:3], -1) for d in (delta[..., :G, :], delta[..., inputs, :]))
    dW = jnp.einsum("tkbi,tkbj->kij", own, states)
    dU = jnp.einsum("tkbi,kbtj->kij", driven, x)
    return scaled_back(log, largest, dW, dU)
