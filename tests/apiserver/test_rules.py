"""Rules of a route on a real API server: operator and gateway read its classifier, and Envoy goes by the rules."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import Operator, apply, connect, eventually
from tests.apiserver.objects import condition, model, stands
from tests.apiserver.rights import as_operator
from tests.apiserver.test_gateway_agent import keys_secret, rights
from tests.apiserver.test_gateway_envoy import Renderer, agent, envoy
from tests.apiserver.test_routes import delete, route
from tests.fakes.recording import counted_of
from tests.gateway.running import here
from tests.unit.routing import departments
from tests.unit.routing.test_given import hard, text

from smallmodel_operator.cli.audit_files import chains
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.core.keys import Identity, dump, hashed
from smallmodel_operator.gateway.admin import Admin, Unreachable
from smallmodel_operator.gateway.config import prepare
from smallmodel_operator.gateway.decide.part import choose
from smallmodel_operator.gateway.files import Files
from smallmodel_operator.gateway.record.part import record
from smallmodel_operator.gateway.settings import GatewaySettings

KEY = "slm-key"
LEGAL = "Is the liability cap of this contract clause usual under governing law?"


def ruled(namespace: str, task: str = "legal") -> dict[str, Any]:
    rules = [{"name": "legal", "match": {"taskClass": task}, "target": "legal"}]
    classifier = {"configMapRef": {"name": "departments"}}
    return route(namespace, ("bot", None), ("legal", None), default="bot", rules=rules, classifier=classifier)


def config_map(namespace: str, content: str, name: str = "departments", key: str = "tasks.json") -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {key: content}}


def escalating(namespace: str) -> dict[str, Any]:
    complexity = {"classifierRef": {"name": "hardness"}, "threshold": "0.5"}
    escalation = {"order": ["legal"], "complexity": complexity, "maxPercent": 100}
    return route(namespace, ("bot", None), ("legal", None), default="bot", escalation=escalation)


def hardness(namespace: str, content: str) -> dict[str, Any]:
    return config_map(namespace, content, "hardness", "escalation.json")


async def test_a_classifier_missing_read_broken_and_mended(api: Client, namespace: str, operator: Operator) -> None:
    async with operator():
        await apply(api, model(namespace), model(namespace, "legal"), ruled(namespace))

        async def standing(reason: str, says: str, **wanted: str) -> dict[str, Any]:
            seen = stands(await api.get("ModelRoute", "desk", namespace), Ready="Serving", ClassifierReady=reason)
            stands(seen, **wanted)
            assert says in condition(seen, "ClassifierReady")["message"]
            return seen

        await eventually(lambda: standing("ClassifierNotFound", "does not exist", Stalled="ClassifierNotFound"))
        await apply(api, config_map(namespace, text()))
        seen = await eventually(lambda: standing("ClassifierRead", "3 classes", Stalled="Settled"))
        assert seen["status"]["classifier"] == {"digest": json.loads(text())["digest"], "classes": 3}
        await apply(api, ruled(namespace, "hr"))
        await eventually(lambda: standing("TaskClassUnknown", "'hr' is none of", Stalled="TaskClassUnknown"))
        await apply(api, config_map(namespace, "broken"), ruled(namespace, "payroll"))
        seen = await eventually(lambda: standing("ClassifierInvalid", "it is not JSON"))
        assert "classifier" not in seen["status"]


async def test_what_says_when_to_escalate_missing_of_another_kind_and_read(
    api: Client, namespace: str, operator: Operator
) -> None:
    async with operator():
        await apply(api, model(namespace), model(namespace, "legal"), escalating(namespace))

        async def standing(reason: str, says: str, **wanted: str) -> dict[str, Any]:
            seen = stands(await api.get("ModelRoute", "desk", namespace), Ready="Serving", ClassifierReady=reason)
            stands(seen, **wanted)
            assert says in condition(seen, "ClassifierReady")["message"]
            return seen

        missing = "`spec.escalation.complexity.classifierRef` names"
        await eventually(lambda: standing("ClassifierNotFound", missing, Stalled="ClassifierNotFound"))
        await apply(api, hardness(namespace, text()))
        other = "does not say when to escalate"
        seen = await eventually(lambda: standing("ClassifierInvalid", other, Stalled="ClassifierInvalid"))
        assert "escalation" not in seen["status"]
        await apply(api, hardness(namespace, hard()))
        seen = await eventually(lambda: standing("ClassifierRead", "when to escalate", Stalled="Settled"))
        assert seen["status"]["escalation"] == {"digest": json.loads(hard())["digest"]}


class Desk:
    """A gateway in a namespace of its own."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self.namespace = namespace
        self.settings = GatewaySettings(
            gateway_dir=folder / "run", gateway_data_dir=folder, namespace=namespace, identity="smallmodel-gateway-0",
            gateway_http_port=0, gateway_drain_seconds=0,
        )  # fmt: skip
        self.renderer = Renderer(here(folder / "run", data=folder))

    async def ask(self, prompt: str, **headers: str) -> str:
        """What is answered; all models are switched off, so it names the one that was chosen."""
        async with Admin(self.settings.admin_socket) as admin:
            found = json.loads(await admin._get("/listeners?format=json"))
        port = found["listener_statuses"][0]["local_address"]["socket_address"]["port_value"]
        body = {"model": "desk", "messages": [{"role": "user", "content": prompt}]}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
            session.post(
                f"http://127.0.0.1:{port}/{self.namespace}/v1/chat/completions",
                json=body,
                headers={"Authorization": f"Bearer {KEY}", **headers},
            ) as answer,
        ):
            return str((await answer.json())["error"]["message"])

    async def chose(self, prompt: str, name: str, timeout: float = 20) -> None:
        async def same() -> None:
            try:
                said = await self.ask(prompt)
            except (aiohttp.ClientError, Unreachable, LookupError) as error:  # Envoy is only starting
                raise AssertionError(str(error)) from None
            assert f"Model {self.namespace}/{name} is switched off" in said, said

        await eventually(same, timeout=timeout)


@pytest.fixture
async def desk(plane: ControlPlane, api: Client, namespace: str, tmp_path: Path) -> AsyncIterator[Desk]:
    items = {"apiVersion": "v1", "kind": "List", "items": rights(namespace)}
    await asyncio.to_thread(plane.kubectl, "apply", "--server-side", "-f-", stdin=json.dumps(items))
    secret = keys_secret(namespace)
    table = dump({hashed(KEY): Identity(namespace, f"key:{namespace}/desk")})
    secret["data"]["keys.json"] = base64.b64encode(table.encode()).decode()
    off = [model(namespace, name, suspend=True) for name in ("bot", "legal")]
    await apply(api, secret, *off, ruled(namespace))
    made = Desk(namespace, tmp_path)
    prepare(Files(tmp_path / "run"), made.renderer)
    kubeconfig = as_operator(plane, namespace, tmp_path / "kubeconfig", "smallmodel-gateway")
    parts = (partial(record, counted=counted_of(tmp_path)), choose)
    async with (
        agent(made.settings, await connect(kubeconfig, Fence.open()), made.renderer, *parts),
        envoy(tmp_path / "run"),
    ):
        yield made


async def test_a_gateway_reads_how_hard_requests_are(api: Client, namespace: str, desk: Desk, tmp_path: Path) -> None:
    """Both models are off, so what is hard is to be escalated and cannot be."""
    await apply(api, escalating(namespace), hardness(namespace, hard()))

    async def recorded() -> None:
        await desk.chose("prove the lemma for case b", "bot")
        await desk.chose("greet for case b", "bot")
        assert (tmp_path / "audit").exists(), "the key that signs is not known yet"
        (chain,) = await asyncio.to_thread(chains, [str(tmp_path / "audit")])
        said = {r.body.get("slm.decision.escalation") for r, _ in chain.records() if r is not None}
        assert {"Degraded", "BelowThreshold"} <= said, said

    await eventually(recorded)


async def test_envoy_goes_by_the_rules(api: Client, namespace: str, desk: Desk, tmp_path: Path) -> None:
    await desk.chose(LEGAL, "bot")
    await apply(api, config_map(namespace, text(20)))
    await desk.chose(LEGAL, "legal")
    for prompt in departments.ELSEWHERE:
        await desk.chose(prompt, "bot")

    async def recorded() -> None:
        (chain,) = await asyncio.to_thread(chains, [str(tmp_path / "audit")])
        said = [r.body for r, _ in chain.records() if r is not None and r.kind == "decision"]
        mine = [(r["slm.decision.target"], r["slm.decision"]) for r in said]
        assert {("bot", "Default"), ("legal", "Rule")} <= set(mine), mine
        assert not [path for path in (tmp_path / "audit").iterdir() if "liability" in path.read_text()]

    await eventually(recorded)
    await delete(api, "ModelRoute", "desk", namespace)

    async def gone() -> None:
        assert "There is no model 'desk'" in await desk.ask(LEGAL)

    await eventually(gone)


async def test_a_rule_by_deadline_reaches_the_gateway(api: Client, namespace: str, desk: Desk) -> None:
    """No model has answered anything, and unknown is not fast."""
    rules = [{"name": "in-time", "withinDeadline": {"order": ["legal"]}}]
    await apply(api, route(namespace, ("bot", None), ("legal", None), default="bot", rules=rules))

    async def refused() -> None:
        said = await desk.ask(LEGAL, **{"x-deadline-ms": "900"})
        assert "No target of rule 'in-time' is known to answer within 900 ms" in said, said
        assert "legal unknown" in said

    await desk.chose(LEGAL, "bot")
    await eventually(refused)
    await desk.chose(LEGAL, "bot")
