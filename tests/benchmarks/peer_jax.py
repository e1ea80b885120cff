"""JAX: each job is one jitted function that draws, computes and summarises, on both cores."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from . import peer_jax_cells as cells
from . import peer_jax_rnn as rnn
from .jobs import JACOBIAN, LYAPUNOV, SUMMARISED, Arrays, Job, Peer, Summary, group_size, summary
from .ours import interval

jax.config.update("jax_enable_x64", True)

Method = Callable[..., dict[str, Any]]


def draw(job: Job, key: Any, N: int) -> Arrays:
    """Arrays of N networks."""
    n, B, rows = job.n, job.batch_size, cells.CELLS[job.cell].gates * job.n
    shapes = [(N, rows, n), (N, rows, n), (N, B, job.T, n), (N, B, n), (N, B, n)]
    keys = jax.random.split(key, len(shapes))
    W, U, x, h, v = map(partial(jax.random.normal, dtype=job.precision), keys, shapes)
    return W * n**-0.5, U * n**-0.5, x, h, v / jnp.linalg.norm(v, axis=(1, 2), keepdims=True)


def peer(job: Job, method: Method, size: int) -> Peer:
    """Groups of `size` networks one after the other, each through all its steps."""
    options = None if job.optimised else {"xla_backend_optimization_level": 0}
    jit = partial(jax.jit, compiler_options=options)
    computed = jit(method)

    def group(key: Any) -> dict[str, Any]:
        found = method(*draw(job, key, size))
        return {name: a for name, a in found.items() if name in SUMMARISED}

    @jit
    def whole(key: Any) -> Summary:
        if size == job.N:
            return summary(group(key))
        found = lax.map(group, jax.random.split(key, job.N // size))
        return summary({name: a.reshape(job.N, *a.shape[2:]) for name, a in found.items()})

    def compute(arrays: Arrays) -> dict[str, Any]:
        return {name: np.asarray(a) for name, a in computed(*arrays).items()}

    def run(seed: int) -> Summary:
        return {name: np.asarray(a) for name, a in whole(jax.random.key(seed)).items()}

    return Peer(compute, run)


@cache
def peers(job: Job) -> dict[str, Peer]:
    """This library's peers of a job, by the column of the table."""
    expert = rnn.expert
    if job.products == LYAPUNOV:
        return {
            "JAX expert": peer(job, partial(rnn.lyapunov, 1), job.N),
            "JAX, our interval": peer(job, partial(rnn.lyapunov, round(interval(job))), job.N),
            "JAX in groups": peer(job, partial(rnn.lyapunov, 1), group_size(job)),
        }
    if job.products == JACOBIAN:
        expert = rnn.jacobian
    elif not job.main:
        norm = cells.identity if job.batch_size == 1 else cells.batch_norm
        expert = partial(cells.expert, cells.CELLS[job.cell], norm)
    found = {
        "JAX expert": peer(job, expert, job.N),
        "JAX in groups": peer(job, expert, group_size(job)),
    }
    return found | ({"JAX naive": peer(job, rnn.naive, job.N)} if job.main else {})
