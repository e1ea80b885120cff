"""What importing the theory costs."""

from __future__ import annotations

import subprocess
import sys


def test_import_is_light() -> None:
    """Command start-up must not pay for scipy or for compilers."""
    code = (
        "import sys; import gradhorizon.studies.theory; "
        "print([m for m in ('scipy.optimize', 'scipy.special', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
