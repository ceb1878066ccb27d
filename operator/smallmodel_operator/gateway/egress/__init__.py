"""The egress: an Envoy of its own that leads to declared hosts only, and the process that checks passes for it."""
