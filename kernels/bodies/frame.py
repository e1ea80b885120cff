"""What is done to a frame of tangents, (M, columns), between two orthonormalisations."""

from __future__ import annotations

import numpy as np

from ..math import exponent_of, power_of_two
from ..precision import real
from ..targets.cpu import barrier, lanes, sqrt

SMALLEST, LARGEST = 2.0**-900, 2.0**900
"""Squared lengths outside of these have lost digits, or are about to."""


def set_frame(source, out):
    """The initial frame, beside columns of zeros."""
    for r in range(out.shape[0]):
        for c in lanes(out.shape[1]):
            out[r, c] = source[r, c] if c < source.shape[1] else real(0.0)
    barrier()


def set_column_squares(frame, out):
    """Squared lengths of the columns; infinite where one is too short to be squared."""
    for c in lanes(out.size):
        out[c] = real(0.0)
    for r in range(frame.shape[0]):
        row = frame[r]
        for c in lanes(out.size):
            out[c] += row[c] * row[c]
    for c in lanes(out.size):
        if out[c] < SMALLEST:
            for r in range(frame.shape[0]):
                if frame[r, c] != real(0.0):
                    out[c] = real(np.inf)
    barrier()


def mark_vanished(start, square):
    """Make a column's square infinite if the column was not zero at the start and is now.

    Over several steps it may have left the range; one step's zero is a zero.
    """
    for c in lanes(square.size):
        if square[c] == real(0.0):
            for r in range(start.shape[0]):
                if start[r, c] != real(0.0):
                    square[c] = real(np.inf)
    barrier()


def largest_ratio(square, diagonal):
    """The largest |x_i| / R_ii, at least 1; infinite if a number is not to be trusted."""
    worst = real(1.0)
    for c in range(square.size):
        if square[c] != real(0.0):
            left = diagonal[c] * diagonal[c]
            if not (left > SMALLEST and square[c] < LARGEST):  # NaN, too
                return real(np.inf)
            worst = max(worst, square[c] / left)
    return sqrt(worst)


def accumulate(diagonal, growth, exponent):
    """Growth 2^exponent times R_ii; zero is final, and NaN."""
    for c in lanes(growth.size):
        product = growth[c] * diagonal[c]
        if product > real(0.0):
            k = exponent_of(product)
            product *= power_of_two(-k)
            exponent[c] += k
        growth[c] = product
