"""`slm egress`: what Envoy of the egress starts with, and the process that checks passes for it."""

import asyncio
import sys
from collections.abc import Callable

from pydantic import ValidationError

from smallmodel_operator.gateway.egress import run as process
from smallmodel_operator.gateway.egress.settings import EgressSettings
from smallmodel_operator.runtime import logging


def prepare() -> int:
    """Write what Envoy starts with."""
    return _with_settings(process.prepare)


def run() -> int:
    """Check passes; the exit code says why it ended."""
    return _with_settings(lambda settings: asyncio.run(process.run(settings)))


def _with_settings(work: Callable[[EgressSettings], None]) -> int:
    try:
        settings = EgressSettings()
    except ValidationError as error:
        for problem in error.errors():
            print(f"SLM_EGRESS_{str(problem['loc'][0]).upper()}: {problem['msg']}", file=sys.stderr)
        return 2
    logging.configure(settings.log_format, settings.log_level)
    try:
        work(settings)
    except (OSError, ValueError) as error:
        print(f"the egress does not start: {error}", file=sys.stderr)
        return 1
    return 0
