"""The whole suite compiles its kernels on all cores: one process would compile them one by one.

Compilation holds a lock, so that threads do not help. Processes of their own compile what most
tests need while tests that need no kernels run; the others wait for them.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
UNCOMPILED = HERE / "studies" / "theory"
"""Tests that need no kernels, nearly all."""

MANY = 1000
"""Tests: fewer are not the suite, and compile what they need."""

COMPILERS = pytest.StashKey[list[subprocess.Popen[bytes]]]()


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell's background job ignores Ctrl-C, and so would the processes that tests interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests without kernels come first, so that the compilers have time."""
    items.sort(key=lambda item: UNCOMPILED not in item.path.parents)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the compilers; look for cyclic garbage seldom, and not in all that is imported."""
    gc.freeze()
    gc.set_threshold(50_000)
    config = session.config
    alone = not hasattr(config, "workerinput") and os.environ.get("NUMBA_ENABLE_CUDASIM") != "1"
    if len(session.items) < MANY or config.option.collectonly or not alone:
        return
    command = [sys.executable, str(HERE / "startup.py"), "probe"]
    config.stash[COMPILERS] = [
        subprocess.Popen([*command, precision], stdout=subprocess.DEVNULL)
        for precision in ("float64", "float32")
    ]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Wait for the compilers before the first test that may need kernels."""
    if UNCOMPILED not in item.path.parents:
        for compiler in item.config.stash.get(COMPILERS, []):
            compiler.wait()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave no compiler behind."""
    for compiler in session.config.stash.get(COMPILERS, []):
        compiler.kill()
