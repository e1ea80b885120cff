"""One step of the mean-field recursion of a wide plain network."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan

from .activations import Activation, Function, activation_named
from .expectations import gaussian_expectation, gaussian_pair_expectation
from .ranges import check_not_negative, check_positive

STEEPEST = 1e12
"""Gain of a unit up to which expectations are accurate; beyond, the width of a unit's slope is lost
beside the variance."""


@dataclass(frozen=True)
class Layer:
    """One step of the mean-field recursion: how variance, correlation and gradient pass it."""

    activation: Activation
    slope: float
    weight_variance: float
    drive: float  # variance that bias and input add

    @classmethod
    def of(
        cls,
        activation: str,
        slope: float,
        weight_scale: float,
        bias_scale: float,
        input_variance: float,
    ) -> Layer:
        """Return the step of such a network; ValueError for what is out of range."""
        check_positive(slope=slope)
        check_not_negative(
            weight_scale=weight_scale, bias_scale=bias_scale, input_variance=input_variance
        )
        if slope * weight_scale > STEEPEST:
            raise ValueError(
                f"slope * weight_scale = {slope * weight_scale:g} is over {STEEPEST:g}"
            )
        drive = bias_scale**2 + input_variance
        return cls(activation_named(activation), slope, weight_scale**2, drive)

    def expectation(self, function: Function, q: float) -> float:
        """Return E function(a net) over net ~ N(0, q)."""
        return gaussian_expectation(function, self.activation, self.slope**2 * q)

    def variance(self, q: float) -> float:
        """Return the pre-activation variance one step on."""
        return (
            self.weight_variance * self.expectation(lambda u: self.activation.value(u) ** 2, q)
            + self.drive
        )

    def growth(self, q: float) -> float:
        """Return the growth of the squared gradient, chi_1.

        At q = inf that of straight tails; at q = nan, where any q is stationary, that of any.
        """
        at = 1.0 if isnan(q) else min(q, 1e30 / self.slope**2)
        steepness = self.expectation(lambda u: self.activation.derivative(u) ** 2, at)
        return self.weight_variance * self.slope**2 * steepness

    def variance_multiplier(self, q: float) -> float:
        """Return d variance / dq: chi_1 + weight_variance a^2 E phi phi'', by Stein's lemma.

        E[phi phi' u] / q needs no phi'', which is not a function for kinked activations.
        """
        unit = self.activation
        product = self.expectation(lambda u: unit.value(u) * unit.derivative(u) * u, q)
        return self.weight_variance * product / q

    def correlation(self, q: float, c: float) -> tuple[float, float]:
        """Return the correlation one step on of two states of variance q, and its derivative."""
        return self.covariance(q, c) / q, self.correlation_growth(q, c)

    def covariance(self, q: float, c: float) -> float:
        """Return the covariance one step on of two states of variance q and correlation c."""
        return self.weight_variance * self._pair(self.activation.value, q, c) + self.drive

    def correlation_growth(self, q: float, c: float) -> float:
        """Return the growth of a small difference of such states, chi_c; `growth` at c = 1."""
        return self.weight_variance * self.slope**2 * self._pair(self.activation.derivative, q, c)

    def _pair(self, function: Function, q: float, c: float) -> float:
        return gaussian_pair_expectation(function, self.activation, self.slope**2 * q, c)
