"""PyTorch, hand-batched: groups of networks as large as the cache holds, step by step.

On a GPU (`gpu`) all networks at once, and as a user writes it, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from .jobs import NORMS, Arrays, Job, Peer, Summary, group_size, summary


def bptt(W: Any, U: Any, x: Any, h: Any, v: Any) -> tuple[dict[str, Any], Any, Any, Any]:
    """As `peer_numpy.bptt`."""
    N, T, n = x.shape
    drive = torch.bmm(x, U.mT)
    states = torch.empty(N, T + 1, n, dtype=W.dtype)
    states[:, 0] = h
    for t in range(T):
        net = torch.baddbmm(drive[:, t, :, None], W, states[:, t, :, None])
        states[:, t + 1] = net[..., 0].tanh_()
    delta, log, total = (
        torch.empty_like(x),
        torch.empty_like(x[..., 0]),
        torch.zeros_like(x[:, 0, 0]),
    )
    for t in reversed(range(T)):
        step = (1 - states[:, t + 1].square()).mul_(v)
        size = torch.linalg.vector_norm(step, dim=1)
        step /= size[:, None]
        total = total + size.log_()
        delta[:, t], log[:, t] = step, total
        v = torch.bmm(step[:, None], W)[:, 0]
    largest = log.amax(dim=1)
    delta *= (log - largest[:, None]).exp_()[..., None]
    dW, dU = torch.bmm(delta.mT, states[:, :-1]), torch.bmm(delta.mT, x)
    found = {"log_gradient": log.flip(1) - log[:, -1:]}
    for name, d in zip(NORMS, (dW, dU), strict=True):
        found[name] = torch.linalg.matrix_norm(d).log_() + largest
    return found, largest, dW, dU


def naive(W: Any, U: Any, x: Any, h: Any, v: Any) -> tuple[dict[str, Any], Any, Any, Any]:
    """vmap and grad of a loss; dL/dnet by a perturbation of every step. Nothing is rescaled."""

    def loss(W: Any, U: Any, perturbation: Any, x: Any, h: Any, v: Any) -> Any:
        for step, p in zip(x, perturbation, strict=True):
            h = torch.tanh(W @ h + U @ step + p)
        return v @ h

    gradient = torch.func.vmap(torch.func.grad(loss, argnums=(0, 1, 2)))
    dW, dU, delta = gradient(W, U, torch.zeros_like(x), x, h, v)
    log = torch.linalg.vector_norm(delta, dim=2).log().flip(1)
    found = {"log_gradient": log - log[:, :1]}
    for name, d in zip(NORMS, (dW, dU), strict=True):
        found[name] = torch.linalg.matrix_norm(d).log()
    return found, torch.zeros_like(log[:, 0]), dW, dU


def draw(generator: torch.Generator, N: int, n: int, T: int, dtype: Any) -> Arrays:
    """Arrays of `bptt`."""

    def normal(*shape: int) -> Any:
        return torch.randn(shape, generator=generator, dtype=dtype)

    W, U = normal(N, n, n).mul_(n**-0.5), normal(N, n, n).mul_(n**-0.5)
    x, h, v = normal(N, T, n), normal(N, n), normal(N, n)
    return W, U, x, h, v / torch.linalg.vector_norm(v, dim=1, keepdim=True)


Method = Callable[..., tuple[dict[str, Any], Any, Any, Any]]


def on(device: str, method: Method, arrays: Arrays) -> dict[str, Any]:
    """Results of a method under the names of `Peer.compute`."""
    with torch.no_grad():
        W, U, *rest = (torch.from_numpy(a).to(device) for a in arrays)
        found, scale, dW, dU = method(W, U, *(a[:, 0] for a in rest))
        back = scale.exp()[:, None, None]
        found |= {"grad_W": back * dW, "grad_U": back * dU}
        return {name: a.cpu().numpy() for name, a in found.items()}


def peers(job: Job) -> dict[str, Peer]:
    """This library's peers of a job, by the column of the table."""
    if not job.main:
        return {}
    dtype = getattr(torch, job.precision)
    size = group_size(job)

    @torch.inference_mode()
    def run(seed: int) -> Summary:
        generator = torch.Generator().manual_seed(seed)
        drawn = (draw(generator, size, job.n, job.T, dtype) for _ in range(job.N // size))
        found = [bptt(*arrays)[0] for arrays in drawn]
        return summary({k: torch.cat([part[k] for part in found]).numpy() for k in found[0]})

    return {"PyTorch": Peer(partial(on, "cpu", bptt), run)}


def gpu(job: Job, device: str = "cuda") -> dict[str, Peer]:
    """This library's peers on a GPU: all networks together."""

    def peer(method: Method) -> Peer:
        def run(seed: int) -> Summary:
            with torch.no_grad(), torch.device(device):
                generator = torch.Generator(device).manual_seed(seed)
                drawn = draw(generator, job.N, job.n, job.T, getattr(torch, job.precision))
                return {k: a.cpu().numpy() for k, a in summary(method(*drawn)[0]).items()}

        return Peer(partial(on, device, method), run)

    return {"PyTorch expert": peer(bptt), "PyTorch naive": peer(naive)}
