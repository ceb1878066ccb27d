"""The gateway's access log: what a line says (format), reading it (read), bounding it (rotate), what follows from it.

Envoy writes the lines without any Python; the agent reads them afterwards. Nothing here is in a request's way.
"""
