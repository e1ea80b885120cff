"""Specification, sampling, chunking and the products: how one ensemble is measured."""

from __future__ import annotations

from .errors import InputError
from .measure import measure, sample
from .spec import NetworkSpec
from .status import STATUS

__all__ = ["STATUS", "InputError", "NetworkSpec", "measure", "sample"]
