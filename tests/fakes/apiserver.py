"""A fake API server: a real HTTP server in this process that keeps objects in a dict.

It speaks the wire format of get, list, create, replace, server-side apply, merge patch and delete, with the
conflicts a client must expect (AlreadyExists, stale resourceVersion, field owned by another manager, uid
precondition). It has no schema, no admission, no controllers and no watches: what needs those is tested on a real one.
"""

import asyncio
import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from kubernetes.aio.client import Configuration

from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.cluster.kinds import KINDS, Kind

Key = tuple[str, str, str]
"""(kind, namespace, name)."""

_BY_PLURAL = {(k.api_version, k.plural): k for k in KINDS.values()}


@cache
def _authority() -> str:
    """A certificate to trust: without one each client reads all of this machine's, longer than most tests take."""
    key, name, now = Ed25519PrivateKey.generate(), x509.Name([]), datetime.now(UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
    ).sign(key, None)
    return made.public_bytes(Encoding.PEM).decode()


@dataclass(frozen=True)
class Sent:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any

    @property
    def write(self) -> bool:
        return self.method not in ("GET", "HEAD")


@dataclass
class Refusal:
    """What the next matching requests are answered instead."""

    method: str
    part: str
    status: int
    reason: str
    message: str
    times: int


@dataclass
class FakeApiServer:
    """Use as `async with FakeApiServer() as server:`, connect with `server.client()`."""

    objects: dict[Key, dict[str, Any]] = field(default_factory=dict)
    managers: dict[Key, dict[str, str]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    version: int = 100
    answers: dict[str, Any] = field(default_factory=dict)
    """Fixed answers by path, for discovery."""
    down: bool = False
    """Connections are cut without an answer."""

    def __post_init__(self) -> None:
        self._refusals: list[Refusal] = []
        self._clients: list[Client] = []
        self.delay = 0.0
        """Seconds before each answer."""
        self.gate = asyncio.Event()
        self.gate.set()
        """Cleared, requests wait for it before they are looked at."""

    async def __aenter__(self) -> "FakeApiServer":
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.host = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.close()
        self.gate.set()
        await self._runner.cleanup()

    def client(self, fence: Fence | None = None) -> Client:
        """A client of the product, connected to this server; closed with it."""
        configuration = Configuration(host=self.host)
        configuration.ca_cert_data = _authority()
        client = Client(configuration, fence or Fence.open())
        self._clients.append(client)
        return client

    def refuse(self, method: str, part: str, status: int, reason: str, message: str, times: int = 1_000_000) -> None:
        """Answer requests of this method whose path contains `part` with an error."""
        self._refusals.append(Refusal(method, part, status, reason, message, times))

    def heal(self) -> None:
        self._refusals.clear()

    @property
    def writes(self) -> list[Sent]:
        return [s for s in self.sent if s.write]

    def get(self, kind: str, name: str, namespace: str = "support") -> dict[str, Any] | None:
        return self.objects.get((kind, namespace, name))

    def put(self, obj: dict[str, Any], manager: str = "someone") -> dict[str, Any]:
        """Place an object as another writer; every field is that manager's."""
        key = (obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        return self._store(key, copy.deepcopy(obj), dict.fromkeys(_leaves(obj), manager))

    # -- the wire ----------------------------------------------------------------------------------------------

    async def _handle(self, request: web.Request) -> web.Response:
        text = await request.text()
        body = json.loads(text) if text else None
        self.sent.append(Sent(request.method, request.path, dict(request.query), dict(request.headers), body))
        await self.gate.wait()
        await asyncio.sleep(self.delay)
        if self.down:
            assert request.transport is not None
            request.transport.close()
            return web.Response(status=500)
        for refusal in self._refusals:
            if refusal.method == request.method and refusal.part in request.path and refusal.times > 0:
                refusal.times -= 1
                return _status(refusal.status, refusal.reason, refusal.message)
        if request.path in self.answers:
            return web.json_response(self.answers[request.path])
        return self._answer(request, body)

    def _answer(self, request: web.Request, body: Any) -> web.Response:
        parsed = _parse(request.path)
        if parsed is None:
            return _status(404, "NotFound", "the server could not find the requested resource")
        kind, namespace, name, subresource = parsed
        if request.method == "POST":
            return self._create(kind, namespace, body, dry="dryRun" in request.query)
        if not name:
            return self._list(kind, namespace, request.query, request.headers.get("Accept", ""))
        key = (kind.kind, namespace, name)
        if request.method == "PATCH" and request.content_type == "application/apply-patch+yaml":
            return self._apply(key, body, request.query, subresource)
        if key not in self.objects:
            return _status(404, "NotFound", f'{kind.plural} "{name}" not found')
        if request.method == "GET":
            return web.json_response(self.objects[key])
        if request.method == "PUT":
            return self._replace(key, body)
        if request.method == "PATCH":
            return self._merge(key, body, subresource)
        return self._delete(key, body or {})

    def _create(self, kind: Kind, namespace: str, body: dict[str, Any], *, dry: bool) -> web.Response:
        key = (kind.kind, namespace, body["metadata"]["name"])
        if key in self.objects:
            return _status(409, "AlreadyExists", f'{kind.plural} "{key[2]}" already exists')
        return web.json_response(body if dry else self._store(key, body, {}), status=201)

    def _list(self, kind: Kind, namespace: str, query: Any, accept: str) -> web.Response:
        items = [
            o for k, o in sorted(self.objects.items()) if k[0] == kind.kind and (not namespace or k[1] == namespace)
        ]
        if "as=Table" in accept:
            rows = [{"cells": [o["metadata"]["name"]], "object": None} for o in items] or None
            return web.json_response({"columnDefinitions": [{"name": "Name", "format": "name"}], "rows": rows})
        first = int(query.get("continue") or 0)
        last = first + int(query.get("limit") or len(items))
        meta = {"resourceVersion": str(self.version), **({"continue": str(last)} if last < len(items) else {})}
        return web.json_response({"kind": "List", "metadata": meta, "items": items[first:last]})

    def _replace(self, key: Key, body: dict[str, Any]) -> web.Response:
        if stale := self._stale(key, body):
            return stale
        return web.json_response(self._store(key, body, {}))

    def _apply(self, key: Key, body: dict[str, Any], query: Any, subresource: str) -> web.Response:
        manager, live = query["fieldManager"], self.objects.get(key)
        if live is None and subresource:
            return _status(404, "NotFound", f"{key[0]} {key[2]!r} not found")
        if live is None and body["metadata"].get("uid"):
            return _status(409, "Conflict", "uid mismatch: and no existing object was found")
        if live is not None and (refused := self._stale(key, body)):
            return refused
        owners = self.managers.get(key, {}) if live else {}
        wish = {"status": body["status"]} if subresource == "status" else body
        leaves = {p: v for p, v in _leaves(wish).items() if not _untracked(p)}
        now = _leaves(live or {})
        conflicts = [p for p, v in leaves.items() if owners.get(p, manager) != manager and now.get(p) != v]
        if conflicts and query.get("force") != "true":
            names = ", ".join("." + ".".join(map(str, p)) for p in conflicts)
            return _status(409, "Conflict", f"Apply failed with {len(conflicts)} conflict(s): {names}")
        given_up = {
            p for p, m in owners.items() if m == manager and p not in leaves and (p[0] == "status") == bool(subresource)
        }
        merged = _without(copy.deepcopy(live or {}), given_up)
        merged = _merged(merged, wish)
        merged["metadata"] = {**(live or {}).get("metadata", {}), **merged.get("metadata", {})}
        merged["metadata"].pop("resourceVersion", None)
        after = {p: o for p, o in owners.items() if p not in given_up} | dict.fromkeys(leaves, manager)
        return web.json_response(self._store(key, merged, after), status=200 if live else 201)

    def _merge(self, key: Key, patch: dict[str, Any], subresource: str) -> web.Response:
        if stale := self._stale(key, patch):
            return stale
        return web.json_response(self._store(key, _merged(copy.deepcopy(self.objects[key]), patch), self.managers[key]))

    def _delete(self, key: Key, options: dict[str, Any]) -> web.Response:
        uid = self.objects[key]["metadata"]["uid"]
        if options.get("preconditions", {}).get("uid", uid) != uid:
            return _status(409, "Conflict", "the UID in the precondition does not match the UID in record")
        self.version += 1
        del self.objects[key]
        return web.json_response({"kind": "Status", "status": "Success"})

    def _stale(self, key: Key, body: dict[str, Any]) -> web.Response | None:
        live, wanted = self.objects[key]["metadata"], body.get("metadata", {})
        if wanted.get("resourceVersion") not in (None, live["resourceVersion"]):
            return _status(
                409, "Conflict", "the object has been modified; please apply your changes to the latest version"
            )
        if wanted.get("uid") not in (None, live["uid"]):
            return _status(409, "Conflict", "Precondition failed: UID in precondition does not match")
        return None

    def _store(self, key: Key, obj: dict[str, Any], managers: dict[Any, str]) -> dict[str, Any]:
        old = self.objects.get(key)
        self.managers[key] = managers
        meta = {**obj["metadata"], "name": key[2], **({"namespace": key[1]} if key[1] else {})}
        meta["uid"] = old["metadata"]["uid"] if old else meta.get("uid") or f"uid-{self.version + 1}"
        meta.pop("resourceVersion", None)
        same = old is not None and {
            **old,
            "metadata": {k: v for k, v in old["metadata"].items() if k != "resourceVersion"},
        }
        stored = {**obj, "metadata": meta}
        if same and same == stored:
            return old  # type: ignore[return-value]
        self.version += 1
        stored["metadata"]["resourceVersion"] = str(self.version)
        self.objects[key] = stored
        return stored


def _untracked(path: tuple[Any, ...]) -> bool:
    """Fields no manager owns."""
    identity = ("name", "namespace", "uid", "resourceVersion")
    return path[0] in ("apiVersion", "kind") or (path[0] == "metadata" and path[1] in identity)


def _unversioned(metadata: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in metadata.items() if k != "resourceVersion"}


def _parse(path: str) -> tuple[Kind, str, str, str] | None:
    parts = path.strip("/").split("/")
    group, rest = (parts[1], parts[2:]) if parts[0] == "api" else ("/".join(parts[1:3]), parts[3:])
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    kind = _BY_PLURAL.get((group, rest[0])) if rest else None
    if kind is None:
        return None
    return kind, namespace, rest[1] if len(rest) > 1 else "", rest[2] if len(rest) > 2 else ""


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    """Leaf fields by path; a list is one leaf, and so is a selector."""
    if isinstance(value, dict) and value and path[-1:] not in (("selector",), ("matchLabels",)):
        return {p: v for k, item in value.items() for p, v in _leaves(item, (*path, k)).items()}
    return {path: value}


def _without(obj: dict[str, Any], paths: set[tuple[Any, ...]]) -> dict[str, Any]:
    """The object without these leaves, and without the maps that thereby become empty."""
    for path in paths:
        trail = [obj]
        for key in path[:-1]:
            trail.append(trail[-1].get(key, {}))
        for where, key in zip(reversed(trail), reversed(path), strict=True):
            if where.get(key) in ({}, None) or key == path[-1]:
                where.pop(key, None)
    return obj


def _merged(into: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    for key, value in patch.items():
        whole = key in ("selector", "matchLabels")
        if not whole and isinstance(value, dict) and isinstance(into.get(key), dict):
            into[key] = _merged(into[key], value)
        elif value is None:
            into.pop(key, None)
        else:
            into[key] = copy.deepcopy(value)
    return into


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }
    return web.json_response(body, status=code)


def kinds_written(server: FakeApiServer) -> Iterator[str]:
    """Kinds of the objects written, in the order of arrival."""
    for sent in server.writes:
        parsed = _parse(sent.path)
        if parsed:
            yield parsed[0].kind
