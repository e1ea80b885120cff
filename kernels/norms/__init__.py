"""Normalisations of the pre-activations, each a file with ``normalise`` and ``project``.

With x the terms of one row, B sequences by n units, and statistics over an index set of m of them
(the batch, or the layer),

    y = gamma u,    u = (x - mean x) / s,    s = sqrt(var x + EPSILON),

in training mode, so that statistics are differentiated too: the Jacobian of an index set,

    dy/dx = (gamma / s) (I - 1 1^T / m - u u^T / m),

is symmetric, and one ``project`` serves the backward and the tangent sweep (Ioffe and Szegedy
2015; Ba, Kiros and Hinton 2016).

Terms are shifted by the first of their index set before the mean is taken: the mean of equal terms
is then that term, u is exactly 0, and EPSILON does not turn rounding errors into a signal.
Gradients are shifted in the same way: a gradient that is the same everywhere becomes exactly 0
(u sums to 0).
"""

from __future__ import annotations

from typing import NamedTuple

from .batch import normalise as normalise_batch
from .batch import project as project_batch
from .layer import normalise as normalise_layer
from .layer import project as project_layer

NONE, BATCH, LAYER = range(3)


class Normalization(NamedTuple):
    """A value of the specification's field: which statistics, and of what."""

    kind: int
    separate: bool = False  # the recurrent and the input term each by itself


NORMALIZATIONS = {
    "none": Normalization(NONE),
    "batch": Normalization(BATCH),
    "batch-separate": Normalization(BATCH, separate=True),
    "layer": Normalization(LAYER),
}


def normalise(kind, x, exponent, norm_scale, unit, gain, work):
    """Normalise a row of terms in place.

    Parameters
    ----------
    kind : int
    x : (B n,)
        Terms x 2^-exponent; receives gamma u, without an exponent.
    exponent : (C,)
        Of every group of sequences.
    norm_scale : real
        gamma.
    unit : (B n,)
        Receives u.
    gain : (n,) for a batch, (B,) for layers
        Receives gamma / s: the derivative by terms at their true scale, or, where the exponent is
        positive, by the stored ones.
    work : (2, n)
    """
    if kind == BATCH:
        normalise_batch(x, exponent, norm_scale, unit, gain, work)
    else:
        normalise_layer(x, exponent, norm_scale, unit, gain, work)


def project(kind, gradient, unit, gain, work):
    """Multiply a row (B n,) by dy/dx, in place."""
    if kind == BATCH:
        project_batch(gradient, unit, gain, work)
    else:
        project_layer(gradient, unit, gain, work)
