"""Quantization: what a set of weights costs in memory and whether that fits.

Owns the memory arithmetic over a GGUF header, the verdict `FitsMemory`, and the choice of a type that
`spec.quantization` accepts.
"""
