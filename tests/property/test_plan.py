"""Whatever a user may write: the plan is a value, it is legal, and applied it wants nothing more."""

import copy
import json
import re
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests import strategies
from tests.fakes import objects
from tests.golden.pod_security import violations

from smallmodel_operator.api import names
from smallmodel_operator.control import concerns, verdict
from smallmodel_operator.core.diff import differences
from smallmodel_operator.core.facts import Object, Snapshot
from smallmodel_operator.core.plan import Plan, key_of
from smallmodel_operator.resolve import Site

SITE = Site()
DNS_LABEL = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, Any], Snapshot]:
    """A legal model, with its weights known or not, and the claims it may ask for."""
    body = draw(strategies.models())
    wish = verdict.understand(body, lambda _: objects.profile(), SITE)
    known = {wish.artifact: draw(strategies.weights(wish.artifact))} if draw(st.booleans()) else {}
    claims = {c: {"metadata": {"name": c, "uid": "c"}} for c in wish.claims} if draw(st.booleans()) else {}
    return body, Snapshot(now=objects.NOW, profile=objects.profile(), inspected=known, claims=claims)


def decide(body: dict[str, Any], snapshot: Snapshot) -> concerns.Decision:
    wish = verdict.understand(body, lambda _: snapshot.profile, SITE)
    return verdict.decide(body, wish, snapshot, SITE)


def served(obj: Object) -> dict[str, Any]:
    """The object as an API server hands it out: defaults added, empty values dropped, quantities rewritten."""
    made: dict[str, Any] = _normal(json.loads(json.dumps(obj)))
    made["metadata"].update(uid="u", resourceVersion="7", generation=1, creationTimestamp="2026-11-21T12:00:00Z")
    made["status"] = {"observedGeneration": 1}
    template = made["spec"].get("template")
    if template:
        template["spec"].update(dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
        template["spec"].setdefault("restartPolicy", "Always")
        for container in template["spec"]["containers"]:
            container["terminationMessagePath"] = "/dev/termination-log"
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                container.get(probe, {}).update(successThreshold=1)
    if made["kind"] == "Service" and made["spec"]["type"] == "ClusterIP":
        made["spec"].setdefault("clusterIP", "10.0.0.1")
        made["spec"].update(sessionAffinity="None", ipFamilies=["IPv4"])
    return made


def _normal(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        made = {k: _normal(v, k) for k, v in value.items()}
        keep = key in ("podSelector", "emptyDir", "nodeSelector", "labels", "annotations", "matchLabels")
        return {k: v for k, v in made.items() if keep or v not in ("", {}, [])}
    if isinstance(value, list):
        return [_normal(v) for v in value]
    if key == "memory" and str(value).endswith("Gi"):
        return f"{int(value[:-2]) * 1024}Mi"
    return value


@given(worlds())
def test_the_plan_is_deterministic(world: tuple[dict[str, Any], Snapshot]) -> None:
    body, snapshot = world
    before = copy.deepcopy(body)
    first, again = decide(body, snapshot), decide(before, snapshot)
    assert body == before, "planning changes nothing it was given"
    assert json.dumps(first.plan.objects) == json.dumps(again.plan.objects)
    assert (first.plan, repr(first.hold)) == (again.plan, repr(again.hold))


@given(worlds())
def test_the_plan_of_the_applied_plan_wants_nothing(world: tuple[dict[str, Any], Snapshot]) -> None:
    body, snapshot = world
    plan = decide(body, snapshot).plan
    live = {key_of(o): served(o) for o in plan.objects}
    again = decide(body, replace(snapshot, children=live)).plan
    assert [key_of(o) for o in again.objects] == [key_of(o) for o in plan.objects]
    assert {key_of(o): differences(o, live[key_of(o)]) for o in again.objects} == {k: [] for k in live}


@given(worlds())
def test_names_and_labels_are_legal(world: tuple[dict[str, Any], Snapshot]) -> None:
    plan = decide(*world).plan
    for obj in (*plan.objects, *plan.kept):
        name = obj["metadata"]["name"]
        assert len(name) <= 63, name
        assert DNS_LABEL.match(name), name
        for labels in (
            obj["metadata"]["labels"],
            obj.get("spec", {}).get("template", {}).get("metadata", {}).get("labels", {}),
        ):
            assert all(len(v) <= 63 and LABEL_VALUE.match(v) for v in labels.values()), labels
        assert obj["metadata"]["namespace"] == world[0]["metadata"]["namespace"]


@given(worlds())
def test_every_object_is_marked_guarded_and_restricted(world: tuple[dict[str, Any], Snapshot]) -> None:
    """Watches select by these labels; an object without them would never be seen again."""
    name = world[0]["metadata"]["name"]
    plan = decide(*world).plan
    for obj in plan.objects:
        labels = obj["metadata"]["labels"]
        assert labels[names.LABEL_MANAGED_BY] == names.OPERATOR
        assert labels[names.LABEL_MODEL] == name
        if template := obj["spec"].get("template"):
            assert violations(template["spec"]) == []
            (policy,) = [o for o in plan.objects if key_of(o) == ("NetworkPolicy", name)]
            assert policy["spec"]["egress"] == [], "no pod without the policy that guards it"


@given(worlds(), st.integers(0, 100))
def test_replicas_move_without_touching_pods(world: tuple[dict[str, Any], Snapshot], replicas: int) -> None:
    body, snapshot = world
    plan = decide(body, snapshot).plan
    live = {key_of(o): served(o) for o in plan.objects}
    scaled = {**body, "spec": {**body["spec"], "replicas": replicas}}
    again = decide(scaled, replace(snapshot, children=live)).plan
    key = ("Deployment", body["metadata"]["name"])
    before, after = ({key_of(o): o for o in p.objects}.get(key) for p in (plan, again))
    if before and after:
        assert before["spec"]["template"] == after["spec"]["template"]


@given(worlds())
def test_equal_facts_are_equal_statuses(world: tuple[dict[str, Any], Snapshot]) -> None:
    body, snapshot = world
    decision = decide(body, snapshot)

    def status(previous: Any) -> Any:
        seen = replace(snapshot, previous_status=previous)
        return verdict.judge(body, seen, decision.plan, decision.hold).status

    first = status({})
    assert status({}) == first
    assert status(first) == first, "reported on top of itself it does not move"


def test_a_refused_plan_is_the_empty_plan() -> None:
    body = objects.model(source={"uri": "oci://registry.test/m:latest"})
    assert decide(body, Snapshot(now=objects.NOW, profile=objects.profile())).plan == Plan.of([], prune=False)
