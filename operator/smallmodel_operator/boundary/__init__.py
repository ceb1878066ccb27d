"""Boundary: what may reach a model pod and what a model pod may reach.

Owns the NetworkPolicies. A model pod has no way out at all; callers come from its own namespace until the gateway
exists. Routes, detectors and seals arrive with their own changes.
"""
