"""The record of a gateway: its access log, chained and signed on the pod's claim (see smallmodel_operator.audit).

segments: the files, what is left of them after a crash, and when they go. recorder: from lines of the log to committed
records. count: what Envoy counted beside what was recorded. part: all of it beside the agent. Nothing here is in a
request's way: Envoy writes the log without us, and what is not recorded yet stays in it.
"""
