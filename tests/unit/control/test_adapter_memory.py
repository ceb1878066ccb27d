"""LoRA adapters in the derived memory: looked at before a pod starts, remembered, looked at anew when they change."""

from dataclasses import replace
from typing import Any

import pytest
from tests.fakes import objects
from tests.unit.control.test_concerns import ARTIFACT, kinds
from tests.unit.control.test_quantized import World
from tests.unit.core.test_remember import FACTS

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.control import concerns
from smallmodel_operator.core.facts import Capabilities, Object, Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.units import MIB, to_bytes
from smallmodel_operator.resolve import Resolved, Site, parse, resolve
from smallmodel_operator.weights import result

IMAGES = {"hr": "b", "legal": "b", "sales": "c"}
SIZES = {"hr": 100 * MIB, "legal": 60 * MIB}


def wish(*names: str, **spec: Any) -> Resolved:
    adapters = [
        {"name": n, "source": {"uri": f"oci://registry.test/a@sha256:{IMAGES[n] * 64}", "path": f"{n}.gguf"}}
        for n in names
    ]
    body = objects.model(adapters=adapters, **spec)
    return resolve(body, parse(body), objects.profile(), Site())


class Served(World):
    """The weights are known; the adapters are what is looked at."""

    def __init__(self, **more: Any) -> None:
        self.snapshot = Snapshot(now=objects.NOW, inspected={ARTIFACT: FACTS}, **more)

    @property
    def looking(self) -> Object:
        (job,) = self.jobs()
        return dict(job["spec"]["template"]["spec"])

    def looked(self, sizes: dict[str, int]) -> None:
        (job,) = self.jobs()
        self.ends(job, result.AdapterSizes(sizes))


def request(decision: concerns.Decision) -> int:
    (live,) = (o for o in decision.plan.objects if o["kind"] == "Deployment")
    return to_bytes(live["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["memory"])


def test_adapters_are_looked_at_before_a_pod_starts_and_counted() -> None:
    world = Served()
    first = world.step(wish("hr", "legal"))
    assert isinstance(first.hold, NotYet)
    assert (first.hold.reason, "adapters" in first.hold.message) == (Reason.INSPECTING, True)
    assert "Deployment" not in kinds(first)
    pod = world.looking
    assert [v["image"]["reference"] for v in pod["volumes"]] == [f"registry.test/a@sha256:{'b' * 64}"], "one image"
    assert pod["containers"][0]["args"] == [
        "inspect-adapters", "--adapter", "hr=/adapters-0/hr.gguf", "--adapter", "legal=/adapters-0/legal.gguf",
    ]  # fmt: skip
    world.looked(SIZES)
    served = world.step(wish("hr", "legal"))
    assert served.hold is None
    without = request(Served().step(wish()))
    assert request(served) - without == pytest.approx(160 * MIB * 1.05, abs=16 * MIB)
    assert served.plan.status["memory"]["adapters"] == [
        {"name": "hr", "bytes": 100 * MIB}, {"name": "legal", "bytes": 60 * MIB},
    ]  # fmt: skip
    assert "Job" not in kinds(served)
    assert "Job" not in kinds(world.step(wish("hr", "legal"))), "it is remembered"
    again = world.step(wish("hr", "sales"))
    assert isinstance(again.hold, NotYet), "other adapters are looked at, and what runs stays"
    assert not again.plan.prune


def test_too_many_adapters_are_refused_with_the_number() -> None:
    world = Served()
    limit = request(Served().step(wish())) // MIB + 100
    limited = {"resources": {"limits": {"memory": f"{limit}Mi"}}}
    assert Served().step(wish(compute=limited)).hold is None
    world.step(wish("hr", "legal", compute=limited))
    world.looked(SIZES)
    refused = world.step(wish("hr", "legal", compute=limited)).hold
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.condition) == (Reason.DOES_NOT_FIT, Condition.FITS_MEMORY)
    assert "adapters 160 MiB" in refused.message


def test_an_adapter_that_is_none_is_refused_before_a_pod_starts() -> None:
    world = Served()
    world.step(wish("hr"))
    (job,) = world.jobs()
    world.ends(job, result.Failure(Reason.WEIGHTS_INVALID, "Adapter 'hr': the file is not a LoRA adapter."))
    decision = world.step(wish("hr"))
    assert isinstance(decision.hold, Refused)
    assert (decision.hold.reason, decision.hold.condition) == (Reason.WEIGHTS_INVALID, Condition.FITS_MEMORY)
    assert "Adapter 'hr'" in decision.hold.message
    assert "Deployment" not in kinds(decision)


def test_a_result_for_other_names_counts_for_nothing() -> None:
    world = Served()
    world.step(wish("hr"))
    world.looked({"legal": 1})
    decision = world.step(wish("hr"))
    assert isinstance(decision.hold, NotYet)
    assert decision.hold.reason is Reason.INSPECTION_FAILED


def test_who_declares_memory_waits_for_nothing() -> None:
    decision = Served().step(wish("hr", compute={"resources": {"requests": {"memory": "1Gi"}}}))
    assert decision.hold is None
    assert "Job" not in kinds(decision)
    assert "adapters" not in decision.plan.status["memory"]


def test_a_cluster_without_image_volumes_is_told() -> None:
    facts = replace(FACTS, artifact="pvc:models/m.gguf")
    old = Capabilities(version="v1.34", image_volumes=False)
    world = Served(capabilities=old, claims={"models": {"metadata": {"uid": ""}}})
    world.snapshot = replace(world.snapshot, inspected={facts.artifact: facts})
    decision = world.step(wish("hr", source={"uri": "pvc://models/m.gguf"}))
    assert isinstance(decision.hold, Refused)
    assert (decision.hold.reason, "spec.adapters" in decision.hold.message) == (Reason.FEATURE_MISSING, True)


def test_adapters_that_cannot_be_pulled_are_named() -> None:
    world = Served()
    world.step(wish("hr"))
    (job,) = world.jobs()
    said = f"failed to pull registry.test/a@sha256:{'b' * 64}: 403 Forbidden"
    waiting = {"waiting": {"reason": "ErrImagePull", "message": said}}
    labels = {**job["metadata"]["labels"], "batch.kubernetes.io/job-name": job["metadata"]["name"]}
    pod = {"metadata": {"name": "p", "labels": labels}, "status": {"containerStatuses": [{"state": waiting}]}}
    world.snapshot = replace(world.snapshot, pods=(pod,))
    hold = world.step(wish("hr")).hold
    assert isinstance(hold, Refused)
    assert (hold.reason, hold.condition) == (Reason.SOURCE_FORBIDDEN, Condition.FITS_MEMORY)
    assert "The adapters cannot be pulled" in hold.message
    assert "`spec.adapters`" in hold.message
