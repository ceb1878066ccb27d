"""Reads of the API server without a kubectl for each: tests look several times a second, and a program costs 100 ms."""

import base64
import http.client
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit


class NoAnswer(Exception):  # noqa: N818 - says what happened
    """The API server did not answer, or refused; the message says why."""


@dataclass(frozen=True, slots=True)
class Resource:
    """Where objects of a kind are."""

    base: str
    plural: str
    kind: str
    api_version: str
    namespaced: bool

    def path(self, namespace: str) -> str:
        return f"{self.base}/namespaces/{namespace}/{self.plural}" if self.namespaced else f"{self.base}/{self.plural}"


@dataclass(slots=True)
class Reader:
    """By a kubeconfig with a token. A connection for each read: the API server is killed and restarted at will."""

    kubeconfig: Path
    _resources: dict[str, Resource] = field(default_factory=dict)

    def get(self, kind: str, name: str, namespace: str) -> dict[str, Any]:
        """An object, or empty when it is not there."""
        return self._ask(f"{self._resource(kind).path(namespace)}/{name}", missing={})

    def items(self, kinds: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        """All objects of kinds that are separated by commas, each with its kind, as kubectl lists them."""
        query = f"?{urlencode({'labelSelector': selector})}" if selector else ""
        found = []
        for resource in map(self._resource, kinds.split(",")):
            listed = self._ask(resource.path(namespace) + query)["items"] or []
            found += [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in listed]
        return found

    def _resource(self, name: str) -> Resource:
        """By plural, singular or short name, in lower case."""
        if name not in self._resources:
            for resource, names in self._discovered():
                for each in names:
                    self._resources.setdefault(each, resource)
        if name not in self._resources:
            raise NoAnswer(f"the API server serves no {name!r}")
        return self._resources[name]

    def _discovered(self) -> Iterator[tuple[Resource, list[str]]]:
        groups = self._ask("/apis")["groups"]
        bases = {"v1": "/api/v1", **{(v := g["preferredVersion"]["groupVersion"]): f"/apis/{v}" for g in groups}}
        for version, base in bases.items():
            for told in self._ask(base)["resources"]:
                if "/" not in told["name"]:
                    names = [told["name"], told["singularName"], *told.get("shortNames", [])]
                    yield Resource(base, told["name"], told["kind"], version, told["namespaced"]), names

    def _ask(self, path: str, missing: dict[str, Any] | None = None) -> dict[str, Any]:
        told = json.loads(self.kubeconfig.read_text())
        cluster, user = told["clusters"][0]["cluster"], told["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        server = urlsplit(cluster["server"])
        context = ssl.create_default_context(cadata=authority)
        connection = http.client.HTTPSConnection(server.hostname or "", server.port, timeout=30, context=context)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {user['token']}"})
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"GET {path}: {error!r}") from error
        finally:
            connection.close()
        if answer.status == http.HTTPStatus.NOT_FOUND and missing is not None:
            return missing
        if answer.status != http.HTTPStatus.OK:
            raise NoAnswer(f"GET {path}: {answer.status} {text[:300]!r}")
        return dict(json.loads(text))
