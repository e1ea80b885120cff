"""The two number formats a kernel can be compiled for.

Float literals are float64 in compiled code: one bare ``2.0 * x`` would make a float32 kernel
compute in float64. Kernel sources therefore write ``real(2.0)``, and `specialise` binds the
names below to the wanted format. The defaults make the same sources run as plain Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np

FORMATS: dict[str, dict[str, Any]] = {
    "float64": {
        "real": np.float64,
        "integer": np.int64,
        "MANTISSA_BITS": 52,
        "EXPONENT_BIAS": 1023,
        "SCALE_LIMIT": 300,
        "RESCALE_AT": 100,
    },
    "float32": {
        "real": np.float32,
        "integer": np.int32,
        "MANTISSA_BITS": 23,
        "EXPONENT_BIAS": 127,
        "SCALE_LIMIT": 60,
        "RESCALE_AT": 20,
    },
}
"""Bindings per precision.

``RESCALE_AT``: a state or gradient is brought back to size 1 once its size leaves
2^-RESCALE_AT..2^RESCALE_AT; the square of a product of two such numbers must be finite.
``SCALE_LIMIT``: the largest |k| for which an activation is evaluated at 2^k times the stored state
(see `bodies.forward`).
"""

real: Any = np.float64
integer: Any = np.int64
MANTISSA_BITS: int = FORMATS["float64"]["MANTISSA_BITS"]
EXPONENT_BIAS: int = FORMATS["float64"]["EXPONENT_BIAS"]
SCALE_LIMIT: int = FORMATS["float64"]["SCALE_LIMIT"]
RESCALE_AT: int = FORMATS["float64"]["RESCALE_AT"]
