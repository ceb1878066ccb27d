"""Waking: a Deployment's scale from 0 to 1, and nothing else."""

import logging

import aiohttp

from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.kinds import KINDS
from smallmodel_operator.gateway import metrics

logger = logging.getLogger(__name__)


class NotWoken(Exception):  # noqa: N818 - says what is the matter
    """The API server did not take the wish; asking again may help."""


async def wake(client: Client, namespace: str, name: str) -> bool:
    """Scale a model's Deployment from 0 to 1; False when it was not at 0 (another gateway was first).

    The patch names the state it was decided on, so that a count somebody set meanwhile is never changed.

    Raises:
        NotWoken: no Deployment, no right, no answer; the message says which.
    """
    path = KINDS["Deployment"].path(namespace, name, "scale")
    try:
        scale = await client.request("GET", path)
        if scale.get("spec", {}).get("replicas", 0) != 0:
            return False
        version = scale["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "spec": {"replicas": 1}}
        await client.request("PATCH", path, body=patch, content_type="application/merge-patch+json")
    except ApiError as error:
        if error.status == 409:
            return False  # it moved under us: whoever waits looks again
        metrics.WAKE_FAILURES.inc()
        raise NotWoken(f"Deployment {namespace}/{name} was not woken: {error}") from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        metrics.WAKE_FAILURES.inc()
        raise NotWoken(f"Deployment {namespace}/{name} was not woken, the API server is away: {error}") from error
    metrics.WAKES.inc()
    logger.info("woke %s/%s", namespace, name)
    return True
