"""Kernels over the results of many networks on a GPU: logarithms, and statistics over networks.

A variable is an array (network, column), whose columns are lags or steps, and all is float64. The
statistics are those of `studies.statistics`. A block of threads has `width` neighbouring columns,
whose numbers lie together, and a few lanes for each of them share its networks. Which lane adds
what, and in which order, depends on nothing but the number of networks.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda

from ..logarithms import log_norm
from ..math import power_of_two
from ..precision import EXPONENT_BIAS, real

format = np.dtype("float64")


def log_norms(square, exponent, relative, out):
    """Out = ln sqrt(square * 4^exponent), all (row, lag); `relative`: to the first of its row."""
    for k in range(cuda.blockIdx.x, out.shape[0], cuda.gridDim.x):
        start = log_norm(square[k, 0], exponent[k, 0]) if relative else real(0.0)
        for i in range(cuda.threadIdx.x, out.shape[1], cuda.blockDim.x):
            out[k, i] = log_norm(square[k, i], exponent[k, i]) - start


def mean_variances(variance, exponent, out):
    """Out = mean over sequences of variance * 4^exponent: (network, step).

    variance : (network, step, sequence); exponent : (network, step, group), one group or as many.
    """
    sequences = variance.shape[2]
    members = sequences // exponent.shape[2]
    for k in range(cuda.blockIdx.x, out.shape[0], cuda.gridDim.x):
        for i in range(cuda.threadIdx.x, out.shape[1], cuda.blockDim.x):
            total = real(0.0)
            for b in range(sequences):
                total += scaled(real(variance[k, i, b]), exponent[k, i, b // members])
            out[k, i] = total / real(sequences)


def scaled(x, exponent):
    """X * 4^exponent; infinite, or zero, where that is beyond the format."""
    factor = power_of_two(min(max(exponent, -EXPONENT_BIAS), EXPONENT_BIAS))
    return x * factor * factor


def gather(values, first, out):
    """Out = as many columns of `values` as it has, from `first` on."""
    width = out.shape[1]
    threads = cuda.gridDim.x * cuda.blockDim.x
    for place in range(cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x, out.size, threads):
        k = place // width
        i = place - k * width
        out[k, i] = values[k, first + i]


def moments(values, first, good, share, width, out):
    """Moments of columns of `values` from `first` on, over the networks that are `good`.

    `out` (5, column): how many are no NaN; mean; sums of the 2nd, 3rd and 4th powers of the
    deviations. `share` is one over the number of good networks: a sum of values near the largest
    float would overflow although their mean does not.
    """
    row, rows = cuda.threadIdx.x // width, cuda.blockDim.x // width
    for start in range(cuda.blockIdx.x * width, out.shape[1], cuda.gridDim.x * width):
        column = start + cuda.threadIdx.x - row * width
        networks = values.shape[0] if column < out.shape[1] else 0
        count = mean = real(0.0)
        low, high = real(np.inf), real(-np.inf)
        for k in range(row, networks, rows):
            x = values[k, first + column]
            if good[k] and x == x:
                count += real(1.0)
                mean += share * x
                low, high = min(low, x), max(high, x)
        count, mean = over_rows(count, width, False), over_rows(mean, width, False)
        low, high = -over_rows(-low, width, True), over_rows(high, width, True)
        mean = low if mean < low else (high if mean > high else mean)  # equal values: exactly that
        squares = cubes = fourths = real(0.0)
        for k in range(row, networks, rows):
            if good[k]:
                deviation = values[k, first + column] - mean
                square = deviation * deviation
                squares += square
                cubes += square * deviation
                fourths += square * square
        squares, cubes = over_rows(squares, width, False), over_rows(cubes, width, False)
        fourths = over_rows(fourths, width, False)
        if row == 0 and column < out.shape[1]:
            out[0, column], out[1, column] = count, mean
            out[2, column], out[3, column], out[4, column] = squares, cubes, fourths


def log_sum(values, first, good, power, width, out):
    """Sums of exp(power * value), of columns of `values` from `first` on, over good networks.

    `out` (3, column): how many are no NaN; the largest power * value; the sum of exp(power * value
    - largest), relative to 0 where that is infinite.
    """
    row, rows = cuda.threadIdx.x // width, cuda.blockDim.x // width
    for start in range(cuda.blockIdx.x * width, out.shape[1], cuda.gridDim.x * width):
        column = start + cuda.threadIdx.x - row * width
        networks = values.shape[0] if column < out.shape[1] else 0
        count, peak = real(0.0), real(-np.inf)
        for k in range(row, networks, rows):
            x = power * values[k, first + column]
            if good[k] and x == x:
                count += real(1.0)
                peak = max(peak, x)
        count, peak = over_rows(count, width, False), over_rows(peak, width, True)
        scale = peak if abs(peak) < real(np.inf) else real(0.0)
        total = real(0.0)
        for k in range(row, networks, rows):
            if good[k]:
                total += math.exp(power * values[k, first + column] - scale)
        total = over_rows(total, width, False)
        if row == 0 and column < out.shape[1]:
            out[0, column], out[1, column], out[2, column] = count, peak, total


def over_rows(own, width, largest):
    """Sum, in pairs, or largest of what the lanes of each column have."""
    found = cuda.shared.array(0, format)
    lane = cuda.threadIdx.x
    cuda.syncthreads()
    found[lane] = own
    cuda.syncthreads()
    half = cuda.blockDim.x >> 1
    while half >= width:
        if lane < half:
            other = found[lane + half]
            found[lane] = max(found[lane], other) if largest else found[lane] + other
        cuda.syncthreads()
        half >>= 1
    return found[lane % width]
