"""Autoscaling: signals to a number of replicas, with one sentence why.

Arrives with latency and cost objectives; empty until then.
"""
