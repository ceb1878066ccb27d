"""`slm boundary`: stop inference, allow it again, and see that every gateway does so."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import yaml
from rich.console import Console

from smallmodel_operator.api.names import API_VERSION, BOUNDARY, GATEWAY, SYSTEM_NAMESPACE
from smallmodel_operator.boundary import enforcement
from smallmodel_operator.boundary.seal import ALLOWED, STOPPED, Boundary, edited
from smallmodel_operator.cli.boundary_limits import past_the_gateways, ways_out
from smallmodel_operator.cluster.access import NoCluster
from smallmodel_operator.cluster.client import ApiError, Client

POLL_SECONDS: Final = 0.1
TRIES: Final = 5
"""Writes that meet somebody else's; then it is said."""
MANAGER: Final = "slm"
UNKNOWN, FORBIDDEN, CONFLICT = 404, 403, 409
KIND: Final = "ClusterBoundary"
_FAILURES: Final = (ApiError, NoCluster, aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to change: fields of the cluster (`namespace` empty) or of one namespace."""

    namespace: str
    changes: Mapping[str, str]

    @property
    def where(self) -> str:
        return f"namespace {self.namespace}" if self.namespace else "the whole cluster"


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long the gateways are waited for, in seconds, and where they are."""

    seconds: float = 5.0
    namespace: str = SYSTEM_NAMESPACE


def sealing(namespace: str, *, stop: bool, reason: str) -> Wish:
    """Denies what is outside the cluster, and with `stop` inference as well."""
    changes = {"external": "Denied"}
    if stop:
        changes |= {"inference": STOPPED, "reason": reason}
    elif reason:
        changes["reason"] = reason
    return Wish(namespace, changes)


def unsealing(namespace: str, *, reason: str) -> Wish:
    """Allows inference again. What is outside the cluster stays denied: there is nothing else yet."""
    return Wish(namespace, {"inference": ALLOWED, "reason": reason})


async def change(wish: Wish, output: str, waiting: Waiting) -> int:
    """Write it and wait for the gateways, or print the object; 0 when every gateway has it in force in time."""
    if output == "yaml":
        return await _print(wish)

    async def work(client: Client) -> int:
        obj = await _write(client, wish)
        began = time.monotonic()
        print(f"ClusterBoundary {BOUNDARY}, generation {obj['metadata']['generation']}: {_said(obj)}")
        if wish.changes.get("inference") == STOPPED and (open_way := past_the_gateways(obj)):
            _warn(open_way)
        return await _confirmed(client, int(obj["metadata"]["generation"]), began, waiting)

    return await _with_client(work)


async def show(output: str, namespace: str) -> int:
    """Print what is declared and what each gateway does; 0 when every gateway has it in force."""

    async def work(client: Client) -> int:
        obj = await client.get(KIND, BOUNDARY)
        names = await _gateways(client, namespace)
        entries = _entries(obj)
        generation = int(obj["metadata"]["generation"]) if obj else 0
        late = [name for name in names if obj and entries.get(name, {}).get("observedGeneration", 0) < generation]
        if output == "json":
            spec = obj.get("spec", {}) if obj else {}
            found = [{"name": n, "inForce": n not in late, **entries.get(n, {})} for n in names]
            network = enforcement.condition(obj or {})
            print(json.dumps({"generation": generation, "spec": spec, "network": network, "gateways": found}, indent=2))
        else:
            _describe(obj, names, late, entries, generation)
        return 1 if late else 0

    return await _with_client(work)


def _describe(
    obj: dict[str, Any] | None, names: list[str], late: list[str], entries: dict[str, Any], generation: int
) -> None:
    if obj is None:
        print("There is no ClusterBoundary: inference is allowed everywhere.")
        return
    print(f"ClusterBoundary {BOUNDARY}, generation {generation}: {_said(obj)}")
    print(f"  network: {enforcement.sentence(obj)}")
    for name in names:
        entry = entries.get(name, {})
        if name in late:
            has = f"still generation {entry['observedGeneration']}" if entry else "has not said anything yet"
            print(f"  {name}: NOT in force: {has}")
        else:
            print(f"  {name}: in force since {entry['since']}{_cut(entry)}")
    if not names:
        print("  no gateway runs")


def _said(obj: Mapping[str, Any]) -> str:
    boundary = Boundary.of(obj)
    spec = obj.get("spec") or {}
    denied = [""] if spec.get("external") == "Denied" else []
    denied += [n["name"] for n in spec.get("namespaces") or () if n.get("external") == "Denied"]
    said = boundary.sentence.partition(": ClusterBoundary")[0] or "inference is allowed"
    if denied:
        where = "everywhere" if "" in denied else f"in {', '.join(denied)}"
        said += f"; targets outside the cluster are denied {where} (and there is no such kind of target yet)"
    return said


def _cut(entry: Mapping[str, Any]) -> str:
    number = int(entry.get("cutRequests", 0))
    return f", {number} running request{'s' if number != 1 else ''} cut" if number else ""


async def _confirmed(client: Client, generation: int, began: float, waiting: Waiting) -> int:
    names = await _gateways(client, waiting.namespace)
    if not names:
        return _failed(
            f"no gateway runs in namespace {waiting.namespace}, so nobody has taken it over: those that start will. "
            "Is the gateway in another namespace (--system-namespace)?"
        )
    left = set(names)
    while left:
        entries = _entries(await client.get(KIND, BOUNDARY))
        passed = time.monotonic() - began
        for name in sorted(left):
            entry = entries.get(name, {})
            if int(entry.get("observedGeneration", 0)) >= generation:
                print(f"  {name}: in force {passed:.1f} s after the write{_cut(entry)}", flush=True)
                left.discard(name)
        if left and passed > waiting.seconds:
            late = sorted(left)
            text = f"NOT in force after {waiting.seconds:.0f} s at {', '.join(late)}: "
            return _failed(text + ways_out(waiting.namespace, late))
        await asyncio.sleep(POLL_SECONDS if left else 0)
    print(f"in force at all {len(names)} gateways" if len(names) > 1 else "in force at the one gateway")
    return 0


async def _write(client: Client, wish: Wish) -> dict[str, Any]:
    for attempt in range(TRIES):
        try:
            obj = await client.get(KIND, BOUNDARY)
            if obj is None:
                return await client.create(_object(edited({}, wish.namespace, wish.changes)), fieldManager=MANAGER)
            spec = edited(obj.get("spec") or {}, wish.namespace, wish.changes)
            if spec == obj.get("spec"):
                return obj  # no write, but the gateways are looked at all the same
            return await client.replace({**obj, "spec": spec}, manager=MANAGER)
        except ApiError as error:
            if error.status != CONFLICT or attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")


async def _print(wish: Wish) -> int:
    """The object as it would be, for Git; from nothing where the cluster does not answer."""
    spec: dict[str, Any] = {}
    try:
        client = await Client.connect()
        try:
            spec = ((await client.get(KIND, BOUNDARY)) or {}).get("spec") or {}
        finally:
            await client.close()
    except _FAILURES as error:
        _warn(f"what is declared in the cluster is not in it, because that cannot be read: {_words(error)}")
    print(yaml.safe_dump(_object(edited(spec, wish.namespace, wish.changes)), sort_keys=False), end="")
    return 0


def _object(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": BOUNDARY}, "spec": dict(spec)}


def _entries(obj: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in ((obj or {}).get("status") or {}).get("gateways") or ()}


async def _gateways(client: Client, namespace: str) -> list[str]:
    """Pods of the gateway, also those that are not ready: what runs through them runs all the same."""
    selector = f"kubernetes.io/service-name={GATEWAY}-pods"
    slices = await client.list("EndpointSlice", namespace, labelSelector=selector)
    found = {
        endpoint.get("targetRef", {}).get("name", endpoint["addresses"][0])
        for part in slices
        for endpoint in part.get("endpoints") or ()
    }
    return sorted(found)


async def _with_client(work: "Callable[[Client], Any]") -> int:
    try:
        client = await Client.connect()
    except NoCluster as error:
        return _failed(str(error))
    try:
        return int(await work(client))
    except _FAILURES as error:
        return _failed(_words(error))
    finally:
        await client.close()


def _words(error: Exception) -> str:
    if isinstance(error, ApiError):
        if error.status == UNKNOWN:
            return (
                "this cluster has no kind ClusterBoundary: install the CRDs of this version (kubectl apply -k crds/)."
            )
        if error.status == FORBIDDEN:
            return f"{error.message}: ClusterRole smallmodel-boundary gives the right, ask somebody who has it."
        return error.message
    if isinstance(error, NoCluster):
        return str(error)
    return f"the API server does not answer: {str(error) or 'time is up'}"


def _warn(message: str) -> None:
    Console(stderr=True).print(message, markup=False)


def _failed(message: str) -> int:
    Console(stderr=True).print(message, style="red", markup=False)
    return 1
