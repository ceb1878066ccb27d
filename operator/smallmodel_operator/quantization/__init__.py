"""Quantization: what a set of weights costs in memory and whether that fits.

Owns the memory arithmetic over a GGUF header and the verdict `FitsMemory`. Choosing and converting formats
(`spec.quantization`) arrives with its own change; until then the API server refuses that field.
"""
