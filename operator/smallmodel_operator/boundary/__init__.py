"""Boundary: who talks to whom, and that nothing leads outside.

The table and the NetworkPolicies made of it, the static check of gateways' configuration, and models' credentials.
Routes, detectors and seals arrive with their own changes.
"""
