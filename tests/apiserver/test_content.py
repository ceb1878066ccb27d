"""Keys of subjects on the real API server: gateways make them with the chart's rights, who may erase destroys them,
and nobody else reads or changes any."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from tests.apiserver import direct
from tests.apiserver.conftest import connect
from tests.apiserver.rights import ERASURE, GATEWAY, as_operator, erasure_rights, gateway_rights
from typer.testing import CliRunner

from smallmodel_operator.audit.content.shards import SHARDS, secret_name
from smallmodel_operator.cli.app import app
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.cluster.shared import Away
from smallmodel_operator.cluster.subject_keys import SubjectKeys
from smallmodel_operator.gateway.content.keys import Keys


@pytest.fixture
async def gateways(plane: ControlPlane, namespace: str, tmp_path: Path) -> AsyncIterator[list[Client]]:
    """Three, with a gateway's token and the chart's rights and Secrets."""
    direct.put(plane, [*gateway_rights(namespace), *erasure_rights(namespace)])
    kubeconfig = as_operator(plane, namespace, tmp_path / "gateway.kubeconfig", GATEWAY)
    clients = [await connect(kubeconfig, Fence.open()) for _ in range(3)]
    yield clients
    for client in clients:
        await client.close()


@pytest.fixture
def erase(plane: ControlPlane, namespace: str, tmp_path: Path) -> Callable[..., tuple[int, Any]]:
    """`slm content erase` of who is bound to the Role for that, or of another ServiceAccount."""

    def run(subject: str, *more: str, account: str = ERASURE) -> tuple[int, Any]:
        kubeconfig = as_operator(plane, namespace, tmp_path / f"{account}.kubeconfig", account)
        given = [
            "content",
            "erase",
            "--subject",
            subject,
            "-n",
            "support",
            "--system-namespace",
            namespace,
            "-o",
            "json",
        ]
        done = CliRunner().invoke(app, [*given, *more], env={"KUBECONFIG": str(kubeconfig)})
        return done.exit_code, json.loads(done.stdout) if done.stdout else done.stderr

    return run


async def test_a_key_is_made_once_and_destroyed_by_who_may(
    gateways: list[Client], namespace: str, erase: Callable[..., tuple[int, Any]]
) -> None:
    three = [Keys(SubjectKeys(client, namespace)) for client in gateways]
    found = await asyncio.gather(*(of.of("support", f"person-{n}") for n in range(8) for of in three))
    assert len({key.secret for key in found}) == 8
    ada = found[0]

    code, said = await asyncio.to_thread(erase, "person-0")
    assert (code, said["keys"], said["erased"]) == (0, [ada.name], False)
    code, said = await asyncio.to_thread(erase, "person-0", "--yes")
    assert (code, said["subject"], said["erased"]) == (0, ada.subject, True)
    code, said = await asyncio.to_thread(erase, "person-0", "--yes")
    assert (code, said["keys"], said["erasedBefore"]) == (1, [], [ada.name])
    assert (await asyncio.to_thread(erase, "nobody", "--yes"))[0] == 1

    for of in three:
        await of.look()
        assert set(of.erased) == {ada.name}
    after = {(await of.of("support", "person-0")).name for of in three}
    assert len(after) == 1
    assert ada.name not in after


async def test_nobody_else_may(gateways: list[Client], namespace: str, erase: Callable[..., tuple[int, Any]]) -> None:
    await Keys(SubjectKeys(gateways[0], namespace)).of("support", "ada")
    code, said = await asyncio.to_thread(erase, "ada", "--yes", account="default")
    assert code == 2
    assert "Role smallmodel-erasure" in said
    with pytest.raises(ApiError, match="forbidden"):
        await gateways[0].request("GET", f"/api/v1/namespaces/{namespace}/secrets")
    with pytest.raises(ApiError, match="forbidden"):
        await gateways[0].delete("Secret", secret_name(0), namespace, "some-uid")
    with pytest.raises(Away, match="forbidden"):
        await SubjectKeys(gateways[0], namespace).read(f"smallmodel-subject-keys-{SHARDS}")
