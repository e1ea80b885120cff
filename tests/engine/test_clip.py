"""Gradient clipping against NumPy on the kept gradients, and where norms leave every format."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from gradhorizon.engine import NetworkSpec, measure, sample

CLIP = {"norm": [1e-3, 0.5, 1e3], "value": [1e-4, 0.02, 1e3]}
SPECS: dict[str, dict[str, Any]] = {
    "rnn": {},
    "untied": {"tied": False},
    "gru": {"cell": "gru", "bias_scale": 0.3},
    "lstm batch norm": {"cell": "lstm", "normalization": "batch", "batch_size": 3},
    "float32": {"precision": "float32"},
}


def flat_gradients(data: xr.Dataset) -> np.ndarray:
    """All entries of all weight gradients, (network, entry)."""
    names = [name for name in data.data_vars if name.startswith("grad_")]
    count = data.sizes["network"]
    return np.concatenate([data[name].values.reshape(count, -1) for name in names], axis=1)


def angle(x: np.ndarray, y: np.ndarray) -> float:
    cosine = x @ y / np.sqrt((x @ x) * (y @ y))
    return float(np.arccos(min(cosine, 1.0)))


@pytest.mark.parametrize("name", SPECS)
def test_clipping_of_the_kept_gradients(name: str) -> None:
    """Norm, share and angle follow from the entries themselves, for every threshold."""
    spec = NetworkSpec(hidden_size=6, input_size=4, weight_scale=1.5, **SPECS[name])
    data = measure(
        spec, networks=5, steps=12, products=("weights",), keep=("gradients",), clip=CLIP
    )
    tolerance = 1e-5 if spec.precision == "float32" else 1e-12
    g = flat_gradients(data)
    norm = np.linalg.norm(g, axis=1)
    np.testing.assert_allclose(data.log_grad_norm, np.log(norm), rtol=tolerance, atol=tolerance)
    assert list(data["clip"].values[:2]) == ["norm 0.001", "norm 0.5"]
    for kind, c, label in zip(
        data.clip_kind.values, data.clip_threshold.values, data["clip"].values, strict=True
    ):
        shrunk = g * np.minimum(1, c / norm)[:, None]
        after = shrunk if kind == "norm" else np.clip(g, -c, c)
        one = data.sel(clip=label)
        expected = np.log(np.linalg.norm(after, axis=1))
        np.testing.assert_allclose(one.log_clipped_norm, expected, rtol=tolerance, atol=tolerance)
        share = (norm > c) if kind == "norm" else (np.abs(g) > c).mean(axis=1)
        np.testing.assert_array_equal(one.clipped_share, share)
        turned = [angle(x, y) for x, y in zip(g, after, strict=True)]
        np.testing.assert_allclose(one.clip_angle, turned, rtol=1e-6, atol=1e-7)
    assert (data.clip_angle.isel(clip=slice(0, 3)) == 0).all()  # norm clipping turns nothing
    assert (data.clip_angle.sel(clip="value 0.0001") > 0.1).all()


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_norms_beyond_every_format(precision: str) -> None:
    """Linear chains of 2000 steps, |g| about e^2200: the rule acts as on other numbers."""
    spec = NetworkSpec(
        activation="linear",
        weights="orthogonal",
        hidden_size=4,
        weight_scale=3.0,
        precision=precision,
    )
    ensemble = sample(spec, 3, 2000, inputs="zero", burn_in=0)
    data = measure(ensemble, products=("weights",), clip={"norm": 2.0, "value": 0.1})
    for name in ("log_grad_norm", "log_clipped_norm", "clipped_share", "clip_angle"):
        assert np.isfinite(data[name]).all(), name
    norm, value = data.sel(clip="norm 2"), data.sel(clip="value 0.1")
    assert (data.log_grad_norm > 2000).all()
    np.testing.assert_allclose(norm.log_clipped_norm, np.log(2.0), rtol=1e-12)
    assert (norm.clipped_share == 1).all()
    # every entry that is not zero is at the threshold: 16 of W, 4 of b, none of U
    entries = 4 * 4 + 4 * 4 + 4
    expected = np.log(0.1) + 0.5 * np.log(value.clipped_share * entries)
    np.testing.assert_allclose(value.log_clipped_norm, expected, rtol=1e-12)
    np.testing.assert_allclose(value.clipped_share, 20 / entries)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_tiny_gradients_are_left_alone(precision: str) -> None:
    ensemble = sample(NetworkSpec(hidden_size=4, precision=precision), 3, 20)
    ensemble["readout_gradient"] *= 1e-30
    data = measure(ensemble, products=("weights",), clip={"norm": 1e30, "value": 1e-3})
    assert (data.log_grad_norm < -50).all()
    assert (data.clipped_share == 0).all()
    assert (data.clip_angle == 0).all()
    for label in data["clip"].values:
        one = data.log_clipped_norm.sel(clip=label)
        np.testing.assert_array_equal(one, data.log_grad_norm)


def test_clipping_leaves_the_rest_alone() -> None:
    """Clipping is an operation on the result: no other variable changes by one bit."""
    spec = NetworkSpec(hidden_size=5, weight_scale=2.0)
    arguments: dict[str, Any] = dict(networks=3, steps=20, products=("gradient", "weights"))
    plain = measure(spec, **arguments)
    clipped = measure(spec, clip={"norm": 1e-6}, **arguments)
    for name in plain.data_vars:
        np.testing.assert_array_equal(plain[name], clipped[name])
    assert "clip" not in plain.dims
