"""The two number formats a kernel can be compiled for.

Float literals are float64 in compiled code: one bare ``2.0 * x`` would make a float32 kernel
compute in float64. Kernel sources therefore write ``real(2.0)``, and `specialise` binds the
names below to the wanted format. The defaults make the same sources run as plain Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .polynomials import POLYNOMIALS

FORMATS: dict[str, dict[str, Any]] = {
    "float64": {
        "real": np.float64,
        "integer": np.int64,
        "MANTISSA_BITS": 52,
        "EXPONENT_BIAS": 1023,
        "SIGN_BIT": 63,
        "SCALE_LIMIT": 300,
        "RESCALE_AT": 100,
        "MIXED_BELOW": 700,
        "APART": 120,
        **POLYNOMIALS["float64"],
    },
    "float32": {
        "real": np.float32,
        "integer": np.int32,
        "MANTISSA_BITS": 23,
        "EXPONENT_BIAS": 127,
        "SIGN_BIT": 31,
        "SCALE_LIMIT": 60,
        "RESCALE_AT": 20,
        "MIXED_BELOW": 90,
        "APART": 64,
        **POLYNOMIALS["float32"],
    },
}
"""Bindings per precision.

``RESCALE_AT``: a state or gradient is brought back to size 1 once its size leaves
2^-RESCALE_AT..2^RESCALE_AT; the square of a product of two such numbers must be finite.
``SCALE_LIMIT``: the largest |k| for which an activation is evaluated at 2^k times the stored state
(see `bodies.scales`). ``MIXED_BELOW``, ``APART``: a pre-activation below 2^-MIXED_BELOW, and below
2^-APART of the state's size, is about to be lost beside others (see `bodies.mixed`). The
coefficients of the polynomials belong to a format too: float32 needs half as many.
"""

real: Any = np.float64
integer: Any = np.int64
MANTISSA_BITS: int = FORMATS["float64"]["MANTISSA_BITS"]
EXPONENT_BIAS: int = FORMATS["float64"]["EXPONENT_BIAS"]
SIGN_BIT: int = FORMATS["float64"]["SIGN_BIT"]
SCALE_LIMIT: int = FORMATS["float64"]["SCALE_LIMIT"]
RESCALE_AT: int = FORMATS["float64"]["RESCALE_AT"]
MIXED_BELOW: int = FORMATS["float64"]["MIXED_BELOW"]
APART: int = FORMATS["float64"]["APART"]
EXP, LOG, SINE, COSINE, ERF, ERFC = (
    POLYNOMIALS["float64"][name] for name in ("EXP", "LOG", "SINE", "COSINE", "ERF", "ERFC")
)
