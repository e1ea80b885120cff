"""Runs the code that is compiled for a GPU where there is none: an interpreter of PTX.

NVIDIA's "Parallel Thread Execution ISA" says what the instructions do. `program` reads them,
`operations` is their arithmetic, `memory` and `races` what they find in memory, `steps` and
`machine` their order, and `device` the engine's GPU with all of that in the place of the hardware.
"""
