"""The libraries that do the same jobs, where they are installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from .jobs import LYAPUNOV, Job, Peer

COLUMNS = {
    "JAX expert": "jax",
    "JAX, our interval": "jax",
    "JAX in groups": "jax",
    "JAX naive": "jax",
    "PyTorch": "torch",
    "NumPy": "numpy",
}
"""Column of the table -> the library it needs; its peers stand in the file ``peer_<library>``."""

HINT = "pip install 'gradhorizon[peers]'"


def columns(job: Job) -> list[str]:
    """Peers that are written for a job, installed or not."""
    special = ["JAX, our interval"]
    if job.main:
        return [column for column in COLUMNS if column not in special]
    spectra = special if job.products == LYAPUNOV else []
    return ["JAX expert", *spectra, "JAX in groups"]


def missing(column: str) -> bool:
    """Whether a peer's library is not installed."""
    return find_spec(COLUMNS[column]) is None


def peers(job: Job) -> dict[str, Peer]:
    """Peers of a job that can run here, by column."""
    here = [column for column in columns(job) if not missing(column)]
    found: dict[str, Peer] = {}
    for library in dict.fromkeys(COLUMNS[column] for column in here):
        found |= import_module(f".peer_{library}", __package__).peers(job)
    return {column: found[column] for column in here}
