"""Probes every engine has: its /health, 503 while weights load and 200 once a request would be answered."""

from typing import Any, Final

STARTUP_SECONDS: Final = 1800
"""Longest load of the weights; a claim on a slow network disk reads 20 GB in about this time."""


def probes() -> dict[str, Any]:
    """Of the container."""
    return {
        "startupProbe": _probe(period=1, failures=STARTUP_SECONDS),
        "readinessProbe": _probe(period=2, failures=3),
        # A loaded CPU answers late: only a minute of silence is death.
        "livenessProbe": _probe(period=10, failures=6),
    }


def _probe(*, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": "/health", "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
