"""Activation functions as the kernels evaluate them, for tables and figures."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..kernels.activations import ACTIVATIONS
from ..kernels.contract import Array


def activation_curve(name: str, slope: float, z: npt.ArrayLike) -> Array:
    """Values and derivatives of f(z) = phi(slope z).

    Parameters
    ----------
    name : str
        One of the activations of `NetworkSpec`.
    slope : float
    z : array (points,)

    Returns
    -------
    array (2, points)
        f(z) and f'(z), from the kernels' own sources run as plain Python.
    """
    phi = ACTIVATIONS[name]
    pairs = [phi(np.float64(slope * x)) for x in np.asarray(z, np.float64)]
    curve = np.array(pairs).T
    curve[1] *= slope
    return curve
