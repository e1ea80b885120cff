"""The tables of coefficients are the fits that they are said to be, and none is longer than needed.

The fits are repeated in 40-digit arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import mpmath as mp
import numpy as np
import pytest

from gradhorizon.kernels.polynomials import POLYNOMIALS

PRECISIONS = pytest.mark.parametrize("precision", ["float64", "float32"])
pytestmark = pytest.mark.usefixtures("many_digits")
DIGITS = 40


class Fit(NamedTuple):
    function: Callable[[mp.mpf], mp.mpf]
    interval: tuple[mp.mpf, mp.mpf]
    weight: mp.mpf  # of the polynomial's error in the relative error of what is computed from it


def horner(coefficients: Sequence[mp.mpf], x: mp.mpf) -> mp.mpf:
    """The polynomial whose coefficients stand in the order of their powers."""
    value = mp.mpf(0)
    for c in reversed(coefficients):
        value = value * x + c
    return value


def fitted(fit: Fit, terms: int) -> tuple[list[mp.mpf], mp.mpf]:
    """The interpolation at the zeros of a Chebyshev polynomial, and its largest error between them.

    By its equations; mpmath has the same fit, in an order that depends on the version.
    """
    middle, half = (fit.interval[0] + fit.interval[1]) / 2, (fit.interval[1] - fit.interval[0]) / 2
    with mp.workdps(2 * DIGITS):
        zeros = [middle + half * mp.cospi((k + mp.mpf(0.5)) / terms) for k in range(terms)]
        powers = mp.matrix([[x**j for j in range(terms)] for x in zeros])
        coefficients = list(mp.lu_solve(powers, mp.matrix([fit.function(x) for x in zeros])))
        between = [middle + half * mp.cospi(mp.mpf(k) / terms) for k in range(terms)]
        return coefficients, max(abs(fit.function(x) - horner(coefficients, x)) for x in between)


def tail(function: Callable[[mp.mpf], mp.mpf], order: int) -> Callable[[mp.mpf], mp.mpf]:
    """(function - its Taylor polynomial of degree order - 1) / x^order, at 0 too."""
    taylor = mp.taylor(function, 0, order + 8)

    def ratio(x: mp.mpf) -> mp.mpf:
        if abs(x) < mp.mpf("1e-6"):  # the terms beyond these are below 1e-50
            return horner(taylor[order:], x)
        return (function(x) - horner(taylor[:order], x)) / x**order

    return ratio


def of_square(function: Callable[[mp.mpf], mp.mpf]) -> Callable[[mp.mpf], mp.mpf]:
    return lambda w: function(mp.sqrt(w))


def scaled_erfc(q: mp.mpf) -> mp.mpf:
    """(1 + 2 x) exp(x^2) erfc(x), which tends to 2 / sqrt(pi)."""
    if 1 - q < mp.mpf("1e-30"):
        return 2 / mp.sqrt(mp.pi)
    x = mp.mpf("3.75") * (1 + q) / (1 - q)
    return (1 + 2 * x) * mp.exp(x * x + mp.log(mp.erfc(x)))


with mp.workdps(DIGITS):
    S = 3 - 2 * mp.sqrt(2)
    EIGHTH = mp.pi / 4
    FITS = {
        "EXP": Fit(tail(mp.exp, 2), (-mp.ln2 / 2, mp.ln2 / 2), mp.ln2 / 2),
        "LOG": Fit(of_square(tail(mp.atanh, 3)), (mp.mpf(0), S**2), S**2),
        "SINE": Fit(of_square(tail(mp.sin, 3)), (mp.mpf(0), EIGHTH**2), EIGHTH**2),
        "COSINE": Fit(of_square(tail(mp.cos, 4)), (mp.mpf(0), EIGHTH**2), EIGHTH**4 * mp.sqrt(2)),
        "ERF": Fit(of_square(tail(mp.erf, 1)), (mp.mpf(0), mp.mpf(1)), 1 / mp.erf(1)),
        "ERFC": Fit(scaled_erfc, (mp.mpf(-1), mp.mpf(1)), mp.mpf(1)),
    }


@PRECISIONS
def test_every_table_is_checked(precision: str) -> None:
    assert set(POLYNOMIALS[precision]) == set(FITS)


@PRECISIONS
@pytest.mark.parametrize("name", FITS)
def test_coefficients_are_those_of_the_fit(name: str, precision: str) -> None:
    """The interpolation repeated gives every coefficient, rounded to the format."""
    table = POLYNOMIALS[precision][name]
    fit = FITS[name]
    expected, _ = fitted(fit, len(table))
    real = np.dtype(precision).type
    np.testing.assert_array_equal(table, [real(float(c)) for c in expected])
    assert all(isinstance(c, float if precision == "float64" else np.float32) for c in table)


@PRECISIONS
@pytest.mark.parametrize("name", FITS)
def test_truncation_is_below_one_unit_and_no_term_is_spare(name: str, precision: str) -> None:
    """With its terms a fit is good to eps, relative to the result, and with one fewer it is not."""
    fit = FITS[name]
    terms, eps = len(POLYNOMIALS[precision][name]), float(np.finfo(precision).eps)
    errors = [fit.weight * fitted(fit, k)[1] for k in (terms, terms - 1)]
    assert errors[0] < eps < errors[1]
