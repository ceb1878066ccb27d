"""One HTTP session to the API server, built from the kubernetes package's configuration.

Every request passes two middlewares: the token (re-read by the package when its file rotates) and the fence (a
write is refused, at the last moment before it is sent, when the lease has run out). kopf gets a session with the
same middlewares, so that its finalizer patches are fenced too.
"""

import asyncio
import copy
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final, cast
from urllib.parse import urlencode
from urllib.request import getproxies

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from smallmodel_operator.api.names import OPERATOR
from smallmodel_operator.cluster.access import configuration
from smallmodel_operator.cluster.fence import Fence, NotLeader
from smallmodel_operator.cluster.kinds import KINDS

TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=10)
CONNECTIONS: Final = 36
"""Open at once. Each TLS connection takes 300 KiB here; fewer leave the API server to others in a burst."""
CLOSING_SECONDS: Final = 0.05
"""TLS connections say goodbye after their session is closed; a loop that ends at once would cut them off."""
SAFE_METHODS: Final = {"GET", "HEAD", "OPTIONS"}
LEASES: Final = "/apis/coordination.k8s.io/v1/"
"""Lease writes decide who leads, so they pass the fence."""


class ApiError(Exception):
    """The API server answered with an error. `message` is the server's own, `reason` its machine-readable name."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class Client:
    """A thin, fenced client: dicts in, dicts out. Close it when done."""

    def __init__(self, configuration: Configuration, fence: Fence) -> None:
        self._configuration = configuration
        self.fence = fence
        self.requests = 0
        self.writes = 0
        configuration.client_session_kwargs = {
            "middlewares": (self._authenticate, self._fence),
            "request_class": _fenced(fence),
            "headers": {"User-Agent": OPERATOR},
            # Else each request reads a netrc file in a thread: a tenth of what the operator computes.
            "trust_env": bool(getproxies()),
        }
        self._session: aiohttp.ClientSession | None = None

    @classmethod
    async def connect(cls, fence: Fence | None = None) -> "Client":
        """With the credentials this process has.

        Raises:
            NoCluster: there are none that are usable.
        """
        return cls(await configuration(), fence or Fence.open())

    def twin(self) -> "Client":
        """A client with the same credentials and the same fence, for another event loop."""
        return Client(copy.copy(self._configuration), self.fence)

    @property
    def server(self) -> str:
        return str(self._configuration.host)

    def new_session(self, connections: int = CONNECTIONS) -> aiohttp.ClientSession:
        """A session of its own with our middlewares, for a caller that closes it itself (kopf)."""
        configuration = copy.copy(self._configuration)
        configuration.connection_pool_maxsize = connections
        return RESTClientObject(configuration)._create_pool_manager()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
            await asyncio.sleep(CLOSING_SECONDS)

    async def _authenticate(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if token := await self._configuration.get_api_key_with_prefix("BearerToken"):
            request.headers["Authorization"] = token
        return await handler(request)

    async def _fence(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        self.requests += 1
        if _is_fenced(request):
            self.writes += 1
            self.fence.check()
        return await handler(request)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> dict[str, Any]:
        """One request.

        Raises:
            ApiError: the server answered 4xx or 5xx.
            NotLeader: a write after the lease ran out.
            aiohttp.ClientError, TimeoutError: no answer.
        """
        if self._session is None:
            self._session = self.new_session()
        url = self.server.rstrip("/") + path + (f"?{urlencode(query)}" if query else "")
        async with self._session.request(
            method,
            url,
            data=None if body is None else json.dumps(body, separators=(",", ":")),
            headers={"Content-Type": content_type, "Accept": accept},
            timeout=TIMEOUT,
        ) as response:
            text = await response.text()
            if response.status >= 400:
                raise _error(response.status, text)
            return cast(dict[str, Any], json.loads(text)) if text.startswith("{") else {"text": text}

    async def lines(self, path: str, query: Mapping[str, str], silence: float) -> AsyncGenerator[bytes, None]:
        """Lines of an answer that goes on (a watch), for as long as the server sends; first an empty one: it began.

        Raises:
            ApiError: the server answered 4xx or 5xx.
            aiohttp.ClientError, TimeoutError: no answer, or nothing for `silence` seconds.
        """
        self._session = self._session or self.new_session()
        url = f"{self.server.rstrip('/')}{path}?{urlencode(query)}"
        timeout, rest = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence), b""
        async with self._session.get(url, timeout=timeout) as response:
            if response.status >= 400:
                raise _error(response.status, await response.text())
            yield b""
            async for chunk in response.content.iter_any():
                *whole, rest = (rest + chunk).split(b"\n")
                for line in whole:
                    yield line

    async def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any] | None:
        """The object, or None when there is none."""
        try:
            return await self.request("GET", KINDS[kind].path(namespace, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def names(self, kind: str, namespace: str) -> frozenset[str]:
        """Names of all objects of a kind in a namespace, from the API server's cache.

        As the table kubectl prints: a tenth of the bytes of the objects' metadata.
        """
        query = {"resourceVersion": "0", "includeObject": "None"}
        accept = "application/json;as=Table;g=meta.k8s.io;v=v1"
        table = await self.request("GET", KINDS[kind].path(namespace), query=query, accept=accept)
        column = next(at for at, c in enumerate(table["columnDefinitions"]) if c["format"] == "name")
        return frozenset(row["cells"][column] for row in table["rows"] or ())  # no rows come as null

    async def list(self, kind: str, namespace: str | None = None, **query: str) -> list[dict[str, Any]]:
        answer = await self.request("GET", KINDS[kind].path(namespace), query=query)
        return cast(list[dict[str, Any]], answer.get("items") or [])

    async def pages(self, kind: str, size: int, **query: str) -> AsyncGenerator[Sequence[dict[str, Any]], None]:
        """All objects of a kind in the cluster, at most `size` at a time."""
        token = ""
        while True:
            asked = {**query, "limit": str(size), **({"continue": token} if token else {})}
            answer = await self.request("GET", KINDS[kind].path(None), query=asked)
            yield answer.get("items") or []
            if not (token := answer["metadata"].get("continue", "")):
                return

    async def apply(
        self, obj: Mapping[str, Any], *, force: bool, subresource: str = "", manager: str = OPERATOR
    ) -> dict[str, Any]:
        """Server-side apply under our field manager, or that of one gateway."""
        kind, meta = KINDS[obj["kind"]], obj["metadata"]
        return await self.request(
            "PATCH",
            kind.path(meta.get("namespace"), meta["name"], subresource),
            query={"fieldManager": manager, "force": "true" if force else "false"},
            body=obj,
            content_type="application/apply-patch+yaml",
        )

    async def create(self, obj: Mapping[str, Any], **query: str) -> dict[str, Any]:
        path = KINDS[obj["kind"]].path(obj["metadata"].get("namespace"))
        return await self.request("POST", path, query={"fieldManager": OPERATOR, **query}, body=obj)

    async def replace(self, obj: Mapping[str, Any], manager: str = OPERATOR) -> dict[str, Any]:
        meta = obj["metadata"]
        path = KINDS[obj["kind"]].path(meta.get("namespace"), meta["name"])
        return await self.request("PUT", path, query={"fieldManager": manager}, body=obj)

    async def merge(self, kind: str, name: str, namespace: str, patch: Any, subresource: str = "") -> dict[str, Any]:
        """A JSON merge patch."""
        path = KINDS[kind].path(namespace, name, subresource)
        return await self.request("PATCH", path, body=patch, content_type="application/merge-patch+json")

    async def delete(self, kind: str, name: str, namespace: str, uid: str) -> None:
        """Delete exactly this object (by uid), its dependents in the background. Gone already is fine."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self.request("DELETE", KINDS[kind].path(namespace, name), body=body)
        except ApiError as error:
            if error.status not in (404, 409):
                raise


def _fenced(fence: Fence) -> type[aiohttp.ClientRequest]:
    """Requests that look at the fence when they have their connection, and again as the bytes leave.

    Waiting for a connection takes its time, and so does a busy loop before it comes to the body.
    """

    class FencedRequest(aiohttp.ClientRequest):
        async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
            if _is_fenced(self):
                fence.check()
            return await super().send(conn)

        async def write_bytes(
            self, writer: Any, conn: aiohttp.connector.Connection, content_length: int | None = None
        ) -> None:
            try:
                if _is_fenced(self):
                    fence.check()
            except NotLeader as error:
                if conn.protocol is not None:
                    conn.protocol.set_exception(error)  # whoever waits for the answer gets this instead
                return
            await super().write_bytes(writer, conn, content_length)

    return FencedRequest


def _is_fenced(request: aiohttp.ClientRequest) -> bool:
    return request.method not in SAFE_METHODS and not request.url.path.startswith(LEASES)


def _error(status: int, text: str) -> ApiError:
    try:
        answer = json.loads(text)
        return ApiError(status, str(answer.get("reason", "")), str(answer.get("message", "")))
    except (ValueError, AttributeError):
        return ApiError(status, "", text[:300])
