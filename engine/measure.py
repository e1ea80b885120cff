"""The public door: `measure` random or given networks, or `sample` them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from ..kernels.cache import kernel_digest
from ..kernels.contract import Array
from .ensemble import RandomSource, Source, Window
from .errors import InputError, Shown, listed
from .given import GivenSource, ensemble_dataset
from .keep import KEEPERS, kept_variables
from .plan import Plan, make_plan
from .products import PRODUCTS, Arrays, Run, Variable, product_variables
from .spec import NetworkSpec, check_integer
from .status import STATUS, status_of
from .workspace import Workspace

LARGEST_SEED = 2**64 - 1
LARGEST_COUNT = 2**62
LARGEST_STEPS = 10**8
DEVICES = ("cpu",)
LOSSES = ("last", "every")

_workspace = Workspace()

Inputs = str | npt.ArrayLike


def measure(
    spec: NetworkSpec | xr.Dataset,
    *,
    networks: int | None = None,
    steps: int | None = None,
    seed: int = 0,
    inputs: Inputs = "gaussian",
    products: Sequence[str] = ("gradient",),
    burn_in: int | None = None,
    loss: str = "last",
    keep: Sequence[str] = (),
    device: str = "cpu",
    workers: int | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Measure an ensemble of random networks.

    Parameters
    ----------
    spec : NetworkSpec or xarray.Dataset
        What to draw; or an ensemble in the form that `sample` returns, which is measured as it is
        (`networks`, `steps`, `seed`, `inputs` and `loss` are then its own and must not be given).
    networks : int
        Networks to draw.
    steps : int
        Measured steps, at least 2.
    seed : int
        Network i of (spec, seed) is the same, bit for bit, whatever else is asked for.
    inputs : {"gaussian", "zero"} or array (sequences, steps, input_size)
        Independent N(0, 1) numbers, nothing, or real sequences: network i reads the sequences
        i B, ..., i B + B - 1 (B = batch_size), counted round the array; its measured window is
        the first `steps` steps, and burn-in reads the end of the same sequence before them.
    products : sequence of {"trajectory", "gradient", "weights", "jacobian"}
    burn_in : int, optional
        Forward steps before the measured window; ``rate`` leaves out as many first lags. Default
        steps // 10, 0 for ``tied=False``; for a given ensemble its own.
    loss : {"last", "every"}
        L = v . h_T with a random unit vector v, or one such term at every measured step.
    keep : sequence of {"states", "gradients"}
        Also return the arrays ``state``, or ``grad_W``, ``grad_U``, ``grad_b``.
    device : {"cpu"}
    workers : int, optional
        Threads; default one per available core.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    xarray.Dataset
        The products' variables, network axis first, each with ``units`` and ``long_name``;
        ``status`` (network) is 0 where all is well (`STATUS`). Lag 0 is the last step.

    Raises
    ------
    InputError
        One line naming the argument, the value and what is allowed.

    Examples
    --------
    >>> data = measure(NetworkSpec(weight_scale=0.5), networks=64, steps=50)
    >>> bool(data.rate.mean() < 0)
    True
    """
    _check_names("products", products, PRODUCTS)
    _check_names("keep", keep, KEEPERS)
    _check_option("device", device, DEVICES)
    if workers is not None:
        workers = check_integer("workers", workers, 1, 1024)
    source: Source
    if isinstance(spec, xr.Dataset):
        given = GivenSource.from_dataset(spec, _checked_burn_in(burn_in))
        source, count = given, given.networks
        _check_window(source.window)
    else:
        count = check_integer("networks", networks, 1, LARGEST_COUNT)
        source = random_source(spec, steps, seed, inputs, burn_in, loss)
    wanted = [*products, *(["weights"] if "gradients" in keep else [])]
    plan = make_plan(source.spec, source.window, wanted, workers)
    blocks = plan.ranges(0, count)

    def run(block: tuple[int, int]) -> Arrays:
        return measure_block(source, *block, products, keep)

    with single_threaded_blas():
        parts = _map(run, blocks, plan, progress)
    data = _dataset(source, parts, products, keep)
    data.attrs["seed"] = seed if isinstance(source, RandomSource) else "given ensemble"
    return data


def sample(
    spec: NetworkSpec,
    networks: int,
    steps: int,
    seed: int = 0,
    inputs: Inputs = "gaussian",
    *,
    burn_in: int | None = None,
    loss: str = "last",
) -> xr.Dataset:
    """The arrays of the networks that `measure` would draw for the same arguments.

    Returns
    -------
    xarray.Dataset
        ``W`` (network, gate, unit, source), ``U`` (network, gate, unit, feature), ``b`` (network,
        gate, unit), ``input`` (network, sequence, step, feature), ``initial_state`` and
        ``readout_gradient`` = dL/dh_T (network, sequence, unit). Steps before the measured window
        have negative coordinates. For ``tied=False`` W, U and b have a step axis after
        ``network``; for ``loss="every"`` ``readout_gradient`` has a ``loss_step`` axis.
    """
    count = check_integer("networks", networks, 1, LARGEST_COUNT)
    source = random_source(spec, steps, seed, inputs, burn_in, loss)
    make_plan(spec, source.window, (), 1)
    with single_threaded_blas():
        return ensemble_dataset(source, count)


def random_source(
    spec: NetworkSpec,
    steps: int | None,
    seed: int,
    inputs: Inputs,
    burn_in: int | None,
    loss: str,
) -> RandomSource:
    """Check the arguments that `measure` and `sample` share."""
    if not isinstance(spec, NetworkSpec):
        raise InputError(
            "spec", Shown(type(spec).__name__), "a NetworkSpec or a dataset of sample()"
        )
    steps = check_integer("steps", steps, 2, LARGEST_STEPS)
    seed = check_integer("seed", seed, 0, LARGEST_SEED)
    _check_option("loss", loss, LOSSES)
    if burn_in is None:
        burn_in = steps // 10 if spec.tied else 0
    window = Window(steps, check_integer("burn_in", burn_in, 0, steps - 2), loss == "every")
    if isinstance(inputs, str):
        _check_option(
            "inputs", inputs, ("gaussian", "zero", "an array (sequences, steps, input_size)")
        )
        return RandomSource(spec, seed, window, driven=inputs == "gaussian")
    return RandomSource(spec, seed, window, check_sequences(inputs, spec, steps))


def check_sequences(inputs: npt.ArrayLike, spec: NetworkSpec, steps: int) -> Array:
    """Real input sequences as an array of the precision of `spec`."""
    try:
        array = np.asarray(inputs)
    except ValueError as error:
        raise InputError(
            "inputs", Shown(error), "an array (sequences, steps, input_size)"
        ) from None
    if array.dtype.kind not in "fiu":
        raise InputError("inputs.dtype", Shown(array.dtype), "real numbers")
    if array.ndim != 3 or array.size == 0:
        raise InputError(
            "inputs.shape", array.shape, "(sequences, steps, input_size), none of them 0"
        )
    if array.shape[2] != spec.input_size:
        raise InputError("inputs.shape", array.shape, f"last axis input_size = {spec.input_size}")
    if array.shape[1] < steps:
        raise InputError("steps", steps, f"at most {array.shape[1]}, the steps of inputs")
    return array.astype(spec.precision)


def measure_block(
    source: Source, first: int, count: int, products: Sequence[str], keep: Sequence[str] = ()
) -> Arrays:
    """Results of a few networks, computed in the calling thread."""
    run = Run.forward(source, first, count, _workspace)
    results: Arrays = {}
    for name in PRODUCTS:  # a fixed order: the adjoint sweep overwrites the pre-activations
        if name in products:
            results |= PRODUCTS[name].measure(run)
    for name in keep:
        results |= KEEPERS[name](run)
    results["status"] = status_of(run, results)
    return results


def single_threaded_blas() -> Any:
    """Keep BLAS to one thread: the networks are what runs in parallel here."""
    # compiled code calls SciPy's BLAS, and a limit reaches only libraries already loaded
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


def _map(
    run: Callable[[tuple[int, int]], Arrays],
    blocks: list[tuple[int, int]],
    plan: Plan,
    progress: bool,
) -> list[Arrays]:
    total = blocks[-1][0] + blocks[-1][1]
    if progress:
        from tqdm import tqdm

        bar: Any = tqdm(total=total, unit="network", unit_scale=True)
    else:
        bar = nullcontext()
    with ThreadPoolExecutor(plan.workers) as executor, bar:
        parts = []
        for block, part in zip(blocks, executor.map(run, blocks), strict=True):
            parts.append(part)
            if progress:
                bar.update(block[1])
    return parts


def _dataset(
    source: Source, parts: list[Arrays], products: Sequence[str], keep: Sequence[str]
) -> xr.Dataset:
    kept = kept_variables(source.spec.tied)
    table: dict[str, Variable] = product_variables(products)
    for name in keep:
        table |= kept[name]
    meaning = ", ".join(f"{code} {name}" for name, code in STATUS.items())
    table["status"] = Variable(("network",), "1", f"what became of the network: {meaning}")
    data = xr.Dataset(
        {
            name: (v.dims, np.concatenate([p[name] for p in parts]), _attributes(v))
            for name, v in table.items()
        }
    )
    T = source.window.steps
    axes: dict[str, Any] = {
        "network": np.arange(data.sizes["network"]),
        "lag": ("lag", np.arange(T), {"units": "steps", "long_name": "lag"}),
        "step": ("step", np.arange(T), {"units": "steps", "long_name": "step"}),
        "norm": ["frobenius", "spectral"],
    }
    data = data.assign_coords({k: v for k, v in axes.items() if k in data.dims})
    data.attrs = run_attributes(source)
    return data


def _attributes(variable: Variable) -> dict[str, str]:
    return {"units": variable.units, "long_name": variable.long_name}


def run_attributes(source: Source) -> dict[str, Any]:
    """What computed a result, for the attributes of a dataset."""
    return {
        "spec": source.spec.to_json(),
        "steps": source.window.steps,
        "burn_in": source.window.burn_in,
        "loss": LOSSES[source.window.every],
        "versions": json.dumps(versions()),
        "kernel_digest": kernel_digest(),
    }


def versions() -> dict[str, str]:
    """Versions of this package and of what it computes with."""
    found = {}
    for name in ("gradhorizon", "numba", "numpy", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a source tree
            found[name] = "not installed"
    return found


def _check_names(field: str, names: Iterable[str], known: Iterable[str]) -> None:
    if isinstance(names, str):
        raise InputError(field, names, f"a sequence of {listed(known)}")
    for name in names:
        _check_option(field, name, known)


def _check_option(field: str, value: Any, known: Iterable[str]) -> None:
    if not isinstance(value, str) or value not in tuple(known):
        raise InputError(field, value, listed(known))


def _checked_burn_in(burn_in: int | None) -> int | None:
    return None if burn_in is None else check_integer("burn_in", burn_in, 0, LARGEST_STEPS)


def _check_window(window: Window) -> None:
    if window.steps < 2 or window.burn_in > window.steps - 2:
        shown = Shown(f"{window.burn_in} + {window.steps} steps")
        raise InputError("burn_in and steps", shown, "steps >= 2 and burn_in <= steps - 2")
