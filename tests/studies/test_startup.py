"""What a run pays before and after its work: nothing is compiled twice, nothing idle is imported.

``python tests/startup.py`` prints what is compiled, when and for how long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import startup

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


EVERYTHING = """
import json
import numpy as np
from gradhorizon.engine import NetworkSpec, measure, sample
from gradhorizon.kernels import specialise
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
used = [f for f in specialise._compiled.values() if f.overloads]
entries = [f for f in used if type(f._cache).__name__ == "KernelCache"]
print(json.dumps({f.py_func.__name__: len(f.overloads) for f in entries}))
"""
"""For how many kinds of arguments there is each kernel, after measuring a bit of everything; but
for inner functions, which are there only if something was compiled."""


def in_python(code, folder):
    """What code prints in its last line, as JSON; its process knows the same compiled kernels."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_the_engine_imports_neither_figures_nor_files():
    heavy = {"matplotlib", "h5netcdf", "h5py", "tqdm", "scipy.linalg", "scipy.optimize"}
    code = "import gradhorizon.engine, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert not heavy & set(json.loads(done.stdout))


def test_a_second_run_compiles_nothing_and_imports_what_it_uses(tmp_path):
    """Two workers that start together included."""
    Path(tmp_path, "small.toml").write_text(startup.SWEEP)

    in_python(RUN, tmp_path)
    (tmp_path / "out").rename(tmp_path / "before")
    entries, misses, modules = in_python(RUN, tmp_path)
    assert entries > 0
    assert misses == 0
    idle = {"matplotlib.pyplot", "scipy.optimize", "scipy.stats", "scipy.sparse", "numba.cuda"}
    assert not idle & set(modules)
    files = [Path(tmp_path, folder, "figure.png").read_bytes() for folder in ("before", "out")]
    assert files[0] == files[1]


def test_a_kernel_is_compiled_for_one_signature_whatever_is_measured(tmp_path):
    """Drawn or given, driven or not, tied or not: the arrays that a kernel gets are of one type.

    In a process of its own: other tests compile the same kernels for other types.
    """
    kinds = in_python(EVERYTHING, tmp_path)
    sweeps = {f"{name}_float64" for name in LINEAR_SWEEPS}
    assert {"launch_float64", "fill_normal_float64", "forward_rnn_float64", *sweeps} <= set(kinds)
    # a sweep that computes in one format is one function for networks of either
    most = {f"{name}_{own}": len(FORMATS) for name, own in COMPUTES_IN.items()}
    assert {name: n for name, n in kinds.items() if n > most.get(name, 1)} == {}


@pytest.mark.slow
def test_a_warm_run_of_a_small_sweep_takes_less_than_two_seconds(tmp_path):
    """The quickest of three, on a machine that does nothing else."""
    startup.small_sweep(tmp_path, "cold")
    assert min(startup.small_sweep(tmp_path, f"warm{k}") for k in range(3)) < 2.0
