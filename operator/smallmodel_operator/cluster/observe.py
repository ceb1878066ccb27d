"""Build the Snapshot a plan is made from: indices of the watches, plus the few reads that have no watch."""

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from smallmodel_operator.api.names import LABEL_ARTIFACT, LABEL_MODEL, LABEL_ROLE, ROLE_INSPECT, short_hash
from smallmodel_operator.cluster.children import Children, ModelKey
from smallmodel_operator.cluster.client import ApiError, Client
from smallmodel_operator.cluster.status_writer import StatusWriter
from smallmodel_operator.core.facts import Capabilities, Object, Snapshot, WeightsFacts
from smallmodel_operator.core.remember import facts_of
from smallmodel_operator.core.units import to_bytes

NODES_SECONDS: Final = 60.0


class Observer:
    """Reads for the reconciler. `profiles` and `models` are indices by name and by namespace."""

    def __init__(self, client: Client, children: Children, statuses: StatusWriter, capabilities: Capabilities) -> None:
        self._client = client
        self._statuses = statuses
        self.children = children
        self.capabilities = capabilities
        self.profiles: Mapping[Any, Iterable[Object]] = {}
        self.models: Mapping[Any, Iterable[Object]] = {}
        self.jobs: Mapping[Any, Iterable[Object]] = {}
        self._nodes: tuple[float, int | None] = (float("-inf"), None)

    def profile(self, name: str) -> Object | None:
        return next(iter(self.profiles.get(name, ())), None)

    async def snapshot(
        self, body: Object, *, profile: Object | None, claims: Iterable[str] = (), artifact: str = ""
    ) -> Snapshot:
        """Everything known about one model right now.

        Args:
            body: the SmallModel.
            profile: its ComputeProfile, if there is one.
            claims: names of claims its source refers to.
            artifact: the weights it wants, to look for peers that know or inspect them.
        """
        meta = body["metadata"]
        model: ModelKey = (meta["namespace"], meta["name"])
        pods = self.children.pods(model)
        previous = self._statuses.latest(body)
        found = {name: await self._client.get("PersistentVolumeClaim", name, meta["namespace"]) for name in claims}
        return Snapshot(
            now=datetime.now(UTC),
            capabilities=self.capabilities,
            profile=profile,
            children=self.children.of(model, meta["uid"]),
            pods=pods,
            claims={name: claim for name, claim in found.items() if claim is not None},
            inspected=self._inspected(meta["namespace"], previous, artifact),
            inspecting=self._inspecting(model, artifact),
            largest_node_memory=await self._largest_node() if _any_unscheduled(pods) else None,
            previous_status=previous,
        )

    def _inspected(self, namespace: str, own_status: Mapping[str, Any], artifact: str) -> dict[str, WeightsFacts]:
        own = facts_of(own_status)
        known = {own.artifact: own} if own else {}
        if artifact and artifact not in known:
            for peer in self.models.get(namespace, ()):
                facts = facts_of(peer.get("status") or {})
                if facts and facts.artifact == artifact:
                    known[artifact] = facts
                    break
        return known

    def _inspecting(self, model: ModelKey, artifact: str) -> dict[str, str]:
        if not artifact:
            return {}
        mark = short_hash(artifact)
        for job in self.jobs.get(model[0], ()):
            labels = job["metadata"].get("labels", {})
            ours = labels.get(LABEL_MODEL) == model[1]
            if labels.get(LABEL_ROLE) == ROLE_INSPECT and labels.get(LABEL_ARTIFACT) == mark and not ours:
                return {artifact: labels.get(LABEL_MODEL, "")}
        return {}

    async def _largest_node(self) -> int | None:
        since, value = self._nodes
        if time.monotonic() - since > NODES_SECONDS:
            try:
                nodes = await self._client.list("Node")
                value = max((to_bytes(n["status"]["allocatable"]["memory"]) for n in nodes), default=None)
            except (ApiError, KeyError, ValueError):
                value = None  # a hint in a message; without the right to read nodes there is none
            self._nodes = (time.monotonic(), value)
        return value


def _any_unscheduled(pods: Iterable[Object]) -> bool:
    return any(not p.get("spec", {}).get("nodeName") for p in pods)
