"""The sweeps' sources run un-compiled, as plain Python, and agree with the compiled kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import plain
import pytest

from gradhorizon.engine import NetworkSpec, measure, processor
from gradhorizon.engine.spectrum import VARIABLES
from gradhorizon.kernels.bodies.lyapunov import LIMIT


def compare(spec: NetworkSpec, steps: int, loss: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hold the kernels' sources, run as they are, to the compiled kernels; all products."""
    products = ("trajectory", "gradient", "weights", "jacobian", "lyapunov")
    arguments: dict[str, Any] = dict(networks=2, steps=steps, products=products, loss=loss)
    compiled = measure(spec, **arguments)
    monkeypatch.setattr(processor, "run_sweeps", plain.run_sweeps)
    slow = measure(spec, **arguments)
    # rounding errors, of which this is a measure, agree in their order of magnitude
    assert abs(np.log(slow.worst_condition / compiled.worst_condition)).max() < np.log(100)
    for name in set(compiled.data_vars) - {"log_singular_value", "worst_condition"}:
        # an orthonormalisation may cost eight digits, as many as `LIMIT` has
        error = 1e-11 if name not in VARIABLES else LIMIT * float(np.finfo(float).eps)
        np.testing.assert_allclose(slow[name], compiled[name], rtol=error, atol=error)
    # a norm makes some singular values zero; what rounding leaves of them is not compared
    ours, theirs = compiled.log_singular_value, slow.log_singular_value
    seen = ours > (ours.isel(index=0) - 20 if spec.normalization != "none" else -np.inf)
    assert seen.sum() >= 2
    np.testing.assert_allclose(theirs.where(seen, 0), ours.where(seen, 0), rtol=1e-8)


@pytest.mark.parametrize("normalization", ["batch", "batch-separate", "layer"])
def test_normalised_networks_too(normalization: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Norms, with sequences coupled or not."""
    spec = NetworkSpec(
        hidden_size=4,
        input_size=3,
        bias_scale=0.2,
        batch_size=3,
        normalization=normalization,
        norm_scale=0.7,
    )
    compare(spec, 7, "every", monkeypatch)


@pytest.mark.parametrize("loss", ["last", "every"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("skip, branch", [(0.0, 1.0), (3.0, 4.0)], ids=["plain", "growing"])
def test_plain_python_gives_the_same(
    skip: float, branch: float, tied: bool, loss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All products of a tanh network to rounding; skip = 3 makes the state outgrow its scale."""
    spec = NetworkSpec(
        hidden_size=5,
        input_size=3,
        weight_scale=0.9,
        bias_scale=0.2,
        tied=tied,
        skip=skip,
        branch=branch,
        batch_size=2,
    )
    compare(spec, 8 if skip == 0 else 80, loss, monkeypatch)
