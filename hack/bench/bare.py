"""The yardstick: the least a kopf operator does for the same objects. One daemon a resource, indices, pokes, no more.

It is handed the finished objects of one model and writes them under each model's name, with one status; it decides,
compares and repairs nothing. What our operator takes longer than this is what its work costs.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import kopf
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient
from kubernetes.aio.dynamic import DynamicClient

PLACE = "place-holder-name"
MODELS = ("smallmodel.dev", "v1alpha1", "smallmodels")
LABEL = "smallmodel.dev/model"
KINDS = {
    "Deployment": ("apps", "v1", "deployments"),
    "Service": ("", "v1", "services"),
    "NetworkPolicy": ("networking.k8s.io", "v1", "networkpolicies"),
}
"""Kinds it watches; Secrets it writes too, and like ours does not watch."""


class Writer:
    """Server-side apply of one model's children and status through the kubernetes package's dynamic client."""

    def __init__(self, template: str) -> None:
        self._template = template
        self._pokes: dict[str, asyncio.Event] = {}

    async def connect(self) -> None:
        await config.load_kube_config()
        self._client = await DynamicClient(ApiClient())
        found = {}
        for kind, (group, version, _) in {**KINDS, "Secret": ("", "v1", "secrets")}.items():
            api_version = f"{group}/{version}" if group else version
            found[kind] = await self._client.resources.get(api_version=api_version, kind=kind)
        self._kinds = found
        self._models = await self._client.resources.get(api_version="smallmodel.dev/v1alpha1", kind="SmallModel")

    def poke(self, name: str) -> None:
        if event := self._pokes.get(name):
            event.set()

    async def work(self, name: str, namespace: str, uid: str, children: Any) -> None:
        """Write what is missing, then the status, then wait to be poked."""
        poke = self._pokes.setdefault(name, asyncio.Event())
        wanted = json.loads(self._template.replace(PLACE, name))
        owner = {"apiVersion": "smallmodel.dev/v1alpha1", "kind": "SmallModel", "name": name, "uid": uid}
        done: set[str] = set()
        while True:
            poke.clear()
            kinds = {o["kind"] for o in wanted["objects"]} - done
            absent = {kind for kind in kinds if kind not in children or not children[kind].get(name)}
            missing = [o for o in wanted["objects"] if o["kind"] in absent]
            await asyncio.gather(*(self._write(o, namespace, owner) for o in missing))
            done |= absent
            if missing:
                await self._status(name, namespace, wanted["status"])
            await poke.wait()
            await asyncio.sleep(0.1)

    async def _write(self, obj: dict[str, Any], namespace: str, owner: dict[str, Any]) -> None:
        body = {**obj, "metadata": {**obj["metadata"], "namespace": namespace, "ownerReferences": [owner]}}
        await self._client.server_side_apply(
            self._kinds[obj["kind"]],
            body=body,
            name=body["metadata"]["name"],
            namespace=namespace,
            field_manager="bare",
            force_conflicts=True,
        )

    async def _status(self, name: str, namespace: str, status: dict[str, Any]) -> None:
        body = {
            "apiVersion": "smallmodel.dev/v1alpha1",
            "kind": "SmallModel",
            "metadata": {"name": name, "namespace": namespace},
            "status": status,
        }
        await self._client.server_side_apply(
            self._models.status, body=body, name=name, namespace=namespace, field_manager="bare", force_conflicts=True
        )


def registry(writer: Writer) -> kopf.OperatorRegistry:
    made = kopf.OperatorRegistry()

    @kopf.on.login(registry=made)
    def login(**words: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_kubeconfig(**words)

    @kopf.on.startup(registry=made)
    async def start(**_: Any) -> None:
        await writer.connect()

    for kind, where in KINDS.items():
        _watch(made, writer, kind, where)

    @kopf.daemon(*MODELS, registry=made)
    async def work(name: str, namespace: str, uid: str, **indices: Any) -> None:
        await writer.work(name, namespace, uid, {kind: indices[kind.lower()] for kind in KINDS})

    return made


def _watch(made: kopf.OperatorRegistry, writer: Writer, kind: str, where: tuple[str, str, str]) -> None:
    @kopf.index(*where, id=kind.lower(), labels={LABEL: kopf.PRESENT}, registry=made)
    def index(labels: Any, body: kopf.Body, **_: Any) -> Any:
        return {labels[LABEL]: dict(body)}

    @kopf.on.event(*where, labels={LABEL: kopf.PRESENT}, registry=made)
    def changed(labels: Any, **_: Any) -> None:
        writer.poke(labels[LABEL])


def main() -> None:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    for group, _, plural in KINDS.values():
        settings.watching.label_selectors[group, plural] = LABEL
    writer = Writer(Path(sys.argv[1]).read_text())
    asyncio.run(kopf.operator(registry=registry(writer), settings=settings, standalone=True, clusterwide=True))


if __name__ == "__main__":
    main()
