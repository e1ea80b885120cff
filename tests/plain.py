"""What the compiled loop over networks does, as plain Python."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from gradhorizon.kernels.bodies.forward import forward
from gradhorizon.kernels.bodies.forward_scaled import forward_scaled
from gradhorizon.kernels.contract import Chunk, Setting
from gradhorizon.kernels.library import LINEAR_SWEEPS


def of_network(k: int, chunk: Any) -> Any:
    """The naive twin of `calls.of_network`."""
    if isinstance(chunk, np.ndarray):
        return chunk[k if len(chunk) > 1 else 0]
    return type(chunk)(*(of_network(k, part) for part in chunk))


def run_sweeps(
    cell: str, precision: str, sweeps: Iterable[str], networks: int, setting: Setting, chunk: Chunk
) -> None:
    """The naive twin of `library.run_sweeps`, for the plain tanh network in float64."""
    for k in range(networks):
        network = of_network(k, chunk)
        forward(setting, network)
        forward_scaled(setting, network)
        for name, sweep in LINEAR_SWEEPS.items():
            if name in sweeps:
                sweep(setting, network)
