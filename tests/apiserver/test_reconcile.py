"""A SmallModel on a real API server: what it becomes, how it is kept, how it goes."""

import asyncio
import json
from typing import Any

import pytest
from hack.cluster.controlplane import ControlPlane
from tests.apiserver.conftest import NEWEST, Operator, apply, eventually, kubectl
from tests.apiserver.objects import condition, model, profile, stands

from smallmodel_operator.api.names import FINALIZER, LABEL_MANAGED_BY, LABEL_MODEL, OPERATOR
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.kinds import CHILD_KINDS
from smallmodel_operator.serving.revisions import LATEST

REST_SECONDS = 15


async def serving(api: Client, namespace: str, name: str = "bot") -> dict[str, Any]:
    """Wait until the model serves; the model then."""

    async def check() -> dict[str, Any]:
        return stands(await api.get("SmallModel", name, namespace), Ready="Serving", Reconciling="Settled")

    return await eventually(check)


async def children(api: Client, namespace: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = {}
    for kind in CHILD_KINDS:
        for obj in await api.list(kind, namespace, labelSelector=LABEL_MODEL):
            found[kind, obj["metadata"]["name"]] = obj
    return found


def claim(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "weights", "namespace": namespace},
        "spec": {"accessModes": ["ReadOnlyMany"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "pv"},
    }


CLAIMED = {"uri": "pvc://weights/bot", "path": "model.gguf"}


@pytest.mark.both_minors
async def test_a_model_on_a_claim_becomes_pods_on_both_minors(api: Client, namespace: str, operator: Operator) -> None:
    await api.create(claim(namespace))
    async with operator():
        await apply(api, model(namespace, source=CLAIMED))

        async def planned() -> None:
            live = await api.get("Deployment", "bot", namespace)
            assert live is not None
            volumes = live["spec"]["template"]["spec"]["volumes"]
            assert volumes[0]["persistentVolumeClaim"] == {"claimName": "weights", "readOnly": True}
            stands(await api.get("SmallModel", "bot", namespace), Stalled="Settled")

        await eventually(planned)


@pytest.mark.both_minors
async def test_an_image_is_mounted_or_copied_where_it_cannot_be(
    api: Client, namespace: str, operator: Operator, minor: str
) -> None:
    async with operator():
        await apply(api, model(namespace))
        if minor == NEWEST:
            await serving(api, namespace)
            return

        async def copied() -> None:
            jobs = await api.list("Job", namespace)
            assert len(jobs) == 1
            pod = jobs[0]["spec"]["template"]["spec"]
            assert pod["containers"][0]["args"][0] == "copy-weights"
            assert [v["persistentVolumeClaim"] for v in pod["volumes"] if "persistentVolumeClaim" in v]
            assert not [v for v in pod["volumes"] if "image" in v]

        await eventually(copied)
        assert not await api.list("Deployment", namespace), "nothing half-made"


async def test_a_claim_that_comes_later_heals(api: Client, namespace: str, operator: Operator) -> None:
    async with operator():
        await apply(api, model(namespace, source=CLAIMED))

        async def refused() -> None:
            stands(await api.get("SmallModel", "bot", namespace), Ready="ClaimNotFound", Stalled="ClaimNotFound")

        await eventually(refused)
        assert not [k for k in await children(api, namespace) if k[0] != "NetworkPolicy"], "nothing half-made"
        await api.create(claim(namespace))

        async def planned() -> None:
            assert ("Deployment", "bot") in await children(api, namespace)

        await eventually(planned)


async def test_what_a_model_becomes(api: Client, namespace: str, operator: Operator) -> None:
    async with operator():
        (sent,) = await apply(api, model(namespace))
        seen = await serving(api, namespace)
        found = await children(api, namespace)
    assert seen["spec"] == sent["spec"], "the spec is its user's"
    assert seen["metadata"]["finalizers"] == [FINALIZER]
    assert "annotations" not in seen["metadata"]
    assert "labels" not in seen["metadata"]
    _only_finalizer_and_status_are_ours(seen)
    assert {k for k in found if k[0] != "Job"} == {
        ("Deployment", "bot"), ("NetworkPolicy", "bot"), ("Service", "bot"), ("Service", "bot-pods"),
    }  # fmt: skip
    for obj in found.values():
        (owner,) = obj["metadata"]["ownerReferences"]
        assert owner["uid"] == seen["metadata"]["uid"]
        assert owner["controller"]
    status = seen["status"]
    assert status["observedGeneration"] == seen["metadata"]["generation"]
    assert all(c["observedGeneration"] == seen["metadata"]["generation"] for c in status["conditions"])
    assert status["endpoint"] == {"url": f"http://bot.{namespace}.svc.cluster.local/v1", "model": "bot"}
    assert condition(seen, "Ready")["status"] == "True"
    assert condition(seen, "Stalled")["status"] == "False"
    assert status["memory"]["requestedBytes"] == 64 * 2**20
    assert status["engineRevision"] == LATEST


def _only_finalizer_and_status_are_ours(seen: dict[str, Any]) -> None:
    for entry in seen["metadata"]["managedFields"]:
        fields = entry["fieldsV1"]
        if entry["manager"] != OPERATOR:
            continue
        if entry.get("subresource") == "status":
            assert set(fields) == {"f:status"}
        else:
            assert set(fields) == {"f:metadata"}
            assert set(fields["f:metadata"]) == {"f:finalizers"}


async def test_weights_are_inspected_once_and_remembered(api: Client, namespace: str, operator: Operator) -> None:
    async with operator():
        names = [f"bot-{i}" for i in range(6)]
        await asyncio.gather(*(apply(api, model(namespace, n, memory=None)) for n in names))
        for name in names:
            seen = await serving(api, namespace, name)
            assert seen["status"]["weights"]["name"] == "fake weights of kwok"
            assert seen["status"]["weights"]["artifact"].startswith("sha256:")
        jobs = [e for e in await api.list("Event", namespace) if e["reason"] == "SuccessfulCreate"]
        inspected = {e["regarding"]["name"] for e in jobs if e["regarding"]["kind"] == "Job"}
        assert len(inspected) == 1, inspected

        async def pruned() -> None:
            assert not [k for k in await children(api, namespace) if k[0] == "Job"]

        await eventually(pruned)


async def test_replicas_suspend_and_the_disruption_budget(
    api: Client, plane: ControlPlane, namespace: str, operator: Operator
) -> None:
    async with operator():
        await apply(api, model(namespace))
        await serving(api, namespace)
        await kubectl(plane, "scale", "smallmodel/bot", "-n", namespace, "--replicas=2")

        async def two() -> None:
            seen = await serving(api, namespace)
            assert seen["status"]["readyReplicas"] == 2
            assert ("PodDisruptionBudget", "bot") in await children(api, namespace)

        await eventually(two)
        scale = json.loads(
            await kubectl(plane, "get", "smallmodel/bot", "-n", namespace, "--subresource=scale", "-ojson")
        )
        assert scale["status"] == {"replicas": 2, "selector": f"{LABEL_MODEL}=bot,smallmodel.dev/role=server"}
        await apply(api, model(namespace, replicas=1))

        async def one() -> None:
            assert (await serving(api, namespace))["status"]["replicas"] == 1
            assert ("PodDisruptionBudget", "bot") not in await children(api, namespace), "pruned by omission"

        await eventually(one)
        await apply(api, model(namespace, replicas=1, suspend=True))

        async def off() -> None:
            seen = stands(await api.get("SmallModel", "bot", namespace), Ready="Suspended", Reconciling="Settled")
            assert seen["status"]["replicas"] == 0
            assert (await children(api, namespace))["Deployment", "bot"]["spec"]["replicas"] == 0

        await eventually(off)
        await apply(api, model(namespace, replicas=1, suspend=False))
        await serving(api, namespace)


async def test_drift_is_repaired_and_then_it_is_quiet(api: Client, namespace: str, operator: Operator) -> None:
    async with operator() as running:
        await apply(api, model(namespace, replicas=2))
        await serving(api, namespace)
        before = await children(api, namespace)
        await api.merge("Service", "bot", namespace, {"spec": {"externalName": "stolen.test"}})
        await api.merge(
            "Deployment", "bot", namespace, {"spec": {"template": {"spec": {"automountServiceAccountToken": True}}}}
        )
        await api.merge("NetworkPolicy", "bot", namespace, {"spec": {"egress": [{}]}})
        budget = before["PodDisruptionBudget", "bot"]["metadata"]["uid"]
        await api.delete("PodDisruptionBudget", "bot", namespace, budget)

        async def repaired() -> None:
            after = await children(api, namespace)
            assert after["Service", "bot"]["spec"] == before["Service", "bot"]["spec"]
            assert after["NetworkPolicy", "bot"]["spec"] == before["NetworkPolicy", "bot"]["spec"]
            assert after["Deployment", "bot"]["spec"] == before["Deployment", "bot"]["spec"]
            assert after["PodDisruptionBudget", "bot"]["metadata"]["uid"] != budget

        await eventually(repaired)
        await serving(api, namespace)
        await _rests(running.client, api, namespace)


@pytest.mark.parametrize("label", [LABEL_MANAGED_BY, LABEL_MODEL])
@pytest.mark.parametrize("value", ["other", None])
async def test_a_label_that_was_changed_by_hand_is_healed_and_nothing_rolls(
    api: Client, namespace: str, operator: Operator, label: str, value: str | None
) -> None:
    async with operator():
        await apply(api, model(namespace))
        await serving(api, namespace)
        before = await api.get("Deployment", "bot", namespace)
        assert before is not None
        await api.merge("Deployment", "bot", namespace, {"metadata": {"labels": {label: value}}})

        async def healed() -> None:
            live = await api.get("Deployment", "bot", namespace)
            assert live is not None
            assert live["metadata"]["labels"] == before["metadata"]["labels"]
            assert live["metadata"]["uid"] == before["metadata"]["uid"]
            assert live["metadata"]["generation"] == before["metadata"]["generation"], "no pod was replaced"

        await eventually(healed)
        await serving(api, namespace)


async def test_a_child_deleted_right_after_it_was_written_comes_back_at_once(
    api: Client, namespace: str, operator: Operator
) -> None:
    async with operator():
        await apply(api, model(namespace))

        async def made() -> dict[str, Any]:
            live = await api.get("Service", "bot", namespace)
            assert live is not None
            return live

        for _ in range(3):
            uid = (await eventually(made, every=0.005))["metadata"]["uid"]
            await api.delete("Service", "bot", namespace, uid)
        await eventually(made)
        await serving(api, namespace)


async def _rests(client: Client, api: Client, namespace: str) -> None:
    """Count for a while, by the operator's own counter and by the versions of all objects."""

    async def inspected() -> None:  # pods do not wait for it, so that it may come after Ready
        for body in await api.list("SmallModel", namespace):
            assert "weights" in body["status"]
        assert not [k for k in await children(api, namespace) if k[0] == "Job"]

    await eventually(inspected)

    async def quiet() -> None:
        writes, versions = client.writes, await _versions(api, namespace)
        await asyncio.sleep(REST_SECONDS)
        assert client.writes == writes, "the operator wrote at rest"
        assert await _versions(api, namespace) == versions

    await eventually(quiet, timeout=60)  # what was under way may still end, once


async def _versions(api: Client, namespace: str) -> dict[str, str]:
    everything = [*(await children(api, namespace)).values(), *await api.list("SmallModel", namespace)]
    return {o["metadata"]["uid"]: o["metadata"]["resourceVersion"] for o in everything}


async def test_a_profile_that_comes_later_heals_and_a_change_rolls_out(
    api: Client, plane: ControlPlane, namespace: str, operator: Operator
) -> None:
    mine = f"profile-{namespace}"
    async with operator():
        await apply(api, model(namespace, compute={"profileRef": {"name": mine}}))

        async def missing() -> None:
            seen = stands(await api.get("SmallModel", "bot", namespace), Stalled="ProfileNotFound")
            assert mine in condition(seen, "Stalled")["message"]

        await eventually(missing)
        assert not await children(api, namespace), "nothing half-made"
        await apply(api, profile(mine))
        await serving(api, namespace)
        first = (await children(api, namespace))["Deployment", "bot"]["metadata"]["generation"]
        await apply(api, profile(mine, cpu="250m"))

        async def rolled() -> None:
            live = (await children(api, namespace))["Deployment", "bot"]
            assert live["metadata"]["generation"] > first
            requests = live["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
            assert requests["cpu"] == "250m"

        await eventually(rolled)
        await serving(api, namespace)
    plane.kubectl("delete", "computeprofile", mine)


async def test_delete_takes_everything_along(
    api: Client, plane: ControlPlane, namespace: str, operator: Operator
) -> None:
    async with operator():
        await apply(api, model(namespace, replicas=2))
        await serving(api, namespace)
        await kubectl(plane, "delete", "smallmodel/bot", "-n", namespace, "--timeout=20s")

        async def gone() -> None:
            assert not await children(api, namespace)
            assert not await api.list("Pod", namespace, labelSelector=LABEL_MODEL)

        await eventually(gone)


async def test_events_are_told_once(api: Client, namespace: str, operator: Operator) -> None:
    async with operator():
        await apply(api, model(namespace, compute={"profileRef": {"name": "nowhere"}}))

        async def stalled() -> None:
            stands(await api.get("SmallModel", "bot", namespace), Stalled="ProfileNotFound")

        await eventually(stalled)
        for number in range(5):  # each generation is refused again, for the same reason
            await apply(api, model(namespace, compute={"profileRef": {"name": "nowhere"}}, replicas=2 + number))
            await eventually(stalled)
        events = [e for e in await api.list("Event", namespace) if e["regarding"]["kind"] == "SmallModel"]
    assert [(e["type"], e["reason"], e["reportingController"]) for e in events] == [
        ("Warning", "ProfileNotFound", OPERATOR)
    ]
