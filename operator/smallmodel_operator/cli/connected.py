"""The cluster, for one command; what keeps it from the API server is said in words for people."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from smallmodel_operator.cluster.access import NoCluster
from smallmodel_operator.cluster.client import ApiError, Client


class Unanswered(Exception):  # noqa: N818 - a verdict with its words
    """There is no cluster, or its API server does not answer, or refuses."""


@asynccontextmanager
async def connected() -> AsyncIterator[Client]:
    """A client that is closed at the end.

    Raises:
        Unanswered: see there; whatever of this kind goes wrong within becomes one.
    """
    try:
        client = await Client.connect()
    except NoCluster as error:
        raise Unanswered(str(error)) from error
    try:
        yield client
    except ApiError as error:
        raise Unanswered(error.message) from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unanswered(f"the API server does not answer: {str(error) or 'time is up'}") from error
    finally:
        await client.close()
