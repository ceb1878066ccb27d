"""The flow: parse, resolve, decide, apply, observe, report.

Decisions are the concern packages'; effects are cluster/'s.
"""
