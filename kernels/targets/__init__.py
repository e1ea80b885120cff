"""Primitives whose code differs between targets, under the same names."""
