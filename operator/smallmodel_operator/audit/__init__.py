"""Audit: one chained record for every answer. Arrives with the sealed boundary; empty until then."""
