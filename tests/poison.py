"""Tasks that fail in whatever process runs them; importable in processes that are started."""

from __future__ import annotations

import errno
import os

from gradhorizon.studies.options import Options, settle
from gradhorizon.studies.study import Study


def deadly(measured):
    """Ends the process where gradients vanish at once."""
    if (measured["rate"] < -2).any():
        os._exit(1)
    return {}


def deadly_sweep():
    """Two cells of 20 networks, of which the first is the one."""
    base, grid = {"hidden_size": 4}, {"weight_scale": (0.01, 1.0)}
    study = Study("deadly", "", base=base, grid=grid, derive=deadly)
    return settle(study, Options(networks=20, steps=9))


class NoSpace:
    """A task on a machine whose disk is full."""

    def __call__(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
