"""Theory of normalised and residual nets: tables, closed forms, other quadrature, sampled layers.

Every z-test has the false-alarm rate 6e-5 (4 standard errors), with fixed seeds.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from math import acos, asin, exp, inf, log, pi, sqrt

import mpmath as mp
import numpy as np
import pytest

from gradhorizon.studies.expectations import ACTIVATIONS, gaussian_expectation
from gradhorizon.studies.theory import critical_weight_scale, mean_field
from gradhorizon.studies.theory_norm import (
    NORMALIZATIONS,
    finite_batch_mean_field,
    normalized_mean_field,
)
from gradhorizon.studies.theory_residual import residual_path

pytestmark = pytest.mark.filterwarnings("error")

NAMES = sorted(ACTIVATIONS)
Number = Callable[[mp.mpf], mp.mpf]
# phi and phi' once more, in many digits
EXACT: dict[str, tuple[Number, Number]] = {
    "tanh": (mp.tanh, lambda u: mp.sech(u) ** 2),
    "sigmoid": (lambda u: 1 / (1 + mp.exp(-u)), lambda u: mp.sech(u / 2) ** 2 / 4),
    "relu": (lambda u: max(u, mp.mpf(0)), lambda u: mp.mpf(u > 0)),
    "softplus": (lambda u: mp.log(1 + mp.exp(u)), lambda u: 1 / (1 + mp.exp(-u))),
}


def exactly(function: Number, variance: float) -> mp.mpf:
    """E function(sqrt(variance) z) by tanh-sinh quadrature, split at a kink at 0."""
    spread = mp.sqrt(variance)

    def weighted(z: mp.mpf) -> mp.mpf:
        return function(spread * z) * mp.npdf(z)

    return mp.quad(weighted, [-12, -3, 0, 3, 12])


# Wide batches


@pytest.mark.parametrize(
    "name, chi, digits",
    [
        ("linear", 1.0, 1e-14),
        ("relu", pi / (pi - 1), 1e-12),
        ("relu", 1.46694, 5e-6),
        ("sigmoid", 1.0336, 5e-5),
        ("erf", 1.2257, 5e-5),
    ],
)
def test_growth_of_batch_normalised_nets(name: str, chi: float, digits: float) -> None:
    """Table and closed forms of Yang et al. 2019."""
    field = normalized_mean_field(name)
    assert field.q == 1.0
    assert field.chi_1 == pytest.approx(chi, abs=digits)
    assert field.rate == pytest.approx(0.5 * log(chi), abs=digits)


def test_growth_of_recurrent_batch_norm() -> None:
    """gamma^2 E sech^4(sqrt2 gamma z) / E tanh^2(sqrt2 gamma z) for norms apart."""
    for gamma, table in ((0.1, 0.5002), (1.0, 0.672), (2.0, None)):
        field = normalized_mean_field(
            "tanh", normalization="batch-separate", norm_scale=gamma, input_variance=0.3
        )
        above = exactly(lambda u: mp.sech(u) ** 4, 2 * gamma**2)
        below = exactly(lambda u: mp.tanh(u) ** 2, 2 * gamma**2)
        assert field.chi_1 == pytest.approx(float(gamma**2 * above / below), rel=1e-11, abs=0)
        assert field.q == pytest.approx(2 * gamma**2, rel=1e-15, abs=0)
        if table:
            assert field.chi_1 == pytest.approx(table, abs=5e-4 if table == 0.672 else 5e-5)


@pytest.mark.parametrize("name", sorted(EXACT))
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_growth_against_other_quadrature(name: str, normalization: str) -> None:
    """Slope, weight scale, input and norm scale, to 1e-10; without bias."""
    a, scale, drive, gamma = 1.3, 0.7, 0.4, 1.9
    value, derivative = EXACT[name]
    terms = 2 if normalization == "batch-separate" else 1
    variance = terms * (a * gamma) ** 2
    seen = exactly(lambda u: value(u) ** 2, variance)
    if normalization != "layer":
        seen -= exactly(value, variance) ** 2
    steepness = a**2 * exactly(lambda u: derivative(u) ** 2, variance)
    below = scale**2 * seen + (0 if normalization == "batch-separate" else drive)
    found = normalized_mean_field(
        name,
        normalization=normalization,
        slope=a,
        weight_scale=scale,
        input_variance=drive,
        norm_scale=gamma,
    )
    expected = float((gamma * scale) ** 2 * steepness / below)
    assert found.chi_1 == pytest.approx(expected, rel=1e-10, abs=0)
    assert found.q == pytest.approx(terms * gamma**2, rel=1e-15, abs=0)


@pytest.mark.parametrize("gamma, bias", [(1.0, 0.5), (0.3, 2.0), (4.0, 1.0)])
def test_growth_with_bias(gamma: float, bias: float) -> None:
    """A bias does not vary over the batch: closed forms for erf, sine and the identity.

    E over b of Var phi(gamma z + b) is E phi(u)^2 - E phi(u) phi(v) for u, v of covariance bias^2.
    """
    q = gamma**2 + bias**2
    erf = normalized_mean_field("erf", norm_scale=gamma, bias_scale=bias)
    seen = 2 / pi * (asin(2 * q / (1 + 2 * q)) - asin(2 * bias**2 / (1 + 2 * q)))
    assert erf.chi_1 == pytest.approx(gamma**2 * 4 / pi / sqrt(1 + 4 * q) / seen, rel=1e-9, abs=0)
    sine = normalized_mean_field("sin", norm_scale=gamma, bias_scale=bias)
    seen = (1 - exp(-2 * q)) / 2 - (exp(-(gamma**2)) - exp(-q - bias**2)) / 2
    steepness = (1 + exp(-2 * q)) / 2
    assert sine.chi_1 == pytest.approx(gamma**2 * steepness / seen, rel=1e-9, abs=0)
    identity = normalized_mean_field("linear", norm_scale=gamma, bias_scale=bias)
    assert identity.chi_1 == pytest.approx(1.0, rel=1e-9, abs=0)
    assert identity.q == pytest.approx(q, rel=1e-15, abs=0)


@pytest.mark.parametrize("name", NAMES)
def test_batch_norm_explodes(name: str) -> None:
    """chi >= 1 (Poincare's inequality) at any norm scale and bias, equal where phi is straight."""
    for gamma in (0.05, 1.0, 5.0):
        for bias in (0.0, 1.0):
            chi = normalized_mean_field(name, norm_scale=gamma, bias_scale=bias).chi_1
            assert chi > 1.0 - 1e-9
            if name == "linear":
                assert chi < 1.0 + 1e-9
            elif gamma > 1.0:
                assert chi > 1.1


@pytest.mark.parametrize("name", NAMES)
def test_symmetries(name: str) -> None:
    """The weight scale cancels, slope and norm scale act as one; an input in the norm dilutes."""
    plain = normalized_mean_field(name, norm_scale=1.7).chi_1
    assert normalized_mean_field(name, norm_scale=1.7, weight_scale=9.0).chi_1 == pytest.approx(
        plain, rel=1e-12, abs=0
    )
    assert normalized_mean_field(name, slope=1.7).chi_1 == pytest.approx(plain, rel=1e-12, abs=0)
    diluted = normalized_mean_field(name, norm_scale=1.7, input_variance=0.5).chi_1
    assert diluted < plain
    alone = normalized_mean_field(name, norm_scale=1.7, normalization="batch-separate").chi_1
    assert alone == plain  # without input there is one term


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "elu", "hard_tanh", "sin"])
def test_layer_norm_at_the_stationary_variance_changes_nothing(name: str) -> None:
    """gamma^2 = q - bias^2 of the plain network: the norm divides by what it multiplies with.

    So chi is the plain network's; for odd phi that of batch normalisation without bias, too.
    """
    for bias in (0.0, 0.4):
        scales = {"weight_scale": 1.1, "input_variance": 0.2, "bias_scale": bias}
        plain = mean_field(name, **scales)
        gamma = sqrt(plain.q - bias**2)
        layer = normalized_mean_field(name, normalization="layer", norm_scale=gamma, **scales)
        assert layer == pytest.approx(plain, rel=1e-10, abs=1e-10)
        if name in ("tanh", "hard_tanh", "sin") and bias == 0.0:
            batch = normalized_mean_field(name, norm_scale=gamma, **scales)
            assert batch == pytest.approx(plain, rel=1e-10, abs=1e-10)


# Finite batches


@pytest.mark.parametrize("size", [4, 5, 6, 8, 16, 64, 1000])
def test_finite_batch_closed_forms(size: int) -> None:
    """(B-2)/(B-3) for the identity; ReLU from arc-cosine kernels (Cho & Saul 2009).

    Functions homogeneous in y have the same means on the sphere as over the Gaussian vector of
    covariance I - 11^T/B, but for the mean square radius.
    """
    identity = finite_batch_mean_field("linear", size, norm_scale=0.7, weight_scale=3.0)
    assert identity.chi_1 == pytest.approx((size - 2) / (size - 3), rel=1e-10, abs=0)
    angle = acos(-1 / (size - 1))
    both = (pi - angle) / (2 * pi)  # probability that both are active
    overlap = (np.sin(angle) + (pi - angle) * np.cos(angle)) / (2 * pi)
    passed = (size - 1) / 2 - 1 / 2 + both + overlap
    relu = finite_batch_mean_field("relu", size, slope=2.0)
    expected = passed / ((size - 3) * (0.5 - overlap))
    assert relu.chi_1 == pytest.approx(expected, rel=1e-10, abs=0)


def test_finite_batch_table() -> None:
    """Measured growth at N = 512: 0.58 / 0.47 / 0.42 / 0.40 for B = 8 / 16 / 32 / 64."""
    found = [2 * finite_batch_mean_field("relu", size).rate for size in (8, 16, 32, 64)]
    assert found == pytest.approx([0.58, 0.47, 0.42, 0.40], abs=0.007)


@pytest.mark.parametrize("name", NAMES)
def test_finite_batch_tends_to_the_wide_one(name: str) -> None:
    """The difference falls like 1/B, with input in the norm too."""
    more = {"input_variance": 0.3, "weight_scale": 1.4, "norm_scale": 2.0}
    limit = normalized_mean_field(name, **more).chi_1
    near, far = (finite_batch_mean_field(name, size, **more).chi_1 for size in (1000, 2000))
    assert near == pytest.approx(limit, rel=2e-2)
    assert 2 * far - near == pytest.approx(limit, rel=1e-5)
    assert near != pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize("size", [4, 7, 32])
def test_finite_batch_of_norms_apart(size: int) -> None:
    """The identity: (B-2)/(B-3)/2, as the recurrent term has half of the variance.

    Without input there is one term; with it the rate tends to that of wide batches like 1/B.
    """
    options = {"normalization": "batch-separate", "norm_scale": 1.3}
    identity = finite_batch_mean_field("linear", size, input_variance=0.1, **options)
    assert identity.chi_1 == pytest.approx((size - 2) / (size - 3) / 2, rel=1e-10, abs=0)
    alone = finite_batch_mean_field("relu", size, **options)
    assert alone == finite_batch_mean_field("relu", size, norm_scale=1.3)
    near, far = (
        finite_batch_mean_field("elu", 40 * size * k, input_variance=0.1, **options) for k in (1, 2)
    )
    limit = normalized_mean_field("elu", input_variance=0.1, **options)
    assert 2 * far.chi_1 - near.chi_1 == pytest.approx(limit.chi_1, rel=3e-4)
    assert abs(near.chi_1 - limit.chi_1) > 1e-4
    assert near.q == limit.q


CASES = [
    ("tanh", 1.0, 5, 0.0),
    ("elu", 2.0, 6, 0.5),
    ("sin", 1.5, 8, 0.0),
    ("hard_tanh", 0.7, 5, 0.5),
    ("relu", 1.0, 8, 0.5),
]


@pytest.mark.parametrize("name, gamma, size, drive", CASES)
@pytest.mark.parametrize("normalization", ["batch", "batch-separate"])
def test_finite_batch_against_sampled_layers(
    name: str, gamma: float, size: int, drive: float, normalization: str
) -> None:
    """The norm's Jacobian by complex steps, at 60,000 random pre-activations of covariance A.

    With xi = W^T g of covariance I - 11^T/B, the growth is E|N^T D xi|^2 / (B - 1).
    """
    rng, draws, unit, step = np.random.default_rng(7), 60_000, ACTIVATIONS[name], 1e-20
    separate = normalization == "batch-separate" and drive > 0

    def normalise(z: np.ndarray) -> np.ndarray:
        centred = z - z.mean(axis=1, keepdims=True)
        return gamma * centred / np.sqrt((centred**2).mean(axis=1, keepdims=True))

    def normals() -> np.ndarray:
        return rng.standard_normal((draws, size))

    def other() -> np.ndarray | float:
        return normalise(normals()) if separate else 0.0

    h = unit.value(normalise(normals()) + other())
    # covariance over the batch without its mean: an unbiased estimate for each unit
    spread = h.var(axis=1, ddof=1)
    A = spread.mean() + (0.0 if separate else drive)
    z, xi = sqrt(A) * normals(), normals()
    received = unit.derivative(normalise(z) + other()) * (xi - xi.mean(axis=1, keepdims=True))
    passed = np.empty((draws, size))
    for b in range(size):  # one column of the Jacobian at a time
        shift = np.zeros(size, dtype=complex)
        shift[b] = 1j * step
        passed[:, b] = (normalise(z + shift).imag / step * received).sum(axis=1)
    growth = (passed**2).sum(axis=1) / (size - 1)
    theory = finite_batch_mean_field(
        name, size, normalization=normalization, norm_scale=gamma, input_variance=drive
    ).chi_1
    # A's own error, a few parts in a thousand, belongs to the standard error
    doubt = growth.mean() * spread.std() / A / sqrt(draws)
    error = np.hypot(growth.std() / sqrt(draws), doubt)
    assert error < 0.05 * theory
    assert abs(growth.mean() - theory) <= 4 * error


# Residual nets


def test_residual_tanh_table() -> None:
    """sigma_w = 1: ln of the squared gradient grows by 10.55 in 100 layers, 34.27 in 1000.

    Yang & Schoenholz 2017: like the square root of the depth.
    """
    path = residual_path("tanh", 1000)
    log_chi = np.log(path.chi)
    assert path.q[0] == 1.0
    assert log_chi[:100].sum() == pytest.approx(10.55, abs=0.005)
    assert log_chi.sum() == pytest.approx(34.27, abs=0.006)
    # q ~ l and E sech^4(sqrt q z) ~ (4/3) / sqrt(2 pi q): the growth of sqrt l of 16/3 / sqrt(2 pi)
    growth = (log_chi.cumsum()[-1] - log_chi.cumsum()[249]) / (sqrt(1000) - sqrt(250))
    assert growth == pytest.approx(8 / 3 / sqrt(2 * pi), rel=0.03)


def test_residual_relu() -> None:
    """1 + sigma_w^2 / 2 for the incoherent gradient; the coherent one grows like the state."""
    for skip, branch, scale in ((1.0, 1.0, 1.0), (1.0, 0.5, 1.4), (0.5, -2.0, 0.6)):
        path = residual_path("relu", 80, skip=skip, branch=branch, weight_scale=scale)
        expected = skip**2 + branch**2 * scale**2 / 2
        np.testing.assert_allclose(path.chi, expected, rtol=1e-12)
        np.testing.assert_allclose(path.coherent[30:50], path.q[40] / path.q[39], rtol=1e-6)
        lag = np.arange(80)
        np.testing.assert_allclose(path.log_gradient, lag * log(expected) / 2, atol=1e-11)


def test_residual_relu_mean_is_stationary() -> None:
    """r = m / sqrt p solves r^2 (1 + 2 s r + sigma^2/2) = (r + s)^2, s = sigma / sqrt(2 pi)."""
    s = 1 / sqrt(2 * pi)
    r = max(root.real for root in np.roots([2 * s, 0.5, -2 * s, -(s**2)]))
    path = residual_path("relu", 100)
    assert path.q[-1] / path.q[-2] == pytest.approx(1.5 + 2 * s * r, rel=1e-10, abs=0)
    assert path.coherent[50] == pytest.approx(1.5 + 2 * s * r, rel=1e-10, abs=0)


def test_plain_path_is_the_mean_field() -> None:
    """skip -> 0: variance and growth tend to the plain network's, which are stationary."""
    plain = mean_field("softplus", weight_scale=1.2, bias_scale=0.3)
    initial = (plain.q - 0.09) / 1.44
    path = residual_path(
        "softplus", 5, weight_scale=1.2, bias_scale=0.3, skip=1e-12, initial_variance=initial
    )
    np.testing.assert_allclose(path.q, plain.q, rtol=1e-10)
    np.testing.assert_allclose(path.chi, plain.chi_1, rtol=1e-10)
    np.testing.assert_allclose(path.log_gradient, np.arange(5) * plain.rate, atol=1e-9)


@pytest.mark.parametrize("name", ["elu", "tanh", "sigmoid", "gelu"])
def test_residual_layers_against_sampled_ones(name: str) -> None:
    """One layer at n = 300, 200 times: moments, growth of noise, and of 1 and h in the gradient.

    The second layer of two, so that h has a mean. Finite-size term: 4 parts in n.
    """
    rng, n, draws, unit = np.random.default_rng(3), 300, 200, ACTIVATIONS[name]
    skip, branch, scale, bias, slope = 0.8, 1.3, 1.5, 0.4, 1.2
    options = dict(slope=slope, weight_scale=scale, bias_scale=bias, skip=skip, branch=branch)
    path = residual_path(name, 2, **options)
    found = []
    for _ in range(draws):
        W, b = scale / sqrt(n) * rng.standard_normal((2, n, n)), bias * rng.standard_normal((2, n))
        h = [rng.standard_normal(n)]
        for layer in range(2):
            net = W[layer] @ h[-1] + b[layer]
            h.append(skip * h[-1] + branch * unit.value(slope * net))
        D = branch * slope * unit.derivative(slope * net)

        def back(g: np.ndarray, D: np.ndarray = D, W: np.ndarray = W[1]) -> np.ndarray:
            return skip * g + W.T @ (D * g)

        noise = back(rng.standard_normal(n))
        columns = np.linalg.lstsq(
            np.stack([np.ones(n), h[1]], axis=1),
            np.stack([back(np.ones(n)), back(h[2])], axis=1),
            rcond=None,
        )[0]
        found.append([net.var() + net.mean() ** 2, (noise**2).mean(), *columns.ravel()])
    measured, error = np.mean(found, axis=0), np.std(found, axis=0) / sqrt(draws)
    second = _coherent_map(name, path.q[1], **options)
    expected = np.array([path.q[1], path.chi[1], *second.ravel()])
    assert (np.abs(measured - expected) <= 4 * error + 4 / n * np.abs(expected).max()).all()


def _coherent_map(
    name: str,
    q: float,
    *,
    slope: float,
    weight_scale: float,
    bias_scale: float,
    skip: float,
    branch: float,
) -> np.ndarray:
    """What layer 2 makes of gradients 1 and h', from Stein's lemma by finite differences of E.

    d/dx E F(x + net) at x = 0 is E F'(net): F = phi' and phi' phi, net ~ N(0, q).
    """
    unit, eps = ACTIVATIONS[name], 1e-4
    u, weight = np.polynomial.hermite_e.hermegauss(180)
    weight = weight / weight.sum()

    def expect(function: Callable[[np.ndarray], np.ndarray]) -> float:
        return float(weight @ function(sqrt(q) * u))

    def value(x: np.ndarray) -> np.ndarray:
        return unit.value(slope * x)

    def derivative(x: np.ndarray) -> np.ndarray:
        return slope * unit.derivative(slope * x)

    def rate(function: Callable[[np.ndarray], np.ndarray]) -> float:
        change = [expect(lambda x, d=d: function(x + d)) for d in (-eps, eps)]  # type: ignore[misc]
        return (change[1] - change[0]) / (2 * eps)

    q1 = weight_scale**2 + bias_scale**2
    mean = branch * gaussian_expectation(unit.value, unit, slope**2 * q1)
    pull = branch * weight_scale**2
    of_one = [skip, pull * rate(derivative)]
    bend = skip * mean * rate(derivative) + branch * rate(lambda x: value(x) * derivative(x))
    of_h = [skip * branch * expect(value), skip**2 + pull * bend]
    return np.array([of_one, of_h]).T


# Refusals


def test_bad_arguments() -> None:
    """Each is named with its value and what is allowed."""
    with pytest.raises(ValueError, match=r"normalization='group'.*batch-separate"):
        normalized_mean_field("tanh", normalization="group")
    with pytest.raises(ValueError, match=r"swish.*tanh"):
        normalized_mean_field("swish")
    with pytest.raises(ValueError, match=r"normalization='layer'.*batch-separate"):
        finite_batch_mean_field("tanh", 8, normalization="layer")
    with pytest.raises(ValueError, match="batch_size=3"):
        finite_batch_mean_field("tanh", 3)
    with pytest.raises(ValueError, match="depth=0"):
        residual_path("tanh", 0)
    with pytest.raises(ValueError, match="overflows"):
        residual_path("relu", 2000)
    with pytest.raises(ValueError, match="dies out"):
        residual_path("tanh", 2000, skip=0.1, branch=0.1)
    for bad in (0.0, -1.0, inf):
        with pytest.raises(ValueError, match=f"norm_scale={bad}"):
            normalized_mean_field("tanh", norm_scale=bad)
        with pytest.raises(ValueError, match=f"weight_scale={bad}"):
            finite_batch_mean_field("tanh", 8, weight_scale=bad)
        with pytest.raises(ValueError, match=f"initial_variance={bad}"):
            residual_path("tanh", 3, initial_variance=bad)
    with pytest.raises(ValueError, match="bias_scale=-1"):
        normalized_mean_field("tanh", bias_scale=-1.0)


def test_critical_depth_is_out_of_reach_with_batch_norm() -> None:
    """No weight scale makes a batch-normalised net critical, while the plain one has a value."""
    critical = critical_weight_scale("tanh")
    for scale in (0.1 * critical, critical, 10 * critical):
        assert normalized_mean_field("tanh", weight_scale=scale).rate > 0.08


def test_import_is_light() -> None:
    """Command start-up must not pay for scipy or for compilers."""
    code = (
        "import sys; import gradhorizon.studies.theory_norm, gradhorizon.studies.theory_gated; "
        "print([m for m in ('scipy.special', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
