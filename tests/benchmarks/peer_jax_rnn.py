"""The plain tanh network in JAX: as a user writes it, and hand-batched by an expert."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def naive(W: Any, U: Any, x: Any, h: Any, v: Any) -> dict[str, Any]:
    """vmap, grad and scan; dL/dnet by a perturbation of every step. Nothing is rescaled."""

    def loss(W: Any, U: Any, perturbation: Any, x: Any, h: Any, v: Any) -> Any:
        def step(h: Any, inputs: Any) -> Any:
            x, p = inputs
            return jnp.tanh(W @ h + U @ x + p), None

        h, _ = lax.scan(step, h, (x, perturbation))
        return v @ h

    x, h, v = x[:, 0], h[:, 0], v[:, 0]
    gradient = jax.vmap(jax.grad(loss, argnums=(0, 1, 2)))
    dW, dU, delta = gradient(W, U, jnp.zeros_like(x), x, h, v)
    log = jnp.log(jnp.linalg.norm(delta, axis=2))[:, ::-1]
    found = {"log_gradient": log - log[:, :1]}
    for name, d in (("W", dW), ("U", dU)):
        found |= {f"log_grad_{name}": jnp.log(jnp.linalg.norm(d, axis=(1, 2))), f"grad_{name}": d}
    return found


def expert(W: Any, U: Any, x: Any, h: Any, v: Any) -> dict[str, Any]:
    """All networks step by step; the adjoint at norm 1, its logarithm apart; dW, dU at the end."""
    x, h, v = x[:, 0], h[:, 0], v[:, 0]
    drive = jnp.einsum("kij,ktj->tki", U, x)

    def forward(h: Any, drive: Any) -> Any:
        new = jnp.tanh(jnp.einsum("kij,kj->ki", W, h) + drive)
        return new, (h, 1 - new * new)

    def backward(carry: Any, derivative: Any) -> Any:
        L, log = carry
        delta = derivative * L
        size = jnp.linalg.norm(delta, axis=1)
        delta, log = delta / size[:, None], log + jnp.log(size)
        return (jnp.einsum("kij,ki->kj", W, delta), log), (delta, log)

    _, (states, derivatives) = lax.scan(forward, h, drive)
    start = v, jnp.zeros_like(v[:, 0])
    _, (delta, log) = lax.scan(backward, start, derivatives, reverse=True)
    largest = log.max(axis=0)
    delta = delta * jnp.exp(log - largest)[..., None]
    dW = jnp.einsum("tki,tkj->kij", delta, states)
    dU = jnp.einsum("tki,ktj->kij", delta, x)
    return scaled_back(log, largest, dW, dU)


def scaled_back(log: Any, largest: Any, dW: Any, dU: Any) -> dict[str, Any]:
    """Results from ln |dL/dnet| (T, N) and gradients that are relative to e^largest."""
    found, log = {}, log[::-1].T
    for name, d in (("W", dW), ("U", dU)):
        found[f"log_grad_{name}"] = jnp.log(jnp.linalg.norm(d, axis=(1, 2))) + largest
        found[f"grad_{name}"] = jnp.exp(largest)[:, None, None] * d
    return {"log_gradient": log - log[:, :1], **found}


def jacobian(W: Any, U: Any, x: Any, h: Any, v: Any) -> dict[str, Any]:
    """ln |dh_{t+lag}/dh_t| (Frobenius), t the first step: the product is kept at norm 1."""
    x, h = x[:, 0], h[:, 0]
    drive = jnp.einsum("kij,ktj->tki", U, x)

    def step(carry: Any, drive: Any) -> Any:
        h, product, log = carry
        new = jnp.tanh(jnp.einsum("kij,kj->ki", W, h) + drive)
        product = (1 - new * new)[..., None] * (W @ product)
        size = jnp.linalg.norm(product, axis=(1, 2))
        log = log + jnp.log(size)
        return (new, product / size[:, None, None], log), log

    N, n = h.shape
    h = jnp.tanh(jnp.einsum("kij,kj->ki", W, h) + drive[0])
    product = jnp.broadcast_to(jnp.eye(n, dtype=W.dtype) * n**-0.5, W.shape)
    start = jnp.full(N, 0.5 * math.log(n), W.dtype)
    _, log = lax.scan(step, (h, product, start), drive[1:])
    return {"log_jacobian_norm": jnp.concatenate([start[None], log]).T}


def lyapunov(every: int, W: Any, U: Any, x: Any, h: Any, v: Any) -> dict[str, Any]:
    """All exponents from the second step on; LAPACK's QR of all networks after `every` steps."""
    x, h = x[:, 0], h[:, 0]
    drive = jnp.einsum("kij,ktj->tki", U, x)

    def step(carry: Any, drive: Any) -> Any:
        h, frame = carry
        new = jnp.tanh(jnp.einsum("kij,kj->ki", W, h) + drive)
        return (new, (1 - new * new)[..., None] * (W @ frame)), None

    def interval(carry: Any, drive: Any) -> Any:
        h, frame, log = carry
        (h, frame), _ = lax.scan(step, (h, frame), drive)
        frame, R = jnp.linalg.qr(frame)
        return (h, frame, log + jnp.log(jnp.abs(jnp.diagonal(R, axis1=1, axis2=2)))), None

    h = jnp.tanh(jnp.einsum("kij,kj->ki", W, h) + drive[0])
    frame = jnp.broadcast_to(jnp.eye(h.shape[1], dtype=W.dtype), W.shape)
    whole, rest = divmod(len(drive) - 1, every)
    blocks = drive[1 : 1 + whole * every].reshape(whole, every, *drive.shape[1:])
    carry, _ = lax.scan(interval, (h, frame, jnp.zeros_like(h)), blocks)
    if rest:
        carry, _ = interval(carry, drive[-rest:])
    return {"lyapunov_exponent": -jnp.sort(-carry[2] / (len(drive) - 1), axis=1)}
