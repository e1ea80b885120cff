"""Counter-based random numbers: known answers, addresses, distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gradhorizon.kernels import random
from gradhorizon.kernels.library import fill_kernel
from gradhorizon.kernels.precision import FORMATS
from gradhorizon.kernels.specialise import specialise

PRECISIONS = pytest.mark.parametrize("precision", ["float64", "float32"])
DISTRIBUTIONS = pytest.mark.parametrize("distribution", ["normal", "uniform"])
COUNT = 2**17

ALL = 0xFFFFFFFF
KNOWN_ANSWERS = [  # counter, key, output: Random123's kat_vectors for philox4x32-10
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ALL,) * 4, (ALL,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def fill(
    distribution: str = "normal",
    precision: str = "float64",
    *,
    key: int = 7,
    stream: int = 0,
    network: int = 0,
    shape: tuple[int, int] = (1, COUNT),
    scale: float = 1.0,
) -> np.ndarray:
    size = shape[0] * shape[1]
    out = np.full(size + random.SPARE, np.nan, precision)
    scale = out.dtype.type(scale)
    fill_kernel(distribution, precision)(np.uint64(key), stream, network, shape[1], scale, out)
    return out[:size].reshape(shape)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])
@pytest.mark.parametrize("counter, key, expected", KNOWN_ANSWERS)
def test_philox_known_answers(counter: tuple, key: tuple, expected: tuple, compiled: bool) -> None:
    """block, stream, network low, network high are the counter's words; the key low word first."""
    philox = specialise(random.philox, "known_answers") if compiled else random.philox
    network = np.uint64(counter[2] | counter[3] << 32)
    words = philox(
        np.uint64(counter[0]), np.uint64(counter[1]), network, np.uint64(key[0] | key[1] << 32)
    )
    assert tuple(int(w) for w in words) == expected


@PRECISIONS
def test_addresses_follow_the_documented_layout(precision: str) -> None:
    """Element j of a tile comes from block first + j, via Box and Muller in libm's functions."""
    per_block = {"float64": 2, "float32": 4}[precision]
    out = fill(precision=precision, key=2**63 + 5, stream=3, network=2**40 + 1, shape=(1, 600))[0]
    for element in (0, 1, 63, 64, 127, 128, 200, 255, 256, 599):
        tile, within = divmod(element, per_block * random.TILE)
        part, j = divmod(within, random.TILE)
        block = np.uint64(tile * random.TILE + j)
        words = random.philox(block, np.uint64(3), np.uint64(2**40 + 1), np.uint64(2**63 + 5))
        a, b, c, d = (int(w) for w in words)
        if precision == "float64":
            u, v = (((high << 32 | low) >> 12) + 0.5 for high, low in ((a, b), (c, d)))
            u, v = u * 2.0**-52, v * 2.0**-52
        else:
            u, v = (((w >> 9) + 0.5) * 2.0**-23 for w in ((a, b), (c, d))[part // 2])
        trigonometric = (np.cos, np.sin)[part % 2]
        expected = np.sqrt(-2 * np.log(u)) * trigonometric(2 * np.pi * v)
        tolerance = 40 * float(np.finfo(precision).eps)
        assert float(out[element]) == pytest.approx(expected, rel=tolerance, abs=tolerance)


@PRECISIONS
@DISTRIBUTIONS
def test_any_element_by_its_address(distribution: str, precision: str) -> None:
    """Fewer elements, fewer networks or a later first network change no bit of the others."""
    whole = fill(distribution, precision, network=10, shape=(7, 1000))
    for size in (1, 63, 64, 65, 128, 129, 256, 999):
        np.testing.assert_array_equal(
            fill(distribution, precision, network=10, shape=(7, size)), whole[:, :size]
        )
    for first in range(7):
        later = fill(distribution, precision, network=10 + first, shape=(7 - first, 1000))
        np.testing.assert_array_equal(later, whole[first:])


@PRECISIONS
@DISTRIBUTIONS
def test_distribution(distribution: str, precision: str) -> None:
    """Kolmogorov-Smirnov and four moments of 131072 numbers; false alarm below 1e-6 each."""
    x = fill(distribution, precision)[0].astype(float)
    law = stats.norm() if distribution == "normal" else stats.uniform(-1, 2)
    assert stats.kstest(x, law.cdf).pvalue > 1e-6
    for power in (1, 2, 3, 4):
        mean, square = law.moment(power), law.moment(2 * power)
        z = ((x**power).mean() - mean) / np.sqrt((square - mean**2) / COUNT)
        assert abs(z) < 4.9, power
    if distribution == "uniform":
        assert np.abs(x).max() < 1


@PRECISIONS
def test_tails(precision: str) -> None:
    """Counts beyond 3 and 4 sd are binomial; false alarm below 1e-6 each."""
    x = np.abs(fill(precision=precision, key=3, shape=(1, 8 * COUNT))[0])
    for limit in (3.0, 4.0):
        found, p = int((x > limit).sum()), 2 * stats.norm.sf(limit)
        assert stats.binomtest(found, x.size, p).pvalue > 1e-6


@PRECISIONS
def test_words_at_both_ends_give_finite_normals(precision: str) -> None:
    """Uniform numbers stay inside (0, 1), so that the logarithm and the root are defined."""
    bits = FORMATS[precision]["MANTISSA_BITS"]
    open_unit = specialise(random.open_unit, f"ends_{precision}", **FORMATS[precision])
    real = np.dtype(precision).type
    ends = [real(open_unit(word)) for word in (np.uint64(0), np.uint64(2**bits - 1))]
    assert 0 < ends[0] < ends[1] < 1
    assert float(ends[0]) + float(ends[1]) == 1
    normal_pair = specialise(random.normal_pair, f"ends_{precision}", **FORMATS[precision])
    for u in ends:
        for v in ends:
            assert np.isfinite(normal_pair(u, v, real(1))).all()


@pytest.mark.parametrize(
    "other",
    [dict(key=8), dict(key=7 + 2**32), dict(stream=1), dict(network=1), dict(network=2**32)],
    ids=["key", "key high word", "stream", "network", "network high word"],
)
@PRECISIONS
def test_neighbouring_addresses_are_independent(other: dict[str, int], precision: str) -> None:
    """Correlations of numbers and of squares are N(0, 1/COUNT); false alarm below 1e-6 each."""
    x, y = fill(precision=precision)[0], fill(precision=precision, **other)[0]
    for a, b in ((x, y), (x**2, y**2)):
        assert abs(np.corrcoef(a, b)[0, 1]) * np.sqrt(COUNT) < 4.9


@PRECISIONS
@pytest.mark.parametrize("distance", [1, 2, 64, 128, 192, 256])
def test_elements_are_independent(distance: int, precision: str) -> None:
    """So are elements of one array, the two of a Box-Muller pair included; the same rate."""
    x = fill(precision=precision, key=99)[0]
    for a in (x, x**2):
        r = np.corrcoef(a[distance:], a[:-distance])[0, 1]
        assert abs(r) * np.sqrt(COUNT) < 4.9


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_source_as_plain_python(distribution: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The un-compiled source fills the same numbers, up to fused multiply-adds."""
    pairs = {"normal": random.normal_pair, "uniform": random.symmetric_pair}
    monkeypatch.setattr(random, "pair", pairs[distribution])
    plain = np.empty(400 + random.SPARE)
    random.fill(7, 2, 5, 200, 0.5, plain)
    fast = fill(distribution, stream=2, network=5, shape=(2, 200), scale=0.5)
    np.testing.assert_allclose(plain[:400].reshape(2, 200), fast, rtol=1e-13, atol=1e-16)


@PRECISIONS
@DISTRIBUTIONS
def test_nothing_is_written_beyond_the_spare_numbers(distribution: str, precision: str) -> None:
    """Whatever the length of a row, what follows the spare numbers stays as it was."""
    for elements in (1, 15, 16, 17, 64, 65, 128, 200, 256, 257):
        size = 2 * elements + random.SPARE
        memory = np.full(size + 1000, np.nan, precision)
        one = memory.dtype.type(1)
        fill_kernel(distribution, precision)(np.uint64(7), 0, 0, elements, one, memory[:size])
        assert np.isfinite(memory[: 2 * elements]).all()
        assert np.isnan(memory[size:]).all()
