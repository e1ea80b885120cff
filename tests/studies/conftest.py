from __future__ import annotations

import os
import subprocess
import sys

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
