"""Whole jobs on a GPU, ours beside JAX and PyTorch on the same one, and beside its limits.

``PYTHONPATH=tests python -m benchmarks.gpu`` prints one table; it needs a GPU, PyTorch for its
limits, JAX as a peer, and some ten minutes.
"""

from __future__ import annotations

import argparse
import operator
import os
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from typing import Any

from gradhorizon.engine import device_of, single_threaded_blas
from gradhorizon.studies.accumulator import merge_all
from gradhorizon.studies.segment import Segment
from gradhorizon.studies.study import nothing_derived
from gradhorizon.studies.task import Measurement

from .equality import assert_equal, assert_same_law
from .gpu_limits import Limits, measured_limits
from .jobs import NORMS, Job, Peer, Summary
from .ours import whole
from .turns import ROUNDS, Turns

SIZES = ((16, 65536), (32, 32768), (64, 16384), (128, 4096), (256, 1024), (512, 256))
"""Units and networks: enough of them to fill the chip."""

STEPS = 200

JOBS = [Job(n, N, STEPS, "float32") for n, N in SIZES]


def ours(job: Job, seed: int) -> Summary:
    """Draw, measure, summarise, as a study does: block by block."""
    cell = measurement(job, seed)
    workers = device_of("cuda").plan(job.spec, cell.source().window, cell.wanted).workers
    tasks = [task for segment in Segment.all(cell, job.N) for task in segment.tasks(0)]
    with single_threaded_blas(), ThreadPoolExecutor(workers) as executor:
        found = merge_all(executor.map(operator.call, tasks)).results()
    assert found["measured_share"] == 1
    means = {name: found[f"{name}_mean"] for name in ("rate", *NORMS)}
    return {**means, "rate_sd": found["rate_sd"], "log": found["log_gradient_mean"]}


def measurement(job: Job, seed: int) -> Measurement:
    """The networks of a job as those of a cell of a study."""
    return Measurement(
        spec=job.spec,
        steps=job.T,
        seed=seed,
        inputs="gaussian",
        inputs_name="gaussian",
        burn_in=0,
        products=job.products,
        exponents=None,
        clip={},
        kept=("rate", "log_gradient", *NORMS),
        derive=nothing_derived,
        device="cuda",
    )


def peers(job: Job) -> dict[str, Peer]:
    """Who else does the job here."""
    found: dict[str, Peer] = {}
    if find_spec("jax") is not None:
        import jax

        from . import peer_jax

        # float32 is float32 for everyone: JAX's own choice on a GPU rounds factors to ten bits
        jax.config.update("jax_default_matmul_precision", "highest")
        found |= {name: peer_jax.peers(job)[name] for name in ("JAX expert", "JAX naive")}
    if find_spec("torch") is not None:
        import torch

        from . import peer_torch

        if torch.cuda.is_available():
            found |= peer_torch.gpu(job)
    return found


def cpu_share(job: Job) -> Job:
    """As many of the networks as take two cores a second or so."""
    return Job(job.n, max(2, min(job.N, 2**28 // (job.n**2 * job.T))), job.T, job.precision)


def row(job: Job, limits: Limits) -> list[str]:
    """Ours in milliseconds and networks per second, others as ratios of times, theirs to ours.

    Results of peers are held to ours beforehand, and their means afterwards.
    """
    share, others = cpu_share(job), peers(job)
    for peer in peers(job.few()).values():
        assert_equal(job.few(), peer)
    contestants = {"ours": partial(ours, job, 0), "CPU": partial(whole, share, 0)}
    turns = Turns(contestants | {name: partial(peer.run, 0) for name, peer in others.items()})
    for _ in range(ROUNDS + 1):
        turns()
    for name in others:
        assert_same_law(job, turns.results["ours"][0], turns.results[name][0])
    own = turns.median("ours")
    ratios = [f"{turns.median(name) / own:.1f}" if name in others else "-" for name in PEERS]
    shares = [f"{100 * least / own:.0f}" for least in limits.seconds(job)]
    return [
        job.name,
        f"{1e3 * own:.1f}",
        f"{job.N / own:,.0f}",
        *ratios,
        f"{turns.median('CPU') * job.N / share.N / own:.0f}",
        *shares,
    ]


PEERS = ("JAX expert", "JAX naive", "PyTorch expert", "PyTorch naive")
HEADINGS = ["job", "ours, ms", "networks/s", *PEERS, "our CPU, 2 threads"]
HEADINGS += ["of the arithmetic, %", "of device memory, %", "of shared memory, %"]


def table(jobs: Iterable[Job], limits: Limits) -> str:
    """The table, and what the limits are."""
    lines = [HEADINGS, ["---"] * len(HEADINGS)]
    for job in jobs:
        lines.append(row(job, limits))
        print(" | ".join(lines[-1]), file=sys.stderr, flush=True)
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", str(limits)])


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[n for n, _ in SIZES])
    options: Any = parser.parse_args(arguments)
    jobs = [job for job in JOBS if job.n in options.sizes]
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # memory is for all of us
    print(table(jobs, measured_limits()))


if __name__ == "__main__":
    main()
