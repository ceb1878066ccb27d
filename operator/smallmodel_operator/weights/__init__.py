"""Weights: where they come from and that a pod can read them.

Owns the source (oci://, pvc://, https://), the GGUF header, the inspection and download Jobs, and the claim
`smallmodel-weights`. Reads the resolved spec and what the Jobs reported. Reports `WeightsReady`.
Never serves a model and never decides how much memory a pod gets.
"""
