"""The public door: `measure` random or given networks, or `sample` them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import xarray as xr

from .arguments import (
    LARGEST_COUNT,
    Inputs,
    check_window,
    checked_burn_in,
    checked_exponents,
    checked_names,
    random_source,
    refuse_given,
)
from .chunk import Run
from .clip import ClipArgument, checked_clips, clip_coordinates, clipping
from .dataset import result_variables, results_dataset
from .device import device_of
from .eigenvalue import check_normalization
from .ensemble import RandomSource, Source
from .errors import InputError
from .given import GivenSource, ensemble_dataset
from .keep import KEEPERS
from .labels import SHARED, check_free, with_input_labels, with_labels
from .layout import Wanted
from .plan import Plan, check_count, ensemble_bytes
from .products import PRODUCTS, result_bytes
from .progress import progress_bar
from .spec import NetworkSpec, check_integer
from .status import status_of
from .variable import Arrays, Results


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
    clip: ClipArgument = None,
    exponents: int | None = None,
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
        The axes of a DataArray are sequence, step and feature in any order; the labels of the
        sequences that a network reads are the result's coordinate ``input_sequence``. Masked values
        are missing: as NaN, they give the networks that read them the status ``bad_input``.
    products : sequence of str
        Of ``trajectory``, ``gradient``, ``weights``, ``jacobian``, ``lyapunov``, ``eigenvalue``;
        the last one for networks without a normalisation.
    burn_in : int, optional
        Forward steps before the measured window; ``rate`` leaves out as many first lags. Default
        steps // 10, 0 for ``tied=False``; for a given ensemble its own: the steps with negative
        labels (without labels its attribute ``burn_in``).
    loss : {"last", "every"}
        L = v . h_T with a random unit vector v, or one such term at every measured step.
    keep : sequence of {"states", "gradients"}
        Also return the arrays ``state`` (and those of other slots, as ``cell_state``), or
        ``grad_W``, ``grad_U``, ``grad_b`` (and ``grad_b_recurrent`` for a cell that has it).
    clip : mapping, optional
        Clip the gradient of the product ``weights`` by its global norm, ``{"norm": c}``, or entry
        by entry, ``{"value": c}``; several thresholds and both kinds at once are lists. Reported
        along the axis ``clip``: how much is clipped, the norm before and after, the angle.
    exponents : int, optional
        How many Lyapunov exponents the product ``lyapunov`` finds, the largest ones; default all.
        A few are found in less time. Their directions are random at first and need `burn_in` steps
        to turn; all of them start from the unit vectors.
    device : {"cpu", "cuda"}
    workers : int, optional
        Threads; default one per available core. On a GPU two at most, which take turns.
    progress : bool
        Show a progress bar on standard error.

    Returns
    -------
    xarray.Dataset
        The products' variables, network axis first, each with ``units`` and ``long_name``;
        ``status`` (network) is 0 where all is well (`STATUS`). Lags of gradients and of BPTT terms
        count back from the last step; those of ``log_jacobian_norm``, the norm of
        ds_{t+lag}/ds_t of the state, count on from the first measured step t. Networks, steps and
        other axes have the labels of a given ensemble.

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
    products = checked_names("products", products, PRODUCTS)
    keep = checked_names("keep", keep, KEEPERS)
    where = device_of(device)
    clips = checked_clips(clip)
    if clips and "weights" not in products:
        raise InputError("clip", clip, "nothing without the product 'weights'")
    exponents = checked_exponents(exponents, products)
    if workers is not None:
        workers = check_integer("workers", workers, 1, 1024)
    source: Source
    if isinstance(spec, xr.Dataset):
        own = {"networks": networks, "steps": steps, "seed": seed, "inputs": inputs, "loss": loss}
        refuse_given(own)
        given = GivenSource.from_dataset(spec, checked_burn_in(burn_in))
        source, count = given, given.networks
        check_window(source.window)
    else:
        count = check_integer("networks", networks, 1, LARGEST_COUNT)
        source = random_source(spec, steps, seed, inputs, burn_in, loss)
    check_normalization(source.spec, products)
    wanted = Wanted.of(products, keep, bool(clip), exponents)
    plan = where.plan(source.spec, source.window, wanted, workers)
    variables = result_variables(source, products, keep, clip)
    check_count(count, result_bytes(source, variables.values(), len(clips), exponents))
    if isinstance(spec, xr.Dataset):
        axes = {dim for variable in variables.values() for dim in variable.dims}
        check_free(spec, {*variables, *axes - SHARED, *clip_coordinates(clip)})
    blocks = plan.ranges(0, count)

    def run(block: tuple[int, int]) -> Results:
        return measure_block(source, *block, products, keep, clip, exponents, device)

    with single_threaded_blas("jacobian" in products):
        found = _map(run, blocks, plan, progress)
    data = results_dataset(source, found, products, keep, clip)
    data.attrs["seed"] = seed if isinstance(source, RandomSource) else "given ensemble"
    if isinstance(spec, xr.Dataset):
        return with_labels(data, spec, source.window)
    return with_input_labels(data, inputs, spec.batch_size)


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
        ``readout_gradient`` = dL/dh_T (network, sequence, unit). Cells with further state slots
        have their initial values too (``initial_cell_state``), cells with a bias of the recurrent
        term alone ``b_recurrent`` (network, own_gate, unit). Gates that do not read h have zeros
        in ``W``. Steps before the measured window
        have negative coordinates. For ``tied=False`` W, U and b have a step axis after
        ``network``; for ``loss="every"`` ``readout_gradient`` has a ``loss_step`` axis.

    Notes
    -----
    An array that is put into an ensemble is aligned by xarray: where it has no value for a label of
    the ensemble there is NaN, and the network's status is ``bad_input``.
    """
    count = check_integer("networks", networks, 1, LARGEST_COUNT)
    source = random_source(spec, steps, seed, inputs, burn_in, loss)
    check_count(count, ensemble_bytes(spec, source.window))
    with single_threaded_blas(compiled=False):
        ensemble = ensemble_dataset(source, count)
    return with_input_labels(ensemble, inputs, spec.batch_size)


def measure_block(
    source: Source,
    first: int,
    count: int,
    products: Sequence[str],
    keep: Sequence[str] = (),
    clip: ClipArgument = None,
    exponents: int | None = None,
    device: str = "cpu",
    on_device: bool = False,
) -> Results:
    """Results of a few networks, computed in the calling thread.

    `on_device`: long ones may stay on the device, as `OnDevice`, until the thread's next block.
    """
    wanted = Wanted.of(products, keep, bool(clip), exponents, on_device)
    run = Run.of(source, first, count, wanted, device_of(device))
    results: Results = {}
    for name in products:
        results |= PRODUCTS[name].measure(run)
    if clip:
        results |= clipping(run.arrays.gradient, run.spec.tied, checked_clips(clip))
    for name in keep:
        results |= KEEPERS[name](run)
    results["status"] = status_of(run, results)
    return results


def single_threaded_blas(compiled: bool = True) -> Any:
    """Keep BLAS to one thread: the networks are what runs in parallel here.

    `compiled`: whether compiled code calls it, as the product ``jacobian`` does. That is SciPy's,
    and a limit reaches only libraries already loaded.
    """
    if compiled:
        import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="blas")


def _map(
    run: Callable[[tuple[int, int]], Results],
    blocks: list[tuple[int, int]],
    plan: Plan,
    progress: bool,
) -> Arrays:
    """What `run` returns for all blocks, joined along the axis of the networks."""
    total = blocks[-1][0] + blocks[-1][1]
    bar: Any = progress_bar(total, unit="network", unit_scale=True) if progress else nullcontext()
    with ThreadPoolExecutor(plan.workers) as executor, bar:
        joined: Arrays = {}
        for (first, count), part in zip(blocks, executor.map(run, blocks), strict=True):
            for name, values in part.items():
                if name not in joined:
                    joined[name] = np.empty((total, *values.shape[1:]), values.dtype)
                joined[name][first : first + count] = values
            if progress:
                bar.update(count)
    return joined
