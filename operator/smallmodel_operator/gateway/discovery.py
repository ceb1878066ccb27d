"""Endpoints for the own Envoy, over one delta stream on a Unix socket, with Envoy's word on each of them.

Why not files as for everything else: Envoy opens an inotify instance for every file it subscribes to, an ordinary
node allows 128 of them to a user, and Envoy aborts when it gets none. One stream carries all models, and its
acknowledgements are what the activator waits for. The files are written all the same: they are what a restarted
agent goes on from.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, json_format

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD: Final = "DeltaAggregatedResources"
TYPE: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Stream:
    """One connected Envoy: what it wants, what it was sent, what it has said yes to."""

    wanted: set[str] = field(default_factory=set)
    sent: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    pending: dict[str, dict[str, str]] = field(default_factory=dict)
    dirty: asyncio.Event = field(default_factory=asyncio.Event)
    answers: int = 0


class Discovery:
    """The discovery service. `problems` are endpoints Envoy refused, by target."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._resources: dict[str, tuple[str, bytes]] = {}
        self._streams: list[_Stream] = []
        self._acknowledged = asyncio.Condition()
        self._server: Any = None
        self.problems: dict[str, str] = {}

    @property
    def connected(self) -> bool:
        """Is an Envoy there?"""
        return bool(self._streams)

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the socket cannot be made.
        """
        self._socket.unlink(missing_ok=True)
        self._server = grpc.aio.server()
        handler = grpc.stream_stream_rpc_method_handler(
            self._serve,
            request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
            response_serializer=discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
        )
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        try:
            self._server.add_insecure_port(f"unix:{self._socket}")
            await self._server.start()
        except RuntimeError as error:
            raise OSError(f"{self._socket} cannot be listened on: {error}") from error
        os.chmod(self._socket, 0o600)

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0.2)
        self._socket.unlink(missing_ok=True)

    def put(self, contents: Mapping[str, Any]) -> None:
        """Set endpoints by target: values as in an endpoint file."""
        changed = set()
        for target, value in contents.items():
            packed = _packed(value["resources"][0])
            version = hashlib.sha256(packed).hexdigest()[:16]
            if self._resources.get(target, ("",))[0] != version:
                self._resources[target] = (version, packed)
                changed.add(target)
        self._wake(changed)

    def keep_only(self, targets: Iterable[str]) -> None:
        """Forget all others."""
        gone = set(self._resources) - set(targets)
        for target in gone:
            del self._resources[target]
            self.problems.pop(target, None)
        self._wake(gone)

    async def settled(self, target: str, timeout: float) -> bool:
        """Wait until every connected Envoy that wants these endpoints has accepted them.

        Returns:
            False when there is none, it refused them, or `timeout` seconds passed.
        """
        try:
            async with asyncio.timeout(timeout), self._acknowledged:
                await self._acknowledged.wait_for(lambda: self._settled(target))
        except TimeoutError:
            return False
        return True

    def _settled(self, target: str) -> bool:
        version = self._resources.get(target, ("",))[0]
        interested = [s for s in self._streams if target in s.wanted]
        return bool(interested) and all(s.accepted.get(target) == version for s in interested)

    def _wake(self, changed: set[str]) -> None:
        for stream in self._streams:
            if changed & stream.wanted:
                stream.dirty.set()

    # -- one stream --------------------------------------------------------------------------------------------

    async def _serve(self, requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
        stream = _Stream()
        self._streams.append(stream)
        logger.info("Envoy is connected for endpoints")
        reader = asyncio.create_task(self._read(requests, stream))
        try:
            while not reader.done():
                await stream.dirty.wait()
                stream.dirty.clear()
                if (answer := self._answer(stream)) is not None:
                    yield answer
        finally:
            reader.cancel()
            self._streams.remove(stream)
            logger.info("Envoy is no longer connected for endpoints")

    async def _read(self, requests: AsyncIterator[Any], stream: _Stream) -> None:
        try:
            async for request in requests:
                if request.type_url != TYPE:
                    continue
                if request.response_nonce:
                    await self._acknowledge(request, stream)
                stream.sent.update(request.initial_resource_versions)
                stream.accepted.update(request.initial_resource_versions)
                stream.wanted.update(request.resource_names_subscribe)
                for name in request.resource_names_unsubscribe:
                    stream.wanted.discard(name)
                    stream.sent.pop(name, None)
                    stream.accepted.pop(name, None)
                for name in request.resource_names_subscribe:
                    # Asked for again (its cluster was replaced): it needs an answer even if nothing changed.
                    if name not in request.initial_resource_versions:
                        stream.sent.pop(name, None)
                if request.resource_names_subscribe:
                    stream.dirty.set()
        finally:
            stream.dirty.set()

    async def _acknowledge(self, request: Any, stream: _Stream) -> None:
        versions = stream.pending.pop(request.response_nonce, {})
        if request.HasField("error_detail"):
            reason = request.error_detail.message
            logger.error("Envoy refused endpoints of %s: %s", ", ".join(versions), reason)
            self.problems.update(dict.fromkeys(versions, reason))
            return
        stream.accepted.update(versions)
        for name in versions:
            self.problems.pop(name, None)
        async with self._acknowledged:
            self._acknowledged.notify_all()

    def _answer(self, stream: _Stream) -> Any:
        """What this stream has not been sent yet; None when there is nothing."""
        names = [n for n in stream.wanted if stream.sent.get(n) != self._resources.get(n, ("-",))[0]]
        if not names:
            return None
        stream.answers += 1
        nonce = str(stream.answers)
        answer = discovery_pb2.DeltaDiscoveryResponse(type_url=TYPE, nonce=nonce)
        for name in sorted(names):
            version, packed = self._resources.get(name, ("-", b""))
            stream.sent[name] = version
            if packed:
                resource = any_pb2.Any(type_url=TYPE, value=packed)
                answer.resources.append(discovery_pb2.Resource(name=name, version=version, resource=resource))
            else:
                answer.removed_resources.append(name)  # said at once, or its cluster would wait for it
        stream.pending[nonce] = {n: stream.sent[n] for n in names}
        return answer


def _packed(assignment: Mapping[str, Any]) -> bytes:
    value = {k: v for k, v in assignment.items() if k != "@type"}
    parsed = json_format.ParseDict(value, endpoint_pb2.ClusterLoadAssignment())
    return bytes(parsed.SerializeToString(deterministic=True))
