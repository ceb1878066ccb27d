"""Metrics of the egress."""

from prometheus_client import Counter

CHECKED = Counter(
    "smallmodel_egress_checked", "Requests whose pass was checked, by what was found (passed, or why not).", ["found"]
)
