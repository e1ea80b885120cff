"""Counter-based random numbers: any element of any network, from its address alone.

Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011) turns a 128-bit counter (block, stream, network)
under a 64-bit key (the seed) into 128 random bits. Nothing is carried from one number to the
next, so a network is the same whatever the chunk, the thread or the machine that draws it.

An array is drawn in tiles of `TILE` blocks, laid out so that a loop over a tile writes consecutive
elements: float64 takes two numbers from a block, float32 four. First the tile is filled with
uniform numbers, then these are transformed in place, two at a time: either loop alone is short
enough for a processor to work at several of its turns at once.
"""

from __future__ import annotations

import numpy as np

from .math import log_positive, sine_cosine_turns
from .precision import MANTISSA_BITS, integer, real
from .targets.cpu import lanes, sqrt

TILE = 64

SPARE = 4 * TILE
"""Numbers that must follow an array: the most that its last tile may run over the end."""

VECTOR = 16
"""Blocks are drawn in multiples of this, so that vector loops have no remainder."""

_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)
_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


def philox(block, stream, network, key):
    """Four 32-bit words (as uint64) of Philox4x32-10.

    Parameters
    ----------
    block, stream : uint64
        Low two words of the counter, each below 2^32.
    network, key : uint64
        High 64 bits of the counter; the key.
    """
    c0, c1, c2, c3 = block & _MASK, stream, network & _MASK, network >> _SHIFT
    k0, k1 = key & _MASK, key >> _SHIFT
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ k0, p1 & _MASK, (p0 >> _SHIFT) ^ c3 ^ k1, p0 & _MASK
        k0 = (k0 + _W0) & _MASK
        k1 = (k1 + _W1) & _MASK
    return c0, c1, c2, c3


def open_unit(bits):
    """Uniform number in (0, 1): (bits + 1/2) / 2^MANTISSA_BITS, symmetric about 1/2."""
    one_to_two = integer(integer(bits) | real(1.0).view(integer)).view(real)
    return one_to_two - real(1.0 - 0.5 / 2.0**MANTISSA_BITS)


def normal_pair(u, v, scale):
    """Two independent N(0, scale^2) numbers from two uniform ones (Box and Muller 1958)."""
    radius = scale * sqrt(real(-2.0) * log_positive(u))
    s, c = sine_cosine_turns(v)
    return radius * c, radius * s


def symmetric_pair(u, v, scale):
    """Two independent U(-scale, scale) numbers from two U(0, 1) ones."""
    return scale * (real(2.0) * u - real(1.0)), scale * (real(2.0) * v - real(1.0))


def uniform_double(first, stream, network, key, blocks, tile):
    """Uniform numbers from the blocks `first` onward, two from each (float64)."""
    for j in lanes(blocks):
        a, b, c, d = philox(np.uint64(first + j), stream, network, key)
        tile[j] = open_unit((a << _SHIFT | b) >> np.uint64(12))
        tile[TILE + j] = open_unit((c << _SHIFT | d) >> np.uint64(12))


def uniform_single(first, stream, network, key, blocks, tile):
    """Uniform numbers from the blocks `first` onward, four from each (float32)."""
    for j in lanes(blocks):
        a, b, c, d = philox(np.uint64(first + j), stream, network, key)
        tile[j] = open_unit(a >> np.uint64(9))
        tile[TILE + j] = open_unit(b >> np.uint64(9))
        tile[2 * TILE + j] = open_unit(c >> np.uint64(9))
        tile[3 * TILE + j] = open_unit(d >> np.uint64(9))


def transform(scale, blocks, tile):
    """Turn uniform numbers into those of the wanted distribution, in place."""
    for start in range(0, tile.size, 2 * TILE):
        u, v = tile[start : start + TILE], tile[start + TILE : start + 2 * TILE]
        for j in lanes(blocks):
            u[j], v[j] = pair(u[j], v[j], scale)


def fill(key, stream, first_network, elements, scale, out):
    """Fill rows of `elements` numbers: row k is scale * those of network first_network + k.

    `out` is flat and holds the rows one after the other, then `SPARE` numbers: the last tile of a
    row runs on into the next row, which is drawn later, or into what is spare.
    """
    size = NUMBERS_PER_BLOCK * TILE
    for row in range((out.size - SPARE) // elements):
        network = np.uint64(first_network + row)
        for start in range(0, elements, size):
            tile = out[row * elements + start :][:size]
            blocks = min(TILE, (elements - start + VECTOR - 1) // VECTOR * VECTOR)
            first = start // NUMBERS_PER_BLOCK
            fill_uniform(first, np.uint64(stream), network, np.uint64(key), blocks, tile)
            transform(scale, blocks, tile)


# bound by `specialise`; the float64 normal case, for reading and for plain Python
pair = normal_pair
fill_uniform = uniform_double
NUMBERS_PER_BLOCK = 2
