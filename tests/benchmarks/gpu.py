"""Whole jobs on a GPU, ours beside JAX and PyTorch on the same one, and beside its limits.

``PYTHONPATH=tests python -m benchmarks.gpu`` prints one table; it needs a GPU, PyTorch for its
limits, JAX as a peer, and some ten minutes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

import numpy as np

from gradhorizon.engine import measure

from .gpu_limits import Limits, measured_limits
from .jobs import Job, Summary, summary
from .ours import summarised, whole

SIZES = ((16, 65536), (32, 32768), (64, 16384), (128, 4096), (256, 1024), (512, 256))
"""Units and networks: enough of them to fill the chip."""

STEPS, ROUNDS = 200, 5

JOBS = [Job(n, N, STEPS, "float32") for n, N in SIZES]

Contestant = Callable[[int], Summary]


def ours(job: Job) -> Contestant:
    """Draw, measure, summarise: on the GPU but for the last."""

    def run(seed: int) -> Summary:
        data = measure(
            job.spec,
            networks=job.N,
            steps=job.T,
            seed=seed,
            burn_in=0,
            products=job.products,
            device="cuda",
        )
        return summarised({name: data[name].values for name in data.data_vars})

    return run


def torch_on_gpu(job: Job) -> Contestant:
    """Hand-batched PyTorch: all networks together, step by step."""
    import torch

    from .peer_torch import bptt, draw

    @torch.inference_mode()
    def run(seed: int) -> Summary:
        with torch.device("cuda"):
            generator = torch.Generator("cuda").manual_seed(seed)
            drawn = draw(generator, job.N, job.n, job.T, getattr(torch, job.precision))
            found = summary(bptt(*drawn)[0])
            return {name: value.cpu().numpy() for name, value in found.items()}

    return run


def contestants(job: Job) -> dict[str, Contestant]:
    """Who does the job here."""
    found = {"ours": ours(job), "ours, CPU": lambda seed: whole(cpu_share(job), seed)}
    if find_spec("jax") is not None:
        from .peer_jax import peers

        jax = peers(job)
        found |= {name: jax[name].run for name in ("JAX expert", "JAX naive")}
    if find_spec("torch") is not None:
        import torch

        if torch.cuda.is_available():
            found["PyTorch"] = torch_on_gpu(job)
    return found


def cpu_share(job: Job) -> Job:
    """As many of the networks as take two cores a second or so."""
    return Job(job.n, max(2, min(job.N, 2**28 // (job.n**2 * job.T))), job.T, job.precision)


def seconds(run: Contestant, rounds: int) -> float:
    """Median time of a job; the first turn, in which code is compiled, does not count."""
    taken = []
    for seed in range(rounds + 1):
        start = time.perf_counter()
        result = run(seed)
        taken.append(time.perf_counter() - start)
        assert np.isfinite(result["rate"])
    return statistics.median(taken[1:])


def row(job: Job, limits: Limits, rounds: int = ROUNDS) -> list[str]:
    """Ours in milliseconds and networks per second, others as ratios of times, theirs to ours."""
    taken = {name: seconds(run, rounds) for name, run in contestants(job).items()}
    own = taken.pop("ours")
    cpu = taken.pop("ours, CPU") * job.N / cpu_share(job).N
    ratios = [f"{taken[name] / own:.1f}" if name in taken else "-" for name in PEERS]
    shares = [f"{100 * least / own:.0f}" for least in limits.seconds(job)]
    return [
        job.name,
        f"{1e3 * own:.1f}",
        f"{job.N / own:,.0f}",
        *ratios,
        f"{cpu / own:.0f}",
        *shares,
    ]


PEERS = ("JAX expert", "JAX naive", "PyTorch")
HEADINGS = ["job", "ours, ms", "networks/s", *PEERS, "our CPU, 2 threads"]
HEADINGS += ["of the arithmetic, %", "of device memory, %", "of shared memory, %"]


def table(jobs: Iterable[Job], limits: Limits, rounds: int = ROUNDS) -> str:
    """The table, and what the limits are."""
    lines = [HEADINGS, ["---"] * len(HEADINGS)]
    for job in jobs:
        lines.append(row(job, limits, rounds))
        print(" | ".join(lines[-1]), file=sys.stderr, flush=True)
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", str(limits)])


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--sizes", type=int, nargs="*", default=[n for n, _ in SIZES])
    options: Any = parser.parse_args(arguments)
    jobs = [job for job in JOBS if job.n in options.sizes]
    print(table(jobs, measured_limits(), options.rounds))


if __name__ == "__main__":
    main()
