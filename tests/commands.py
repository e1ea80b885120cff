"""Commands that run in other processes while tests go on."""

from __future__ import annotations

import contextlib
import io
from typing import NamedTuple


class Said(NamedTuple):
    """What came of a command."""

    status: int
    output: str
    error: str


def run_command(arguments: list[str]) -> Said:
    """Run the command line in this process."""
    from gradhorizon.studies.cli import main

    output, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        status = main(arguments)
    return Said(status, output.getvalue(), error.getvalue())
