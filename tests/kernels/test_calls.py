"""Views of one network's arrays, and calls of compiled sweeps by their address."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import plain
import pytest

from gradhorizon.kernels.targets import cpu
from gradhorizon.kernels.targets.calls import address, call, flat, of_network


class Inner(NamedTuple):
    own: Any
    shared: Any


class Outer(NamedTuple):
    first: Inner
    second: Inner


def some(networks: int) -> Outer:
    """Arrays of 1 to 3 axes, each network's own or shared."""
    numbers = np.arange(networks * 12.0)
    first = Inner(numbers.reshape(networks, 3, 4), numbers[:6].reshape(1, 2, 3))
    return Outer(first, Inner(np.arange(2 * networks).reshape(networks, 2), np.zeros((1, 5))))


@numba.njit
def sums(k: int, networks: int, chunk: Outer) -> tuple[float, float, float]:
    """Weighted sums, so that a wrong order or a wrong entry shows."""
    network = of_network(k, 0, networks, chunk)
    total = 0.0
    for i in range(network.first.own.shape[0]):
        for j in range(network.first.own.shape[1]):
            total += (10 * i + j) * network.first.own[i, j]
    network.second.shared[k] += 1.0
    return total, network.first.shared[1, 2], network.second.own[1]


@pytest.mark.parametrize("networks", [1, 4])
def test_arrays_of_one_network(networks: int) -> None:
    """As the plain twin has them; what is shared is one array, and written through."""
    chunk = some(networks)
    for k in range(networks):
        network = plain.of_network(k, chunk)
        weights = 10 * np.arange(3)[:, None] + np.arange(4)
        expected = ((weights * network.first.own).sum(), 5.0, network.second.own[1])
        assert sums(k, networks, chunk) == expected
    np.testing.assert_array_equal(chunk.second.shared[0, :networks], 1)


@numba.njit
def flat_sum(array: Any) -> float:
    total = 0.0
    for x in flat(array):
        total += x
    return total


def test_flat() -> None:
    """All numbers of an array in their order; what has gaps does not compile."""
    for shape in ((5,), (2, 3), (2, 3, 4), (0, 3)):
        array = np.arange(float(np.prod(shape))).reshape(shape)
        assert flat_sum(array) == array.sum() == cpu.flat(array).sum()
    with pytest.raises(numba.TypingError, match="contiguous"):
        flat_sum(np.ones((4, 6))[:, ::2])


@numba.njit(cache=False)
def double(setting: tuple[float, int], network: Outer) -> None:
    for i in range(network.second.own.size):
        network.second.own[i] *= setting[1]


@numba.njit(cache=False)
def fail(setting: tuple[float, int], network: Outer) -> None:
    if network.second.own[0] == 4:
        raise ValueError("the third network")


@numba.njit
def loop(networks: int, bodies: Any, setting: tuple[float, int], chunk: Outer) -> None:
    for k in range(networks):
        network = of_network(k, 0, networks, chunk)
        for body in bodies:
            call(body, setting, network)


def test_calls_by_address() -> None:
    """Every sweep runs for every network, in the given order; an exception reaches the caller."""
    chunk, setting = some(3), (1.0, 2)
    kinds = numba.typeof(setting), numba.typeof(chunk)
    bodies = [address(body, *kinds) for body in (double, fail)]
    before = chunk.second.own.copy()
    loop(3, np.array(bodies[:1] * 2), setting, chunk)
    np.testing.assert_array_equal(chunk.second.own, 4 * before)
    chunk.second.own[:] = before
    with pytest.raises(ValueError, match="the third network"):
        loop(3, np.array(bodies[1:] + bodies[:1]), setting, chunk)
    np.testing.assert_array_equal(chunk.second.own, before * [[2], [2], [1]])
