"""Hand-batched NumPy: groups of networks as large as the cache holds, step by step; one thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from .jobs import NORMS, Arrays, Job, Peer, Summary, group_size, summary


def bptt(W: Any, U: Any, x: Any, h: Any, v: Any) -> tuple[dict[str, Any], Any, Any, Any]:
    """Logarithms of the results, and s, dW, dU: the gradients are e^s dW, e^s dU.

    W, U (N, n, n), x (N, T, n), h, v (N, n). The gradient is kept at norm 1 and its logarithm
    apart, so that it never leaves the number format; terms of dW are relative to the largest.
    """
    N, T, n = x.shape
    drive = x @ U.swapaxes(1, 2)
    states = np.empty((N, T + 1, n), W.dtype)
    states[:, 0] = h
    for t in range(T):
        net = (W @ states[:, t, :, None])[..., 0]
        net += drive[:, t]
        np.tanh(net, out=states[:, t + 1])
    delta, log, total = np.empty_like(x), np.empty((N, T), W.dtype), np.zeros(N, W.dtype)
    for t in reversed(range(T)):
        step = (1 - states[:, t + 1] ** 2) * v
        size = np.sqrt(np.einsum("ki,ki->k", step, step))
        step /= size[:, None]
        total = total + np.log(size)
        delta[:, t], log[:, t] = step, total
        v = (step[:, None] @ W)[:, 0]
    largest = log.max(axis=1)
    delta *= np.exp(log - largest[:, None])[..., None]
    dW, dU = delta.swapaxes(1, 2) @ states[:, :-1], delta.swapaxes(1, 2) @ x
    found = {"log_gradient": log[:, ::-1] - log[:, -1:]}
    for name, d in zip(NORMS, (dW, dU), strict=True):
        found[name] = 0.5 * np.log(np.einsum("kij,kij->k", d, d)) + largest
    return found, largest, dW, dU


def draw(rng: np.random.Generator, N: int, n: int, T: int, dtype: Any) -> Arrays:
    """Arrays of `bptt`."""
    W, U = (rng.standard_normal((N, n, n), dtype) for _ in range(2))
    for weights in (W, U):
        weights *= weights.dtype.type(n**-0.5)
    x = rng.standard_normal((N, T, n), dtype)
    h, v = (rng.standard_normal((N, n), dtype) for _ in range(2))
    return W, U, x, h, v / np.linalg.norm(v, axis=1, keepdims=True)


def compute(arrays: Arrays) -> dict[str, Any]:
    W, U, *rest = arrays
    found, scale, dW, dU = bptt(W, U, *(a[:, 0] for a in rest))
    back = np.exp(scale)[:, None, None]
    return found | {"grad_W": back * dW, "grad_U": back * dU}


def peers(job: Job) -> dict[str, Peer]:
    """This library's peers of a job, by the column of the table."""
    if not job.main:
        return {}
    dtype = np.dtype(job.precision).type
    size = group_size(job)

    def run(seed: int) -> Summary:
        rng = np.random.default_rng(seed)
        found = [bptt(*draw(rng, size, job.n, job.T, dtype))[0] for _ in range(job.N // size)]
        return summary({name: np.concatenate([part[name] for part in found]) for name in found[0]})

    return {"NumPy": Peer(compute, run)}
