"""A discrete-event model of engines behind the gateway: what a scaling policy does to a trace, without a cluster.

The objective's own controller runs here unchanged; other autoscalers are rewritten from their published rules.
"""
