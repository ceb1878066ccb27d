"""A source that may move, on the real API server: resolved once, frozen in the status, and resolved by nothing else."""

import json
from typing import Any

import pytest
from tests.apiserver.conftest import Operator, apply, eventually
from tests.apiserver.objects import model

from smallmodel_operator.api.names import LABEL_MODEL
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.kinds import KINDS

COMMIT, SUM = "c" * 40, "d" * 64
BRANCH = {"uri": "hf://org/bot@main/bot.gguf", "allowMutable": True}
PINNED = f"hf://org/bot@{COMMIT}/bot.gguf"


async def job(api: Client, namespace: str, command: str) -> dict[str, Any]:
    """The one Job there is, which runs this."""
    jobs = await api.list("Job", namespace, labelSelector=LABEL_MODEL)
    assert len(jobs) == 1, [j["metadata"]["name"] for j in jobs]
    (found,) = jobs
    args = found["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args[0] == command
    return {**found, "args": args}


async def says(api: Client, namespace: str, owner: dict[str, Any], message: dict[str, Any]) -> None:
    """The Job's pod ends with this. It waits for the claim, for nobody here makes volumes."""

    async def pod() -> str:
        selector = f"batch.kubernetes.io/job-name={owner['metadata']['name']}"
        pods = await api.list("Pod", namespace, labelSelector=selector)
        assert pods, "none yet"
        found = pods[0]
        return str(found["metadata"]["name"])

    ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps(message)}
    container = {"name": "weights", "image": "x", "imageID": "", "restartCount": 0, "ready": False}
    status = {"phase": "Succeeded", "containerStatuses": [{**container, "state": {"terminated": ended}}]}
    path = f"{KINDS['Pod'].path(namespace, await eventually(pod))}/status"
    await api.request("PATCH", path, body={"status": status}, content_type="application/merge-patch+json")


async def frozen(api: Client, namespace: str) -> dict[str, Any]:
    seen = await api.get("SmallModel", "bot", namespace)
    assert seen is not None
    found: dict[str, Any] = (seen.get("status") or {}).get("source") or {}
    assert found.get("uri") == PINNED, found
    return found


@pytest.mark.both_minors
async def test_a_branch_is_frozen_until_the_source_changes(api: Client, namespace: str, operator: Operator) -> None:
    async with operator():
        await apply(api, model(namespace, source=BRANCH))
        asked = await eventually(lambda: job(api, namespace, "resolve-weights"))
        await says(api, namespace, asked, {"pinned": {"uri": PINNED, "sha256": SUM}})
        first = await eventually(lambda: frozen(api, namespace))
        assert first["sha256"] == SUM
        fetching = await eventually(lambda: job(api, namespace, "fetch-weights"))
        assert {COMMIT, SUM, "--frozen"} <= set(fetching["args"])
        events = {e["reason"] for e in await api.list("Event", namespace)}
        assert "SourceResolved" in events
    async with operator("after-a-restart"):
        await apply(api, model(namespace, source=BRANCH, replicas=2, engine={"contextSize": 512}))

        async def observed() -> None:
            seen = await api.get("SmallModel", "bot", namespace)
            assert seen is not None
            assert seen["status"]["observedGeneration"] == seen["metadata"]["generation"] == 2

        await eventually(observed)
        assert await frozen(api, namespace) == first
        assert (await job(api, namespace, "fetch-weights"))["metadata"]["name"] == fetching["metadata"]["name"]
        await apply(api, model(namespace, source={**BRANCH, "resolveGeneration": 2}))
        again = await eventually(lambda: job(api, namespace, "resolve-weights"))
        assert again["metadata"]["name"] != asked["metadata"]["name"]
        assert await frozen(api, namespace) == first, "until something else is known"
        await apply(api, model(namespace, source={"uri": PINNED, "sha256": SUM}))

        async def forgotten() -> None:
            await job(api, namespace, "fetch-weights")
            seen = await api.get("SmallModel", "bot", namespace)
            assert seen is not None
            assert not any((seen["status"].get("source") or {}).values()), "the API server may keep a shell of defaults"

        await eventually(forgotten)
