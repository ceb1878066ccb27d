"""Autoscaling: signals to a number of replicas, with one sentence why.

Sleep in mode Manual is here; latency and cost objectives come beside it.
"""
