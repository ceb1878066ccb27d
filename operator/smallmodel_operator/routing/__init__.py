"""Routing: which model suits a request, and whether it may leave. Pure; the gateway asks, and enforces the answer."""
