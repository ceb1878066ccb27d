"""Serving: the engine in its pod.

Owns the Deployment, the Service and the PodDisruptionBudget, the recorded engine revisions, and the reading of a
pod's real trouble. Reads the resolved spec, the weights' volume and the memory verdict. Reports `Available`.
Never decides how many replicas there should be: it is told.
"""
