"""What a run pays before and after its work: nothing is compiled twice, nothing idle is imported.

``python tests/startup.py`` prints what is compiled, when and for how long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import startup

from gradhorizon.engine import NetworkSpec, measure, sample
from gradhorizon.kernels import specialise
from gradhorizon.kernels.library import COMPUTES_IN, LINEAR_SWEEPS
from gradhorizon.kernels.precision import FORMATS

RUN = """
import json, sys
from gradhorizon.studies.cli import main
assert main(["run", "small.toml", "--out", "out", "--workers", "2"]) == 0
from gradhorizon.kernels import specialise
used = [f for f in specialise._compiled.values() if f.overloads]
entries = [f for f in used if type(f._cache).__name__ == "KernelCache"]
misses = sum(sum(f.stats.cache_misses.values()) for f in entries)
print(json.dumps([len(entries), misses, sorted(sys.modules)]))
"""


def test_the_engine_imports_neither_figures_nor_files():
    heavy = {"matplotlib", "h5netcdf", "h5py", "tqdm", "scipy.linalg", "scipy.optimize"}
    code = "import gradhorizon.engine, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert not heavy & set(json.loads(done.stdout))


def test_a_second_run_compiles_nothing_and_imports_what_it_uses(tmp_path):
    """Two workers that start together included."""
    Path(tmp_path, "small.toml").write_text(startup.SWEEP)

    def run():
        done = subprocess.run(
            [sys.executable, "-c", RUN],
            cwd=tmp_path,
            env=os.environ,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=300,
        )
        return json.loads(done.stdout.splitlines()[-1])

    run()
    (tmp_path / "out").rename(tmp_path / "before")
    entries, misses, modules = run()
    assert entries > 0
    assert misses == 0
    idle = {"matplotlib.pyplot", "scipy.optimize", "scipy.stats", "scipy.sparse", "numba.cuda"}
    assert not idle & set(modules)
    files = [Path(tmp_path, folder, "figure.png").read_bytes() for folder in ("before", "out")]
    assert files[0] == files[1]


def test_a_kernel_is_compiled_for_one_signature_whatever_is_measured():
    """Drawn or given, driven or not, tied or not: the arrays that a kernel gets are of one type."""
    everything = ("trajectory", "gradient", "weights", "jacobian", "lyapunov")
    plain, common = NetworkSpec(hidden_size=3), {"networks": 2, "steps": 4, "products": everything}
    measure(plain, **common)
    measure(plain, inputs="zero", loss="every", **common)
    real = np.linspace(0, 1, 12).reshape(1, 4, 3)
    real.flags.writeable = False
    measure(plain, inputs=real, **common)
    measure(sample(plain, 2, 4), products=everything)
    measure(sample(plain, 2, 4, loss="every").transpose(), products=everything)
    measure(NetworkSpec(hidden_size=3, tied=False, skip=1, weights="orthogonal"), **common)
    measure(NetworkSpec(hidden_size=3, normalization="batch", batch_size=4), **common)
    compiled = {f.py_func.__name__: f.overloads for f in specialise._compiled.values()}
    entries = [
        name for name in compiled if name.startswith(("launch", "fill", "forward", *LINEAR_SWEEPS))
    ]
    assert len(entries) >= 7
    # a sweep that computes in one format is one function for networks of either
    most = {f"{name}_{own}": len(FORMATS) for name, own in COMPUTES_IN.items()}
    too_many = [name for name in entries if len(compiled[name]) > most.get(name, 1)]
    assert too_many == []


@pytest.mark.slow
def test_a_warm_run_of_a_small_sweep_takes_less_than_two_seconds(tmp_path):
    """The quickest of three, on a machine that does nothing else."""
    startup.small_sweep(tmp_path, "cold")
    assert min(startup.small_sweep(tmp_path, f"warm{k}") for k in range(3)) < 2.0
