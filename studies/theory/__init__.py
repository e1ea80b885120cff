"""Exact and mean-field theory of gradient propagation, beside which the measurements are set.

Pure functions of a network's parameters. Rates are of a norm (not of its square), in nats per step;
negative means vanishing. SciPy is imported by the functions that use it: a start must not wait.
"""

from .activations import ACTIVATIONS, Activation, activation_named
from .bounds import certified_rate, derivative_bound
from .critical import critical_line, critical_weight_scale
from .depths import DepthScales, depth_scales, trainable_depth
from .expectations import gaussian_expectation, gaussian_pair_expectation
from .gated import (
    PYTORCH_WEIGHT_SCALE,
    gru_fixed_point_eigenvalues,
    gru_fixed_point_rate,
    gru_stability_limit,
    lstm_fixed_point_eigenvalues,
    lstm_fixed_point_rate,
    lstm_stability_limit,
)
from .ginibre import SpectralRadius, ginibre_spectral_radius, power_mean_square
from .leaky import leaky_fixed_point_exponents, leaky_rate
from .normalized import NORMALIZATIONS, finite_batch_mean_field, normalized_mean_field
from .plain import MeanField, mean_field
from .products import (
    ProductExponents,
    ReluIncrement,
    deep_relu_increment,
    gaussian_product_exponents,
    spectral_radius_rate,
)
from .rate_distributions import RateDistribution, linear_rate, relu_rate
from .residual import ResidualPath, residual_path
from .spectrum import LyapunovSpectrum, lyapunov_spectrum

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "DepthScales",
    "LyapunovSpectrum",
    "MeanField",
    "NORMALIZATIONS",
    "PYTORCH_WEIGHT_SCALE",
    "ProductExponents",
    "RateDistribution",
    "ReluIncrement",
    "ResidualPath",
    "SpectralRadius",
    "activation_named",
    "certified_rate",
    "critical_line",
    "critical_weight_scale",
    "deep_relu_increment",
    "depth_scales",
    "derivative_bound",
    "finite_batch_mean_field",
    "gaussian_expectation",
    "gaussian_pair_expectation",
    "gaussian_product_exponents",
    "ginibre_spectral_radius",
    "gru_fixed_point_eigenvalues",
    "gru_fixed_point_rate",
    "gru_stability_limit",
    "leaky_fixed_point_exponents",
    "leaky_rate",
    "linear_rate",
    "lstm_fixed_point_eigenvalues",
    "lstm_fixed_point_rate",
    "lstm_stability_limit",
    "lyapunov_spectrum",
    "mean_field",
    "normalized_mean_field",
    "power_mean_square",
    "relu_rate",
    "residual_path",
    "spectral_radius_rate",
    "trainable_depth",
]
