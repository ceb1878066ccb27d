"""Metrics of what is kept of requests."""

from typing import Final

from prometheus_client import Counter, Gauge

KEPT: Final = Counter(
    "smallmodel_gateway_content_requests",
    "Requests of routes with `audit.content`, by what was kept of them: the form, or why nothing was.",
    ["namespace", "route", "result"],
)
SUBJECTS: Final = Gauge("smallmodel_gateway_content_subjects", "Subjects whose keys this gateway knows.")
ERASED: Final = Gauge("smallmodel_gateway_content_erased_keys", "Keys of subjects that were destroyed.")
PROBLEM: Final = Gauge("smallmodel_gateway_content_problem", "1 while no key of a new subject can be had.")
