"""The README's example under MPI: the same arrays as threads give."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

from gradhorizon.studies.catalogue import load_study
from gradhorizon.studies.options import Options, settle
from gradhorizon.studies.run import run_sweep

README = Path(__file__).parents[2] / "studies" / "README.md"

ANYWHERE = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}
"""What Open MPI asks for in a container of few cores; others do not read it."""


@pytest.mark.skipif(importlib.util.find_spec("mpi4py") is None, reason="mpi4py is not installed")
@pytest.mark.skipif(shutil.which("mpiexec") is None, reason="there is no mpiexec")
def test_mpi_agrees_with_threads(tmp_path):
    """A driver and two workers."""
    local, mpi = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    beginning, _, _ = local.partition("if __name__")
    (tmp_path / "study.py").write_text(beginning + mpi)
    command = ["mpiexec", "-n", "3", sys.executable, "-m", "mpi4py.futures", "study.py"]
    environment = os.environ | ANYWHERE
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    asked = Options(networks=64, overrides=("hidden_size=16",))
    direct = run_sweep(settle(load_study("decay"), asked), tmp_path / "direct")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "results/large/results.nc"), direct)
