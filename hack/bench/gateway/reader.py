"""What the agent does for each request: reads its line of the access log into metrics. A process, so it is measured."""

import asyncio
import sys
from pathlib import Path

from smallmodel_operator.gateway.accesslog.part import REQUESTS, reader_of

if __name__ == "__main__":
    asyncio.run(reader_of(Path(sys.argv[1]), REQUESTS).run())
