"""What a study is: a declaration of a grid, of what is measured on it and of how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from ..engine import NetworkSpec, Variable
    from .sweep import Sweep

T = TypeVar("T")


def nothing_derived(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """No variables beyond those of the products."""
    return {}


def nothing_added(data: xr.Dataset, sweep: Sweep) -> xr.Dataset:
    """No theory beside the measurement."""
    return data


def the_point(point: Mapping[str, Any]) -> Mapping[str, Any]:
    """The axes of the grid are fields of `NetworkSpec` themselves."""
    return point


def nothing_refused(spec: NetworkSpec) -> None:
    """Any network can be measured."""


def the_seed(seed: int, point: Mapping[str, Any]) -> int:
    """All cells share the random numbers of a run's seed."""
    return seed


def own_seed(run: int, key: tuple[int, ...]) -> int:
    """A seed that belongs to a key of integers >= 0 and to the seed of a run."""
    import numpy as np

    from ..engine.arguments import LARGEST_SEED
    from ..engine.spec import check_integer

    run = check_integer("seed", run, 0, LARGEST_SEED)
    return int(np.random.SeedSequence(run, spawn_key=key).generate_state(1, np.uint64)[0])


def named(axis: str, name: Any, table: Mapping[str, T]) -> T:
    """What a table has under a name on a study's own axis; `InputError` for one it has not."""
    from ..engine import InputError

    if not isinstance(name, str) or name not in table:
        raise InputError(axis, name, ", ".join(table))
    return table[name]


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
        Axis -> values; the cells are all their combinations. An axis is a field of `NetworkSpec`,
        the bias of one gate (``gate_bias.forget``), or one of the study's own.
    base : mapping
        Fields that are the same in every cell and differ from their defaults.
    fields : callable
        From a point of the grid to fields of `NetworkSpec`. A study with axes of its own translates
        them here, and raises `InputError` for a value that it does not know.
    check : callable
        Raises `InputError` for a specification, after the user's changes, to which the study has
        nothing to say.
    seed : callable
        From the run's seed and a point of the grid to the seed of the networks there.
    products : tuple of str
        What is measured, see `measure`.
    exponents : int, optional
        Leading Lyapunov exponents of the product ``lyapunov``; None: all.
    kept : tuple of str, optional
        Measured variables whose statistics are kept, beside those of `derived`; None: all.
    clip : mapping
        Thresholds of gradient clipping for the product ``weights``, see `measure`.
    networks, steps : int
        Networks per cell and measured steps, unless the user says otherwise.
    inputs : {"gaussian", "zero"}
        Unless the user says otherwise.
    burn_in : int, optional
        Likewise; None: the default of `measure`.
    headline : str
        Variable that the table at the end of a run shows: its mean over networks, or the variable
        itself where `complete` adds it.
    derived : callable
        Returns the variables that `derive` adds.
    derive : callable
        From the arrays of a few good networks, or of none, to further arrays, network axis first.
    complete : callable
        From the collected statistics to the dataset with theory beside them.
    figure : callable
        From that dataset to a figure; computes nothing. None: the figure of a user's own sweep.
    """

    name: str
    summary: str
    grid: Mapping[str, tuple[Any, ...]]
    base: Mapping[str, Any] = field(default_factory=dict)
    fields: Callable[[Mapping[str, Any]], Mapping[str, Any]] = the_point
    check: Callable[[NetworkSpec], None] = nothing_refused
    seed: Callable[[int, Mapping[str, Any]], int] = the_seed
    products: tuple[str, ...] = ("gradient",)
    exponents: int | None = None
    kept: tuple[str, ...] | None = None
    clip: Mapping[str, Any] = field(default_factory=dict)
    networks: int = 1024
    steps: int = 200
    inputs: str = "gaussian"
    burn_in: int | None = None
    headline: str = "rate"
    derived: Callable[[], Mapping[str, Variable]] = dict
    derive: Derive = nothing_derived
    complete: Callable[[xr.Dataset, Sweep], xr.Dataset] = nothing_added
    figure: Callable[[xr.Dataset], Figure] | None = None
