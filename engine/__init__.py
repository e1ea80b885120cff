"""Specification, sampling, chunking and the products: how one ensemble is measured."""

from __future__ import annotations

from ..kernels.contract import Array
from ..kernels.digest import kernel_digest
from .activation import activation_curve
from .arguments import random_source
from .clip import clip_coordinates
from .dataset import versions
from .device import computed_by, device_of
from .eigenvalue import check_normalization
from .errors import InputError, Shown, one_line
from .layout import Wanted
from .measure import measure, measure_block, sample, single_threaded_blas
from .plan import Plan, available_cores, operations
from .products import axis_lengths, product_variables
from .spec import NetworkSpec
from .status import STATUS
from .variable import OnDevice, Results, Variable

__all__ = [
    "STATUS",
    "Array",
    "InputError",
    "NetworkSpec",
    "OnDevice",
    "Plan",
    "Results",
    "Shown",
    "Variable",
    "Wanted",
    "activation_curve",
    "available_cores",
    "axis_lengths",
    "check_normalization",
    "clip_coordinates",
    "computed_by",
    "device_of",
    "kernel_digest",
    "measure",
    "measure_block",
    "one_line",
    "operations",
    "product_variables",
    "random_source",
    "sample",
    "single_threaded_blas",
    "versions",
]
