"""Routing: which model answers a request, Envoy configuration as values. Arrives with the gateway; empty until then."""
