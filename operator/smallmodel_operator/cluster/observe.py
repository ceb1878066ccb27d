"""Build the Snapshot a plan is made from: indices of the watches, plus the few reads that have no watch."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from smallmodel_operator.api.conditions import Condition
from smallmodel_operator.api.names import BOUNDARY, LABEL_ROLE, ROLE_DOWNLOAD, ROLE_QUANTIZE, short_hash
from smallmodel_operator.cluster.children import Children, ModelKey, last_writer
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.config_maps import ConfigMaps
from smallmodel_operator.cluster.named import Named
from smallmodel_operator.cluster.nodes import Nodes
from smallmodel_operator.cluster.pull_secrets import PullSecrets
from smallmodel_operator.cluster.secrets import Secrets
from smallmodel_operator.cluster.signals import Signals
from smallmodel_operator.cluster.status_writer import StatusWriter
from smallmodel_operator.core.budget import Budgeted
from smallmodel_operator.core.facts import CHECKS, Boundary, Capabilities, Object, Progress, Snapshot, WeightsFacts
from smallmodel_operator.core.keys import Masters
from smallmodel_operator.core.remember import facts_of
from smallmodel_operator.core.room import Room, room, taken_by
from smallmodel_operator.core.scaling import Granted, Scaled
from smallmodel_operator.core.trial import Result
from smallmodel_operator.weights import evict
from smallmodel_operator.weights.peers import asked_by

ROOM_SECONDS: Final = 10.0
PODS_A_PAGE: Final = 200
SEAT_SECONDS: Final = 30.0
"""How long a model may take from deciding to read weights until its Job is seen; then another one does it."""
SETTLE_SECONDS: Final = 10.0
"""After a Job's end: its model writes what was found, and peers read that instead of reading again."""


class Observer:
    """Reads for the reconciler.

    `profiles` is an index by name, `tolerated` (tolerations of models' own) by model, `weights` (what statuses know of
    weights) by namespace and artifact, `sources` (what each model wants and has) by namespace, `jobs` (whose Jobs read
    weights, and when they ended) by namespace and the artifact's hash.
    """

    def __init__(
        self,
        client: Client,
        children: Children,
        statuses: StatusWriter,
        capabilities: Capabilities,
        secrets: Secrets,
        signals: Signals,
    ) -> None:
        self._client = client
        self._nodes = Nodes(client)
        self._secrets = secrets
        self._given = ConfigMaps(client)
        self._pull_secrets = PullSecrets(client)
        self._signals = signals
        self.masters = Masters(b"", b"")
        self._statuses = statuses
        self.children = children
        self.capabilities = capabilities
        self.boundary: Callable[[str], Boundary] = lambda _: Boundary()
        """How the boundary around a namespace stands; whoever watches it sets this."""
        self.progress: Callable[[Iterable[Object]], Awaitable[Progress | None]] = _unknown
        """How far the download among these pods is; whoever can ask them sets this."""
        self.trials: Callable[[ModelKey], Mapping[str, Result]] = lambda _: {}
        """What trials of a model's pods came to; whoever runs them sets this."""
        self.scaled: Callable[[ModelKey], Scaled | None] = lambda _: None
        """What the controller of a model's objective last said; whoever runs it sets this."""
        self.granted: Callable[[ModelKey], Granted | None] = lambda _: None
        """What a model may have of the pool; whoever shares it sets this."""
        self.budget: Callable[[ModelKey], Budgeted | None] = lambda _: None
        """What a model's cost objective leaves of its limits; whoever judges them sets this."""
        self.cost: Callable[[ModelKey, Mapping[str, Any]], Mapping[str, Any] | None] = lambda *_: None
        """What a model (its name, and its status) has cost; whoever keeps the ledger sets this."""
        self.models: Mapping[Any, Iterable[ModelKey]] | None = None
        """Models by profile; None until the watch has listed them."""
        self.profiles: Mapping[Any, Iterable[Object]] = {}
        self.boundaries: Mapping[Any, Iterable[Object]] = {}
        self.tolerated: Mapping[Any, Iterable[Iterable[Object]]] = {}
        self.weights: Mapping[Any, Iterable[Object]] = {}
        self.jobs: Mapping[Any, Iterable[Object]] = {}
        self.sources: Mapping[Any, Iterable[Object]] = {}
        self.named = Named()
        self._seats: dict[tuple[str, str, str], tuple[str, float]] = {}
        self._room: tuple[float, Room] = (float("-inf"), Room())
        self._looking: asyncio.Task[None] | None = None

    def model_names(self) -> set[ModelKey] | None:
        """All models there are; None while that is not known."""
        if self.models is None:
            return None
        return {(model[0], model[1]) for found in self.models.values() for model in found}

    def cluster_boundary(self) -> Object | None:
        """The cluster's one ClusterBoundary, if there is one."""
        return next(iter(self.boundaries.get(BOUNDARY, ())), None)

    def profile(self, name: str) -> Object | None:
        return next(iter(self.profiles.get(name, ())), None)

    def tolerations(self) -> list[Object]:
        """Of all ComputeProfiles and models: where they may run."""
        profiles = (p["spec"].get("tolerations") or () for found in self.profiles.values() for p in found)
        models = (own for found in self.tolerated.values() for own in found)
        return [one for some in (*profiles, *models) for one in some]

    async def writer(self, namespace: str, name: str) -> str:
        """The manager that wrote a Deployment's replicas last; empty: nobody is named."""
        return last_writer(await self._client.get("Deployment", name, namespace), "replicas")

    async def snapshot(
        self,
        body: Object,
        *,
        profile: Object | None,
        claims: Iterable[str] = (),
        artifact: str = "",
        secrets: Iterable[str] = (),
        config_maps: Iterable[str] = (),
        node_selector: Mapping[str, str] | None = None,
        asks_registry: bool = False,
        asks: str = "",
    ) -> Snapshot:
        """Everything known about one model right now.

        Args:
            body: the SmallModel.
            profile: its ComputeProfile, if there is one.
            claims: names of claims its source refers to.
            artifact: the weights it wants, to look for peers that know or inspect them.
            secrets: names of Secrets its access refers to.
            config_maps: names of ConfigMaps its checks refer to.
            node_selector: labels of the nodes it may run on, where their size decides whether it may.
            asks_registry: a Job of its own asks a registry for its weights.
            asks: whom its Job would ask for its weights.
        """
        meta = body["metadata"]
        model: ModelKey = (meta["namespace"], meta["name"])
        pods = self.children.pods(model)
        previous = self._statuses.latest(body)
        found = {name: await self._client.get("PersistentVolumeClaim", name, meta["namespace"]) for name in claims}
        free = await self._room_now() if _any_unscheduled(pods) else Room()
        now = datetime.now(UTC)
        inspected = self._inspected(meta["namespace"], previous, artifact)
        children = self.children.of(model, meta["uid"])
        inspecting = {} if _checked(inspected.get(artifact)) else self._inspecting(model, artifact, asks, now)
        peers = [(name, self.children.pods((model[0], name))) for name in inspecting.get(artifact, ())]
        undecided = node_selector is not None and _undecided(body, previous, children)
        largest = await self._nodes.largest(node_selector or {}) if undecided else free.largest
        return Snapshot(
            now=now,
            capabilities=self.capabilities,
            profile=profile,
            children=children,
            pods=pods,
            claims={name: claim for name, claim in found.items() if claim is not None},
            inspected=inspected,
            inspecting=inspecting,
            peer_pods=tuple(pod for _, found in peers for pod in found),
            peer_progress=await self._progress_of(peers, asks),
            largest_node_memory=largest,
            freest_node_memory=free.freest,
            previous_status=previous,
            masters=self.masters,
            secrets=await self._secrets.read(model, secrets),
            config_maps=await self._given.read(model, config_maps),
            traffic=await self._signals.traffic(model),
            boundary=self.boundary(meta["namespace"]),
            in_use=self._in_use(meta["namespace"]) if _fills_the_claim(children) else None,
            pull_secrets=await self._pull_secrets.read(meta["namespace"]) if asks_registry else (),
            progress=await self.progress(pods),
            trials=self.trials(model),
            scaled=self.scaled(model),
            granted=self.granted(model),
            budget=self.budget(model),
            cost=self.cost(model, previous),
        )

    def _in_use(self, namespace: str) -> frozenset[str] | None:
        """Looked at while a model downloads or quantizes only: it costs a walk over the namespace."""
        return evict.in_use(self.sources.get(namespace, ()), self.children.pod_specs(namespace))

    def _inspected(self, namespace: str, own_status: Mapping[str, Any], artifact: str) -> dict[str, WeightsFacts]:
        own = facts_of(own_status)
        known = {own.artifact: own} if own else {}
        if artifact and not _checked(known.get(artifact)):
            peers = (facts_of({"weights": weights}) for weights in self.weights.get((namespace, artifact), ()))
            of_them = [facts for facts in (*peers, known.get(artifact)) if facts and facts.artifact == artifact]
            if of_them:
                known[artifact] = max(of_them, key=lambda facts: facts.checks)
        return known

    async def _progress_of(self, peers: Iterable[tuple[str, Iterable[Object]]], asks: str) -> dict[str, Progress]:
        """Of those that ask another source: whoever asks the same waits in any case."""
        others = [(name, [pod for pod in pods if asked_by(pod) != asks]) for name, pods in peers]
        said = [(name, await self.progress(pods)) for name, pods in others if pods]
        return {name: far for name, far in said if far is not None}

    def _inspecting(self, model: ModelKey, artifact: str, asks: str, now: datetime) -> dict[str, tuple[str, ...]]:
        """Who else reads these weights now. When nobody does, this model takes the seat: bursts make one Job.

        There is one more seat for each source: where the Jobs that are there do not get on, one model of each tries.
        """
        if not artifact:
            return {}
        namespace, name = model
        jobs = self.jobs.get((namespace, short_hash(artifact)), ())
        others = dict.fromkeys(
            job["model"]
            for job in jobs
            if job["model"] != name and (not job["ended"] or _seconds_since(job["ended"], now) < SETTLE_SECONDS)
        )
        seat = (namespace, artifact, asks if others else "")
        holder, since = self._seats.get(seat, ("", float("-inf")))
        if holder not in (name, *others) and time.monotonic() - since < SEAT_SECONDS:
            return {artifact: (*others, holder)}
        if holder != name:
            self._give_up(model, keep=artifact)
            self._seats[seat] = (name, time.monotonic())
        return {artifact: tuple(others)} if others else {}

    def forget(self, model: ModelKey) -> None:
        """The model is gone or wants other weights: another may read those it was about to read."""
        self._give_up(model)
        self._given.forget(model)

    def _give_up(self, model: ModelKey, keep: str = "") -> None:
        """A model's seats, but those of the artifact to keep."""
        for key in [k for k, (name, _) in self._seats.items() if (k[0], name) == model and k[1] != keep]:
            del self._seats[key]

    async def _room_now(self) -> Room:
        """Asked for by every model whose pod has no node, in a burst by all of them; answered by one look."""
        if self._looking is None and time.monotonic() - self._room[0] > ROOM_SECONDS:
            self._looking = asyncio.ensure_future(self._look())
        if self._looking is not None:
            await asyncio.shield(self._looking)
        return self._room[1]

    async def _look(self) -> None:
        try:
            value = room(await self._client.list("Node"), await self._taken())
        except (ApiError, aiohttp.ClientError, TimeoutError, KeyError, ValueError):
            value = Room()  # a hint in a message; without the right to read nodes there is none
        finally:
            self._looking = None
        self._room = (time.monotonic(), value)

    async def _taken(self) -> Counter[str] | None:
        """Page by page: all pods of a cluster at once would be more memory than everything else here."""
        found: Counter[str] = Counter()
        try:
            async for page in self._client.pages("Pod", PODS_A_PAGE, fieldSelector="spec.nodeName!="):
                found.update(taken_by(page))
        except (ApiError, aiohttp.ClientError, TimeoutError):
            return None
        return found


def _checked(facts: WeightsFacts | None) -> bool:
    """Known, and with all the checks of this release."""
    return facts is not None and facts.checks >= CHECKS


def _fills_the_claim(children: Mapping[Any, Object]) -> bool:
    roles = (obj["metadata"].get("labels", {}).get(LABEL_ROLE) for obj in children.values())
    return any(role in (ROLE_DOWNLOAD, ROLE_QUANTIZE) for role in roles)


async def _unknown(_: Iterable[Object]) -> Progress | None:
    return None


def _any_unscheduled(pods: Iterable[Object]) -> bool:
    return any(not p.get("spec", {}).get("nodeName") for p in pods)


def _undecided(body: Object, previous: Mapping[str, Any], children: Mapping[Any, Object]) -> bool:
    """Nothing runs yet, the wish is a new one, or it was refused: whether it fits is decided in this pass."""
    conditions = {c["type"]: c["status"] for c in previous.get("conditions") or ()}
    return (
        ("Deployment", body["metadata"]["name"]) not in children
        or previous.get("observedGeneration") != body["metadata"].get("generation")
        or conditions.get(Condition.FITS_MEMORY) == "False"
    )


def _seconds_since(stamp: str, now: datetime) -> float:
    return (now - datetime.fromisoformat(stamp.replace("Z", "+00:00"))).total_seconds()
