"""Endpoints over the stream, spoken with by a client that says what Envoy says."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2

from smallmodel_operator.gateway.discovery import METHOD, SERVICE, TYPE, Discovery

BOT, CAT = "support/bot", "support/cat"


def endpoints(target: str, *addresses: str) -> dict[str, Any]:
    found = [{"endpoint": {"address": {"socket_address": {"address": a, "port_value": 8080}}}} for a in addresses]
    return {"resources": [{"@type": TYPE, "cluster_name": target, "endpoints": [{"lb_endpoints": found}]}]}


class Envoy:
    """One delta stream."""

    def __init__(self, socket: Path) -> None:
        self._channel = grpc.aio.insecure_channel(f"unix:{socket}")
        self._call = self._channel.stream_stream(
            f"/{SERVICE}/{METHOD}",
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )()

    async def __aenter__(self) -> "Envoy":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._call.cancel()
        await self._channel.close()

    async def ask(self, *names: str, known: dict[str, str] | None = None, leave: tuple[str, ...] = ()) -> None:
        await self._call.write(
            discovery_pb2.DeltaDiscoveryRequest(
                type_url=TYPE,
                resource_names_subscribe=names,
                resource_names_unsubscribe=leave,
                initial_resource_versions=known or {},
            )
        )

    async def hear(self) -> Any:
        async with asyncio.timeout(5):
            return await self._call.read()

    async def silent(self) -> bool:
        reading = asyncio.ensure_future(self._call.read())
        done, _ = await asyncio.wait({reading}, timeout=0.2)
        reading.cancel()
        return not done

    async def answer(self, response: Any, refusal: str = "") -> None:
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=TYPE, response_nonce=response.nonce)
        if refusal:
            request.error_detail.message = refusal
        await self._call.write(request)


def addresses(response: Any) -> dict[str, list[str]]:
    found = {}
    for resource in response.resources:
        assignment = endpoint_pb2.ClusterLoadAssignment.FromString(resource.resource.value)
        hosts = [e.endpoint.address.socket_address.address for g in assignment.endpoints for e in g.lb_endpoints]
        assert resource.name == assignment.cluster_name
        found[resource.name] = hosts
    return found


@pytest.fixture
async def discovery(tmp_path: Path) -> AsyncIterator[Discovery]:
    made = Discovery(tmp_path / "xds.sock")
    made.put({BOT: endpoints(BOT, "10.0.0.1"), CAT: endpoints(CAT)})
    await made.start()
    yield made
    await made.stop()


async def test_what_is_asked_for_is_sent_and_what_changes_follows(discovery: Discovery, tmp_path: Path) -> None:
    async with Envoy(tmp_path / "xds.sock") as envoy:
        await envoy.ask(BOT, CAT)
        first = await envoy.hear()
        assert addresses(first) == {BOT: ["10.0.0.1"], CAT: []}
        await envoy.answer(first)
        assert await discovery.settled(BOT, 2)
        discovery.put({BOT: endpoints(BOT, "10.0.0.2"), CAT: endpoints(CAT)})
        assert addresses(await envoy.hear()) == {BOT: ["10.0.0.2"]}, "only what is different"


async def test_settled_is_what_envoy_said_not_what_was_sent(discovery: Discovery, tmp_path: Path) -> None:
    assert not await discovery.settled(BOT, 0.05), "nobody is connected"
    async with Envoy(tmp_path / "xds.sock") as envoy:
        await envoy.ask(BOT)
        first = await envoy.hear()
        assert not await discovery.settled(BOT, 0.05)
        await envoy.answer(first)
        assert await discovery.settled(BOT, 2)
        discovery.put({BOT: endpoints(BOT, "10.0.0.2")})
        waiting = asyncio.create_task(discovery.settled(BOT, 5))
        second = await envoy.hear()
        discovery.put({BOT: endpoints(BOT, "10.0.0.3")})  # while the answer is under way
        await envoy.answer(second)
        third = await envoy.hear()
        assert not waiting.done(), "an old word does not count for the newest endpoints"
        await envoy.answer(third)
        assert await waiting


async def test_a_refusal_is_remembered_until_something_is_taken(discovery: Discovery, tmp_path: Path) -> None:
    async with Envoy(tmp_path / "xds.sock") as envoy:
        await envoy.ask(BOT)
        await envoy.answer(await envoy.hear(), refusal="malformed")
        assert not await discovery.settled(BOT, 0.1)
        assert discovery.problems == {BOT: "malformed"}
        discovery.put({BOT: endpoints(BOT, "10.0.0.2")})
        await envoy.answer(await envoy.hear())
        assert await discovery.settled(BOT, 2)
        assert discovery.problems == {}


async def test_who_comes_back_is_sent_only_what_is_new(discovery: Discovery, tmp_path: Path) -> None:
    async with Envoy(tmp_path / "xds.sock") as envoy:
        await envoy.ask(BOT, CAT)
        known = {r.name: r.version for r in (await envoy.hear()).resources}
    async with Envoy(tmp_path / "xds.sock") as envoy:
        await envoy.ask(BOT, CAT, known=known)
        assert await envoy.silent()
    discovery.put({CAT: endpoints(CAT, "10.0.0.9")})
    async with Envoy(tmp_path / "xds.sock") as envoy:
        await envoy.ask(BOT, CAT, known=known)
        assert addresses(await envoy.hear()) == {CAT: ["10.0.0.9"]}


async def test_what_is_asked_for_again_is_sent_again(discovery: Discovery, tmp_path: Path) -> None:
    """Envoy asks again when it replaces a cluster, and that cluster waits for the answer."""
    async with Envoy(tmp_path / "xds.sock") as envoy:
        await envoy.ask(BOT)
        await envoy.answer(await envoy.hear())
        await envoy.ask(leave=(BOT,))
        await envoy.ask(BOT)
        assert addresses(await envoy.hear()) == {BOT: ["10.0.0.1"]}
        await envoy.ask(BOT)
        assert addresses(await envoy.hear()) == {BOT: ["10.0.0.1"]}


async def test_what_nobody_knows_is_said_to_be_so_and_comes_later(discovery: Discovery, tmp_path: Path) -> None:
    async with Envoy(tmp_path / "xds.sock") as envoy:
        await envoy.ask("support/new")
        assert list((await envoy.hear()).removed_resources) == ["support/new"]
        discovery.put({"support/new": endpoints("support/new", "10.0.0.4")})
        assert addresses(await envoy.hear()) == {"support/new": ["10.0.0.4"]}
        discovery.keep_only([BOT])
        assert list((await envoy.hear()).removed_resources) == ["support/new"]


async def test_a_stream_that_ends_is_forgotten(discovery: Discovery, tmp_path: Path) -> None:
    async with Envoy(tmp_path / "xds.sock") as envoy:
        await envoy.ask(BOT)
        await envoy.hear()
        assert discovery.connected
    async with asyncio.timeout(3):
        while discovery.connected:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_the_socket_is_the_gateways_own(discovery: Discovery, tmp_path: Path) -> None:
    assert (tmp_path / "xds.sock").stat().st_mode & 0o077 == 0
    await discovery.stop()
    assert not (tmp_path / "xds.sock").exists()


async def test_a_socket_that_a_killed_agent_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "xds.sock").touch()
    made = Discovery(tmp_path / "xds.sock")
    await made.start()
    await made.stop()


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"xds\.sock cannot be listened on"):
        await Discovery(tmp_path / "nowhere" / "xds.sock").start()
