"""What is compiled, when, and for how long: ``python tests/startup.py`` prints the table.

Each row is a kernel: the first thing here that needs it, the seconds of its compilation (in a
process with an empty cache, which is done once per version), and the milliseconds of its loading
from the cache (in the next process, which is done once per process). Below it, the wall time of a
small sweep from the command line, cold and warm.

``python tests/startup.py probe float64`` compiles what networks of this format need, for whatever
runs next.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SWEEP = """
name = "small"
networks = 64
steps = 50
[spec]
hidden_size = 32
[grid]
weight_scale = [0.5, 1.0, 1.5, 2.0]
"""


def probe() -> None:
    """Measure a bit of everything and print what was compiled or loaded, as JSON."""
    from numba.core.dispatcher import Dispatcher

    from gradhorizon.engine import NetworkSpec, measure, sample
    from gradhorizon.engine.products import PRODUCTS
    from gradhorizon.engine.spec import CHOICES

    rows: list[dict[str, Any]] = []
    compiled = Dispatcher.compile

    def timed(dispatcher: Any, signature: Any) -> Any:
        started = time.perf_counter()
        entry = compiled(dispatcher, signature)
        misses = getattr(dispatcher, "_cache_misses", {})
        if type(dispatcher._cache).__name__ == "KernelCache":  # called from Python
            name, seconds = dispatcher.py_func.__qualname__, time.perf_counter() - started
            rows.append({"kernel": name, "seconds": seconds, "missed": sum(misses.values())})
            rows[-1]["first"] = doing
        return entry

    Dispatcher.compile = timed
    for precision in sys.argv[2:] or CHOICES["precision"]:
        specs = {f"cell {cell}": {"cell": cell} for cell in CHOICES["cell"]}
        specs |= {f"weights {weights}": {"weights": weights} for weights in CHOICES["weights"]}
        for text, fields in specs.items():
            for product in PRODUCTS:
                doing = f"{text}, {product}, {precision}"
                spec = NetworkSpec(hidden_size=4, precision=precision, **fields)
                measure(spec, networks=1, steps=4, products=(product,))
        for cell in CHOICES["cell"]:
            doing = f"cell {cell}, a tiny state, {precision}"
            ensemble = sample(NetworkSpec(cell=cell, hidden_size=4, precision=precision), 1, 4)
            ensemble["initial_state"] *= 1e-40
            measure(ensemble)
    print(json.dumps(rows))


def run(cache: Path, *arguments: str) -> tuple[float, str]:
    """Wall time and output of a Python process whose compiled code is kept in a folder."""
    own = ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    known = {k: v for k, v in os.environ.items() if k not in own}
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        env=known | {"NUMBA_CACHE_DIR": str(cache)},
        cwd=cache,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return time.perf_counter() - started, done.stdout


def small_sweep(folder: Path, out: str) -> float:
    """Wall time of the command that runs `SWEEP`."""
    (folder / "small.toml").write_text(SWEEP)
    command = ("-m", "gradhorizon.studies.cli", "run", "small.toml", "--out", out)
    return run(folder, *command)[0]


def main() -> None:
    """Print the table and the wall times."""
    with tempfile.TemporaryDirectory() as folder:
        sweep, kernels = Path(folder, "sweep"), Path(folder, "kernels")
        sweep.mkdir()
        kernels.mkdir()
        sweeps = [small_sweep(sweep, f"out{k}") for k in range(4)]
        cold, warm = (json.loads(run(kernels, __file__, "probe")[1]) for _ in range(2))
    loaded = {row["kernel"]: row["seconds"] for row in warm}
    print(f"{'kernel':<36}{'compiled':>10}{'loaded':>11}   first needed by")
    for row in cold:
        name = row["kernel"]
        print(f"{name:<36}{row['seconds']:>8.2f} s{1e3 * loaded[name]:>8.1f} ms   {row['first']}")
    print(f"{'all':<36}{sum(r['seconds'] for r in cold):>8.2f} s", end="")
    print(f"{1e3 * sum(loaded.values()):>8.1f} ms")
    print(f"compiled again by the second process: {sum(r['missed'] for r in warm)}")
    print(f"small sweep: cold {sweeps[0]:.2f} s, warm {min(sweeps[1:]):.2f} s")


if __name__ == "__main__":
    probe() if "probe" in sys.argv else main()
