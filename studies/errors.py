"""What may go wrong in a run, though its input is right."""

from __future__ import annotations


class RunIncomplete(RuntimeError):  # noqa: N818 - it says what state the run is in
    """Some cells are not measured. What is measured is stored; the same run goes on from there."""
