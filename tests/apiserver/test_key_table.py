"""The gateways' key table on a real API server: a key ends with the deletion of its model, not with its last trace."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import Operator, apply, eventually, kubectl
from tests.apiserver.objects import model, stands

from smallmodel_operator.api.names import GATEWAY_KEYS
from smallmodel_operator.cluster import key_table, secrets, trials
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.core.keys import TABLE, Identity, hashed, load


async def known(api: Client, namespace: str) -> Mapping[str, Identity]:
    """What the table holds; the operator of these tests lives where its models do."""
    secret = await api.get("Secret", GATEWAY_KEYS, namespace)
    assert secret is not None
    data = secret.get("data") or {}
    assert TABLE in data, "the Secret is made first, then the engines' key, and the table when the operator runs"
    return load(base64.b64decode(data[TABLE]).decode())


async def test_a_model_that_takes_long_to_go_opens_nothing_meanwhile(
    api: Client, plane: ControlPlane, namespace: str, operator: Operator
) -> None:

    async def has_key() -> None:
        assert await known(api, namespace)

    async def has_none() -> None:
        assert not await known(api, namespace)

    slow = model(namespace)
    slow["metadata"]["finalizers"] = ["test.smallmodel.dev/slow"]
    async with operator():
        await apply(api, slow)
        await eventually(has_key)
        await kubectl(plane, "delete", "smallmodel/bot", "-n", namespace, "--cascade=foreground", "--wait=false")
        await eventually(has_none, timeout=45)
        assert await api.get("SmallModel", "bot", namespace), "it is still there"
        await kubectl(
            plane, "patch", "smallmodel/bot", "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
        )


async def test_a_lost_secret_comes_back_as_it_was(
    api: Client, plane: ControlPlane, namespace: str, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the rights the chart gives: the engines' keys stay the same."""
    monkeypatch.setattr(key_table, "RESYNC_SECONDS", 1.0)

    async def has_key() -> None:
        assert await known(api, namespace)

    async with operator():
        await apply(api, model(namespace))
        await eventually(has_key)
        before = await api.get("Secret", GATEWAY_KEYS, namespace)
        assert before is not None
        await kubectl(plane, "delete", "secret", GATEWAY_KEYS, "-n", namespace)
        await eventually(has_key, timeout=45)
        after = await api.get("Secret", GATEWAY_KEYS, namespace)
        assert after is not None
        assert after["data"] == before["data"]
        assert after["metadata"]["uid"] != before["metadata"]["uid"]


async def test_rotation_never_publishes_a_key_that_opens_nothing(
    api: Client, plane: ControlPlane, namespace: str, operator: Operator
) -> None:
    """From generation 1 to 3 at once: at every look what apps may hold is in the table."""
    seen: list[str] = []
    unknown: list[set[str]] = []

    async def published() -> str:
        secret = await api.get("Secret", "bot-client", namespace)
        assert secret is not None
        return hashed(base64.b64decode(secret["data"]["OPENAI_API_KEY"]).decode())

    async def first() -> None:
        seen[:] = [await published()]
        assert set(await known(api, namespace)) == set(seen)

    async def second() -> None:
        if (key := await published()) not in seen:
            seen.append(key)
        if without := set(seen) - set(await known(api, namespace)):
            unknown.append(without)
        assert len(seen) == 2

    async with operator():
        await apply(api, model(namespace))
        await eventually(first)
        patch = '{"spec":{"access":{"clientKey":{"generation":3}}}}'
        await kubectl(plane, "patch", "smallmodel/bot", "-n", namespace, "--type=merge", "-p", patch)
        await eventually(second, timeout=45)
        assert not unknown, "held by an app, and not in the table"
        body = await api.get("SmallModel", "bot", namespace)
        assert body is not None
        access = body["status"]["access"]
        assert (access["keyGeneration"], access["previousKeyGeneration"]) == (3, 1)


async def test_a_deleted_client_secret_of_a_settled_model_comes_back_with_the_same_key(
    api: Client, plane: ControlPlane, namespace: str, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else wakes the model: no watch tells of Secrets."""
    monkeypatch.setattr(secrets, "READ_SECONDS", 3)
    monkeypatch.setattr(trials, "FIRST_PAUSE", trials.LAST_PAUSE)  # a trial that fails wakes it too

    async def there() -> dict[str, Any]:
        stands(await api.get("SmallModel", "bot", namespace), Ready="Serving", Reconciling="Settled")
        found = await api.get("Secret", "bot-client", namespace)
        assert found is not None
        return found

    async def told() -> None:
        found = await api.list("Event", namespace)
        assert [e["type"] for e in found if e["reason"] == "SecretRestored"] == ["Normal"]

    async with operator():
        await apply(api, model(namespace))
        before = await eventually(there)
        await kubectl(plane, "delete", "secret", "bot-client", "-n", namespace)
        after = await eventually(there, timeout=45)
        assert after["data"] == before["data"]
        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        await eventually(told)
