"""`slm boundary`: stop inference, allow it again, and see that every gateway does so."""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import yaml

from smallmodel_operator.api.names import ANNOTATION_PROVE, API_VERSION, BOUNDARY
from smallmodel_operator.boundary import enforcement
from smallmodel_operator.boundary.seal import ALLOWED, STOPPED, Boundary, edited
from smallmodel_operator.boundary.stops import Stop, over, stops
from smallmodel_operator.cli.boundary_confirm import (
    KIND,
    Asked,
    Waiting,
    confirmed,
    cut,
    entries_of,
    failed,
    gateways,
    proven,
)
from smallmodel_operator.cli.boundary_limits import past_the_gateways
from smallmodel_operator.cli.console import stderr
from smallmodel_operator.cluster.access import NoCluster
from smallmodel_operator.cluster.client import ApiError, Client

TRIES: Final = 5
"""Writes that meet somebody else's; then it is said."""
MANAGER: Final = "slm"
UNKNOWN, FORBIDDEN, CONFLICT = 404, 403, 409
_FAILURES: Final = (ApiError, NoCluster, aiohttp.ClientError, TimeoutError, OSError)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to change: fields of the cluster (`namespace` empty) or of one namespace."""

    namespace: str
    changes: Mapping[str, str]
    prove: bool = False
    """Every gateway is to prove that nothing leads outside through it."""

    @property
    def seals(self) -> bool:
        """Something is denied or stopped, and nothing allowed."""
        return self.changes.get("inference") != ALLOWED

    @property
    def where(self) -> str:
        return f"namespace {self.namespace}" if self.namespace else "the whole cluster"


def sealing(namespace: str, *, stop: bool, reason: str) -> Wish:
    """Denies what is outside the cluster, and with `stop` inference as well."""
    changes = {"external": "Denied"}
    if stop:
        changes |= {"inference": STOPPED, "reason": reason}
    elif reason:
        changes["reason"] = reason
    return Wish(namespace, changes, prove=not stop)


def unsealing(namespace: str, *, reason: str) -> Wish:
    """Allows inference again. What is outside the cluster stays denied: somebody else may have written that."""
    return Wish(namespace, {"inference": ALLOWED, "reason": reason})


async def change(wish: Wish, output: str, waiting: Waiting) -> int:
    """Write it and wait for the gateways, or print the object; 0 when every gateway has it in force in time, and, where
    that is asked for, has proven that nothing leads outside through it."""
    if output == "yaml":
        return await _print(wish)

    async def work(client: Client) -> int:
        if wish.seals and wish.namespace and not await _exists(client, wish.namespace):
            return failed(
                f"There is no namespace {wish.namespace!r}: nothing was changed. `kubectl get smallmodel -A` lists "
                "where models are; for one that is still to come, put -o yaml into Git."
            )
        word = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}-{secrets.token_hex(4)}" if wish.prove else ""
        obj = await _write(client, wish, word)
        left = stops(obj)
        asked = Asked(int(obj["metadata"]["generation"]), word, time.monotonic(), waiting, tuple(left))
        if output != "json":
            print(f"ClusterBoundary {BOUNDARY}, generation {asked.generation}: {_said(obj)}")
        if wish.changes.get("inference") == STOPPED and (open_way := past_the_gateways(obj)):
            _warn(open_way)
        code = await confirmed(client, asked, as_json=output == "json")
        for sentence in _after(wish, left) if output != "json" else ():
            print(sentence)
        return code

    return await with_client(work)


def _after(wish: Wish, left: list[Stop]) -> list[str]:
    """What somebody could take for done, and is not. `left`: what stops inference now."""
    mine = over(left, wish.namespace) if wish.namespace else left
    if wish.changes.get("inference") == ALLOWED:
        return [f"Inference STAYS stopped {stop.words}: `{stop.undo}` allows it there." for stop in mine]
    if wish.prove and not mine:
        return [f"Inference was not stopped in {wish.where}: that takes --stop."]
    return []


async def show(output: str, namespace: str) -> int:
    """Print what is declared and what each gateway does; 0 when every gateway has it in force."""

    async def work(client: Client) -> int:
        obj = await client.get(KIND, BOUNDARY)
        names = await gateways(client, namespace)
        entries = entries_of(obj)
        generation = int(obj["metadata"]["generation"]) if obj else 0
        late = [name for name in names if obj and entries.get(name, {}).get("observedGeneration", 0) < generation]
        if output == "json":
            spec = obj.get("spec", {}) if obj else {}
            found = [{"name": n, "inForce": n not in late, **entries.get(n, {})} for n in names]
            network = enforcement.condition(obj or {})
            print(json.dumps({"generation": generation, "spec": spec, "network": network, "gateways": found}, indent=2))
        else:
            _describe(obj, names, late, entries, generation)
        return 1 if late or not names else 0

    return await with_client(work)


def _describe(
    obj: dict[str, Any] | None, names: list[str], late: list[str], entries: dict[str, Any], generation: int
) -> None:
    if obj is None:
        print(
            "There is no ClusterBoundary: inference is allowed everywhere, and no record says whether the network "
            "enforces policies. `slm boundary seal --all` makes one, or apply examples/06-stop-inference/boundary.yaml."
        )
        return
    print(f"ClusterBoundary {BOUNDARY}, generation {generation}: {_said(obj)}")
    print(f"  network: {enforcement.sentence(obj)}")
    for name in names:
        entry = entries.get(name, {})
        if name in late:
            has = f"still generation {entry['observedGeneration']}" if entry else "has not said anything yet"
            print(f"  {name}: NOT in force: {has}")
        else:
            print(f"  {name}: in force since {entry['since']}{cut(entry)}{proven(entry)}")
    if not names:
        print("  no gateway runs here (is it in another namespace? --system-namespace)")


def _said(obj: Mapping[str, Any]) -> str:
    boundary = Boundary.of(obj)
    spec = obj.get("spec") or {}
    denied = [""] if spec.get("external") == "Denied" else []
    denied += [n["name"] for n in spec.get("namespaces") or () if n.get("external") == "Denied"]
    said = boundary.sentence.partition(": ClusterBoundary")[0] or "inference is allowed"
    if denied:
        where = "everywhere" if "" in denied else f"in {', '.join(denied)}"
        said += f"; targets outside the cluster are denied {where}"
    return said


async def _write(client: Client, wish: Wish, word: str) -> dict[str, Any]:
    """`word`: gateways are asked for a proof with it; empty: they are not."""
    marks = {ANNOTATION_PROVE: word} if word else {}
    for attempt in range(TRIES):
        try:
            obj = await client.get(KIND, BOUNDARY)
            if obj is None:
                made = _object(edited({}, wish.namespace, wish.changes), marks)
                return await client.create(made, fieldManager=MANAGER)
            spec = edited(obj.get("spec") or {}, wish.namespace, wish.changes)
            if spec == obj.get("spec") and not marks:
                return obj  # no write, but the gateways are looked at all the same
            meta = obj["metadata"]
            if marks:
                meta = {**meta, "annotations": {**(meta.get("annotations") or {}), **marks}}
            return await client.replace({**obj, "metadata": meta, "spec": spec}, manager=MANAGER)
        except ApiError as error:
            if error.status != CONFLICT or attempt == TRIES - 1:
                raise
    raise AssertionError("unreachable")


async def _exists(client: Client, namespace: str) -> bool:
    """Who may not see namespaces is believed."""
    try:
        await client.request("GET", f"/api/v1/namespaces/{quote(namespace, safe='')}")
    except ApiError as error:
        if error.status not in (UNKNOWN, FORBIDDEN):
            raise
        return error.status == FORBIDDEN
    return True


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


def _object(spec: Mapping[str, Any], marks: Mapping[str, str] | None = None) -> dict[str, Any]:
    meta = {"name": BOUNDARY, **({"annotations": dict(marks)} if marks else {})}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": meta, "spec": dict(spec)}


async def with_client(work: "Callable[[Client], Any]") -> int:
    """What it gives; 1, and why, where the cluster does not answer."""
    try:
        client = await Client.connect()
    except NoCluster as error:
        return failed(str(error))
    try:
        return int(await work(client))
    except _FAILURES as error:
        return failed(_words(error))
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
    stderr().print(message, markup=False)
