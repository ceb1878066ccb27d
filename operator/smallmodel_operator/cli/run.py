"""`slm run`: the operator process."""

import asyncio
import sys
from functools import partial

from pydantic import ValidationError

from smallmodel_operator.cluster.access import NoCluster
from smallmodel_operator.runtime import logging
from smallmodel_operator.runtime.ending import end_within
from smallmodel_operator.runtime.operator import LOST_LEASE
from smallmodel_operator.runtime.operator import run as run_operator
from smallmodel_operator.runtime.settings import Settings


def run() -> int:
    """Run the operator; the exit code says why it ended (0: asked to, 3: another one leads)."""
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            print(f"SLM_{str(problem['loc'][0]).upper()}: {problem['msg']}", file=sys.stderr)
        return 2
    logging.configure(settings.log_format, settings.log_level)
    try:
        # Who leads no more must be gone before it is wanted again, also where something in it hangs.
        return asyncio.run(run_operator(settings, lost=partial(end_within, LOST_LEASE)))
    except NoCluster as error:
        print(error, file=sys.stderr)
        return 2
