"""Lyapunov exponents and what follows from them: dimension, entropy, unstable directions."""

from __future__ import annotations

from math import log

import numpy as np

from ..kernels.contract import Array
from .chunk import Run
from .layout import block_count
from .variable import Arrays, Variable

ROUNDING = 1e-12
"""Exponents as small as this are neutral: the growth of a step is a product of rounded numbers."""


def lyapunov(run: Run) -> Arrays:
    """Exponents in descending order, their errors, and what they say of the attractor.

    Those of sequences that nothing couples are one spectrum, as the Jacobian of all of them has
    their blocks on its diagonal. Sorting shifts exponents that are closer than their errors apart;
    ``local_exponent`` keeps the order of the frame, in which nothing is shifted.
    """
    spectrum = run.arrays.spectrum
    counted = np.diff(block_ends(run.window.steps, run.window.burn_in), prepend=run.window.burn_in)
    with np.errstate(divide="ignore"):
        growth = np.log(spectrum.growth) + log(2.0) * spectrum.exponent
    count, groups, blocks, k = growth.shape
    local = growth.swapaxes(1, 2).reshape(count, blocks, groups * k) / counted[:, None]
    share = counted / counted.sum()
    mean = np.einsum("b,nbi->ni", share, local)
    wanted = run.wanted.exponents or groups * k
    order = np.argsort(-mean, axis=1)[:, :wanted]
    error = standard_error(local, mean, share)
    exponents = np.take_along_axis(mean, order, axis=1)
    return {
        "lyapunov_exponent": exponents,
        "lyapunov_standard_error": np.take_along_axis(error, order, axis=1),
        "local_exponent": local,
        **attractor(exponents, all_there=wanted >= groups * run.setting.frame.shape[0]),
        "orthonormalisation_interval": counted.sum() * groups / spectrum.report[:, 1],
        "worst_condition": spectrum.report[:, 0].copy(),
    }


def standard_error(local: Array, mean: Array, share: Array) -> Array:
    """Error of the mean over blocks, from their scatter: infinite for one block alone.

    That of -inf is 0: a direction that a network has lost does not come back.
    """
    if share.size == 1:
        return np.full_like(mean, np.inf)
    with np.errstate(invalid="ignore"):
        square = np.einsum("b,nbi->ni", share, (local - mean[:, None]) ** 2)
    return np.where(mean == -np.inf, 0.0, np.sqrt(square / (share.size - 1)))


def block_ends(steps: int, burn_in: int) -> Array:
    """Lags at which the blocks of a window end; the first begins at lag `burn_in`."""
    counted = steps - 1 - burn_in
    blocks = block_count(counted)
    ends: Array = burn_in + counted * np.arange(1, blocks + 1) // blocks
    return ends


def attractor(exponents: Array, all_there: bool) -> Arrays:
    """Kaplan-Yorke dimension, entropy rate and number of unstable directions.

    Parameters
    ----------
    exponents : (network, index)
        In descending order.
    all_there : bool
        Whether they are the whole spectrum; of the leading ones alone NaN where they do not tell.

    Notes
    -----
    The dimension is j + sum_{i <= j} lambda_i / |lambda_{j + 1}| with the largest j whose sum is
    not negative (Kaplan and Yorke 1979); the entropy rate the sum of the positive exponents, which
    is that of Kolmogorov and Sinai if Pesin's identity holds, else its upper bound (Ruelle 1978).
    """
    exponents = np.where(np.abs(exponents) <= ROUNDING, 0.0, exponents)
    count, size = exponents.shape
    total = np.cumsum(exponents, axis=1)
    inside = (total >= 0).sum(axis=1)  # the sums rise, then fall: those >= 0 come first
    network = np.arange(count)
    sums = np.concatenate((np.zeros((count, 1)), total), axis=1)[network, inside]
    following = exponents[network, np.minimum(inside, size - 1)]
    with np.errstate(invalid="ignore", divide="ignore"):
        dimension = inside + np.where(inside < size, sums / np.abs(following), 0.0)
    positive = exponents > 0
    unstable = positive.sum(axis=1).astype(float)
    entropy = np.where(positive, exponents, 0.0).sum(axis=1)
    if not all_there:
        dimension[inside == size] = np.nan
        entropy[unstable == size] = unstable[unstable == size] = np.nan
    bad = np.isnan(exponents).any(axis=1)
    found = {
        "kaplan_yorke_dimension": dimension,
        "entropy_rate": entropy,
        "unstable_count": unstable,
    }
    return {name: np.where(bad, np.nan, values) for name, values in found.items()}


_NETWORK, _INDEX = ("network",), ("network", "index")

VARIABLES = {
    "lyapunov_exponent": Variable(_INDEX, "nats per step", "Lyapunov exponent, descending"),
    "lyapunov_standard_error": Variable(
        _INDEX, "nats per step", "standard error of the exponent over time, from its blocks"
    ),
    "local_exponent": Variable(
        ("network", "block", "direction"),
        "nats per step",
        "mean growth of a direction of the frame over a block of steps",
    ),
    "kaplan_yorke_dimension": Variable(_NETWORK, "1", "Kaplan-Yorke dimension"),
    "entropy_rate": Variable(_NETWORK, "nats per step", "sum of the positive exponents"),
    "unstable_count": Variable(_NETWORK, "1", "number of positive exponents"),
    "orthonormalisation_interval": Variable(
        _NETWORK, "steps", "mean number of steps between orthonormalisations"
    ),
    "worst_condition": Variable(
        _NETWORK, "1", "what the digits of the worst interval's growth were divided by"
    ),
}
