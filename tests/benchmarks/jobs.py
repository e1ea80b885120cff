"""What is timed: whole jobs, the same for us and for every peer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import xarray as xr

from gradhorizon.engine import NetworkSpec

Arrays = tuple[Any, ...]
"""W (N, G n, n), U (N, G n, n), x (N, B, T, n), h and v (N, B, n): gates G, sequences B."""

Summary = dict[str, Any]

NORMS = ("log_grad_W", "log_grad_U")
SUMMARISED = ("log_gradient", "log_jacobian_norm", "lyapunov_exponent", *NORMS)

BPTT, JACOBIAN, LYAPUNOV = ("gradient", "weights"), ("jacobian",), ("lyapunov",)


@dataclass(frozen=True)
class Job:
    """N networks of n units over T steps: draw them, run them, differentiate, summarise.

    `optimised` is False where compiling takes longer than running.
    """

    n: int
    N: int
    T: int
    precision: str = "float64"
    cell: str = "rnn"
    batch_size: int = 1
    products: tuple[str, ...] = BPTT
    optimised: bool = True

    @property
    def spec(self) -> NetworkSpec:
        return NetworkSpec(
            cell=self.cell,
            hidden_size=self.n,
            normalization="none" if self.batch_size == 1 else "batch",
            batch_size=self.batch_size,
            precision=self.precision,
        )

    @property
    def main(self) -> bool:
        """The job that the goals are about: back-propagation through a plain tanh network."""
        return self.cell == "rnn" and self.batch_size == 1 and self.products == BPTT

    @property
    def name(self) -> str:
        kind = self.cell if self.products == BPTT else " ".join(self.products)
        norm = f", batch norm of {self.batch_size}" if self.batch_size > 1 else ""
        return f"{kind}{norm}, {self.precision}, n = {self.n}, N = {self.N}, T = {self.T}"

    @property
    def id(self) -> str:
        """A name that pytest can select by."""
        kind = "norm" if self.batch_size > 1 else self.cell
        return f"{kind if self.products == BPTT else self.products[-1]}-{self.precision}-n{self.n}"

    def tiny(self) -> Job:
        """The same kind of job, done in no time; three groups of networks."""
        batch = min(self.batch_size, 4)
        return replace(self, n=8, N=24, T=6, batch_size=batch, optimised=False)

    def few(self) -> Job:
        """Few of the same networks over a few of their steps."""
        return replace(self, N=4, T=20, optimised=False)


class Peer(NamedTuple):
    """The same job in another library.

    Attributes
    ----------
    compute : callable
        From `Arrays` to results under the names that `measure` gives them.
    run : callable
        From a seed to the `summary` of a whole job.
    """

    compute: Callable[[Arrays], dict[str, Any]]
    run: Callable[[int], Summary]


def summary(found: Mapping[str, Any]) -> Summary:
    """What a study keeps of a job, from results under the names of `measure`, of any library."""
    if "lyapunov_exponent" in found:
        all_of_them = found["lyapunov_exponent"]
        return law(all_of_them[:, 0]) | {"exponents": all_of_them.mean(axis=0)}
    log = found["log_gradient" if "log_gradient" in found else "log_jacobian_norm"]
    means = {name: found[name].mean() for name in NORMS if name in found}
    rate = (log[:, -1] - log[:, 0]) / (log.shape[1] - 1)
    return law(rate) | {"log": log.mean(axis=0), **means}


def law(rate: Any) -> Summary:
    """Mean and standard deviation over networks, by what arrays of all libraries can do."""
    mean = rate.mean()
    return {"rate": mean, "rate_sd": (((rate - mean) ** 2).sum() / (len(rate) - 1)) ** 0.5}


def arrays(ensemble: xr.Dataset) -> Arrays:
    """An ensemble of `sample` as peers take it; biases and other initial states are zero."""
    W, U = (ensemble[name].values for name in "WU")
    flat = (a.reshape(len(a), -1, a.shape[-1]) for a in (W, U))
    return *flat, *(ensemble[k].values for k in ("input", "initial_state", "readout_gradient"))


def group_size(job: Job) -> int:
    """Networks that a peer runs together so that their weights stay in cache; divides N."""
    return math.gcd(job.N, max(4, min(256, 2**18 // job.n**2)))


SIZES = ((16, 4096, 100), (32, 4096, 100), (64, 1024, 200), (128, 512, 200), (256, 64, 200))
SIZES += ((512, 16, 200),)
PRECISIONS = ("float64", "float32")

JOBS = [Job(*size, precision) for size in SIZES for precision in PRECISIONS]
for cell in ("lstm", "gru"):
    for n, N in ((32, 512), (128, 64)):
        JOBS += [Job(n, N, 100, precision, cell) for precision in PRECISIONS]
for n, N in ((32, 128), (128, 16)):
    JOBS += [Job(n, N, 100, precision, batch_size=16) for precision in PRECISIONS]
JOBS += [Job(n, N, 201, products=LYAPUNOV) for n, N in ((16, 512), (32, 256), (64, 32), (128, 8))]
for n, N in ((16, 128), (64, 8)):
    JOBS += [Job(n, N, 100, precision, products=JACOBIAN) for precision in PRECISIONS]
