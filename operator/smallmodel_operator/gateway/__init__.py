"""Gateway agent: configures Envoy, wakes models, decides.

Arrives with the gateway (own extra, own image); empty until then.
"""
