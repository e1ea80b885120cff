"""What a study is: a declaration of a grid, of what is measured on it and of how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from ..engine import Variable
    from .sweep import Sweep


def nothing_derived(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """No variables beyond those of the products."""
    return {}


def nothing_added(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """No theory beside the measurement."""
    return data


Derive = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Study:
    """A question that is answered by measuring ensembles on a grid of specifications.

    Attributes
    ----------
    name : str
    summary : str
        One line.
    grid : mapping
        Field of `NetworkSpec` -> values; the cells are all their combinations.
    base : mapping
        Fields that are the same in every cell and differ from their defaults.
    products : tuple of str
        What is measured, see `measure`.
    networks, steps : int
        Networks per cell and measured steps, unless the user says otherwise.
    headline : str
        Variable that the table at the end of a run shows.
    derived : callable
        Returns the variables that `derive` adds.
    derive : callable
        From the arrays of a few good networks to further arrays, network axis first.
    complete : callable
        From the collected statistics to the dataset with theory beside them.
    figure : callable
        From that dataset to a figure; computes nothing. None: the figure of a user's own sweep.
    """

    name: str
    summary: str
    grid: Mapping[str, tuple[Any, ...]]
    base: Mapping[str, Any] = field(default_factory=dict)
    products: tuple[str, ...] = ("gradient",)
    networks: int = 1024
    steps: int = 200
    headline: str = "rate"
    derived: Callable[[], Mapping[str, Variable]] = dict
    derive: Derive = nothing_derived
    complete: Callable[[xr.Dataset, Sweep], xr.Dataset] = nothing_added
    figure: Callable[[xr.Dataset], Figure] | None = None
