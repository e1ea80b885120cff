"""Counter-based random numbers: any element of any network, from its address alone.

Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011) turns a 128-bit counter (block, stream, network)
under a 64-bit key (the seed) into 128 random bits. Nothing is carried from one number to the
next, so a network is the same whatever the chunk, the thread or the machine that draws it.

An array is drawn in tiles of `TILE` blocks, laid out so that the loop over a tile writes
consecutive elements: float64 takes two numbers from a block, float32 four.
"""

from __future__ import annotations

import numpy as np

from .math import log_positive, sine_cosine_turns
from .precision import real

TILE = 64

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
    c0, c1, c2, c3 = block, stream, network & _MASK, network >> _SHIFT
    k0, k1 = key & _MASK, key >> _SHIFT
    for _ in range(10):
        p0 = _M0 * c0
        p1 = _M1 * c2
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ k0, p1 & _MASK, (p0 >> _SHIFT) ^ c3 ^ k1, p0 & _MASK
        k0 = (k0 + _W0) & _MASK
        k1 = (k1 + _W1) & _MASK
    return c0, c1, c2, c3


def open_unit(high, low):
    """Uniform number in (0, 1) from two 32-bit words, of which 52 bits are used."""
    bits = ((high << _SHIFT) | low) >> np.uint64(12)
    return (real(bits) + real(0.5)) * real(2.0**-52)


def open_unit_short(word):
    """Uniform number in (0, 1) from the upper 23 bits of a 32-bit word."""
    return (real(np.int32(word >> np.uint64(9))) + real(0.5)) * real(2.0**-23)


def normal_pair(u, v):
    """Two independent N(0, 1) numbers from two uniform ones (Box and Muller 1958)."""
    radius = np.sqrt(real(-2.0) * log_positive(u))
    s, c = sine_cosine_turns(v)
    return radius * c, radius * s


def symmetric_pair(u, v):
    """Two independent U(-1, 1) numbers from two U(0, 1) ones."""
    return real(2.0) * u - real(1.0), real(2.0) * v - real(1.0)


def tile_double(first, stream, network, key, out):
    """Fill a tile of 2 * TILE numbers from the blocks `first` onward (float64)."""
    for j in range(TILE):
        a, b, c, d = philox(np.uint64(first + j), stream, network, key)
        out[j], out[TILE + j] = pair(open_unit(a, b), open_unit(c, d))


def tile_single(first, stream, network, key, out):
    """Fill a tile of 4 * TILE numbers from the blocks `first` onward (float32)."""
    for j in range(TILE):
        a, b, c, d = philox(np.uint64(first + j), stream, network, key)
        out[j], out[TILE + j] = pair(open_unit_short(a), open_unit_short(b))
        out[2 * TILE + j], out[3 * TILE + j] = pair(open_unit_short(c), open_unit_short(d))


def fill(key, stream, first_network, scale, out):
    """Fill row k of `out` (networks, elements): scale * numbers of network first_network + k."""
    buffer = np.empty(NUMBERS_PER_BLOCK * TILE, out.dtype)
    networks, elements = out.shape
    for k in range(networks):
        network = np.uint64(first_network + k)
        for tile in range((elements + buffer.size - 1) // buffer.size):
            fill_tile(tile * TILE, np.uint64(stream), network, np.uint64(key), buffer)
            start = tile * buffer.size
            for j in range(min(buffer.size, elements - start)):
                out[k, start + j] = scale * buffer[j]


# bound by `specialise`; the float64 normal case, for reading and for plain Python
pair = normal_pair
fill_tile = tile_double
NUMBERS_PER_BLOCK = 2
