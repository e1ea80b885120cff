"""Sweeps over ensembles, their statistics, theory, stored results and figures.

Importing this package imports nothing else: the command line must start at once.
"""
