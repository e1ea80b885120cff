"""The studies by name."""

from __future__ import annotations

from importlib import import_module

from .study import Study

NAMES = (
    "activations",
    "decay",
    "bptt",
    "gates",
    "depth",
    "phase",
    "tied",
    "spectrum",
    "eigenvalue",
    "batchnorm",
    "clipping",
    "remedies",
    "coverage",
)
"""Modules of this folder, each with a ``STUDY``."""


def load_study(name: str) -> Study:
    """A study of this package."""
    study: Study = import_module(f".{name}", __package__).STUDY
    return study
