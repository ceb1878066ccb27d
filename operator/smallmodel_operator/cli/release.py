"""`slm release`: let go of all models and routes before the operator is uninstalled, so that nothing waits for it."""

import asyncio
import time
from typing import Any

import aiohttp

from smallmodel_operator.api.names import FINALIZER
from smallmodel_operator.cluster.access import NoCluster
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.runtime.settings import Settings

POLL_SECONDS = 0.5
KINDS = ("SmallModel", "ModelRoute")
"""Those that have our finalizer."""
OPERATOR_PODS = "app.kubernetes.io/name=smallmodel-operator,app.kubernetes.io/component=operator"
"""The chart's labels. A terminating operator could still put a finalizer back, so its pods must be gone."""


async def release(namespace: str, deployment: str, timeout: float) -> int:
    """Scale the operator to 0, wait for its pods to go, take the finalizer off. Models and their pods stay."""
    try:
        client = await Client.connect()
    except NoCluster as error:
        print(error)
        return 1
    try:
        async with asyncio.timeout(timeout):
            await _stop_operator(client, namespace, deployment)
            await _let_go(client)
    except TimeoutError:
        print(f"not done within {timeout:.0f} s; run it again or raise --timeout")
        return 1
    except ApiError as error:
        print(f"the API server refuses: {error.message}")
        return 1
    except aiohttp.ClientError as error:
        print(f"the API server does not answer: {error}; run it again when it does")
        return 1
    finally:
        await client.close()
    return 0


async def _stop_operator(client: Client, namespace: str, deployment: str) -> None:
    """Without this the operator would put the finalizers back at once."""
    try:
        await client.merge("Deployment", deployment, namespace, {"spec": {"replicas": 0}}, "scale")
    except ApiError as error:
        if error.status != 404:
            raise
        print(f"Deployment {namespace}/{deployment} is not there; going on")
        return
    started = time.monotonic()
    while True:
        pods = await client.list("Pod", namespace, labelSelector=OPERATOR_PODS)
        if not pods:
            print(f"operator stopped after {time.monotonic() - started:.1f} s")
            return
        await asyncio.sleep(POLL_SECONDS)


async def _let_go(client: Client) -> None:
    # With named namespaces the right to list is a Role in each of them; a list over all would be refused.
    namespaces = Settings().watch_namespaces or (None,)
    found = {kind: [o for place in namespaces for o in await client.list(kind, place)] for kind in KINDS}
    for kind, objects in found.items():
        held = [o for o in objects if FINALIZER in o["metadata"].get("finalizers", [])]
        for number, obj in enumerate(held, start=1):
            await _take_off(client, kind, obj)
            if number % 50 == 0 or number == len(held):
                print(f"{number} of {len(held)} {kind}s let go")
    print(f"{len(found['SmallModel'])} SmallModel(s) keep serving; a reinstalled operator takes them up again")


async def _take_off(client: Client, kind: str, obj: dict[str, Any]) -> None:
    meta = obj["metadata"]
    rest = [f for f in meta.get("finalizers", []) if f != FINALIZER]
    patch = {"metadata": {"finalizers": rest, "resourceVersion": meta["resourceVersion"]}}
    try:
        await client.merge(kind, meta["name"], meta["namespace"], patch)
    except ApiError as error:
        if error.status == 404:
            return
        if error.status != 409:
            raise
        fresh = await client.get(kind, meta["name"], meta["namespace"])
        if fresh is not None:
            await _take_off(client, kind, fresh)
