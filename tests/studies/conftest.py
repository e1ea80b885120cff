from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest


@pytest.fixture
def gradhorizon(tmp_path):
    """Run the command line in a process of its own, in a folder of its own."""

    def run(*arguments, **options):
        return subprocess.run(
            [sys.executable, "-m", "gradhorizon.studies.cli", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ,
            capture_output=True,
            text=True,
            timeout=300,
            **options,
        )

    return run


@pytest.fixture(scope="session")
def beside():
    """A process per core, for commands that run while tests go on: figures are drawn by one."""
    from gradhorizon.engine import available_cores

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(available_cores(), context) as pool:
        yield pool
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def undrawn():
    """Runs of this module leave all but their figures, which take longer than small results."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradhorizon.studies.results.draw", lambda folder, data: None)
        yield


@pytest.fixture
def undrawn_once(monkeypatch):
    """The same of one test."""
    monkeypatch.setattr("gradhorizon.studies.results.draw", lambda folder, data: None)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """The results of a run of a second that nobody kills, and its arguments."""
    import xarray as xr

    from gradhorizon.studies.cli import main

    arguments = ("run", "decay", "--steps", "60", "--set", "hidden_size=12", "--networks", "300")
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gradhorizon.studies.results.draw", lambda folder, data: None)
        assert main([*arguments, "--out", str(out)]) == 0
    return arguments, xr.load_dataset(out / "results.nc")


@pytest.fixture
def cells():
    """The cells of a study as a user would have it, without a measurement."""

    def settled(name, *overrides, **options):
        from gradhorizon.studies.catalogue import load_study
        from gradhorizon.studies.options import Options, settle

        return settle(load_study(name), Options(overrides=overrides, **options)).cells

    return settled


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """The results of a study, run small, with its figure: a dataset and the folder it stands in."""

    def run(name, *overrides, networks=64, **options):
        import xarray as xr

        from gradhorizon.studies.catalogue import load_study
        from gradhorizon.studies.options import Options, settle
        from gradhorizon.studies.run import run_sweep

        folder = tmp_path_factory.mktemp(name)
        asked = Options(networks=networks, overrides=overrides, **options)
        run_sweep(settle(load_study(name), asked), folder)
        assert (folder / "figure.png").stat().st_size > 0
        return xr.load_dataset(folder / "results.nc")

    return run
