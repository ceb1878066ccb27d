"""One golden case: files in, what the operator would do and say out. Nothing here decides; it only reads and merges.

`facts.yaml` holds the world a model meets. `after: CASE` continues another case: its objects are the children, its
status the previous one. Keys: now, after, profile, capabilities, claims, inspected, children (statuses by Kind/name),
recorded (what the live Deployment was built with), pods, job (what the model's Job came to), largestNodeMemory,
boundary (what is required and known of it), configMaps (by name).
"""

import copy
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from tests.fakes.objects import UID, ago

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.api.names import ANNOTATION_REVISION, LABEL_ROLE
from smallmodel_operator.control import verdict
from smallmodel_operator.core.diff import differences
from smallmodel_operator.core.facts import (
    Boundary,
    Capabilities,
    Object,
    ObjectKey,
    Snapshot,
    Survey,
    Variant,
    WeightsFacts,
)
from smallmodel_operator.core.keys import Masters
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.plan import Plan, key_of
from smallmodel_operator.core.traffic import ColdStart, GatewayReport, Traffic
from smallmodel_operator.resolve import Site
from smallmodel_operator.serving.revisions import ANNOTATION_MEMORY
from smallmodel_operator.weights import result

HERE = Path(__file__).parent
CASES = sorted(p.parent.name for p in HERE.glob("*/model.yaml"))
SITE = Site(job_image="registry.test/smallmodel-operator@sha256:" + "0" * 64)


@dataclass(frozen=True)
class Outcome:
    """What a pass led to."""

    objects: tuple[Object, ...]
    kept: tuple[Object, ...]
    secrets: tuple[Object, ...]
    children: dict[ObjectKey, Object]
    status: dict[str, Any]
    look_again_seconds: float
    deletes_surplus: bool
    hold: str


def read(case: str, name: str) -> Any:
    return yaml.safe_load((HERE / case / name).read_text()) or {}


@cache
def play(case: str) -> Outcome:
    """The pass of one case."""
    body, facts = model(case), read(case, "facts.yaml")
    before = play(facts["after"]) if "after" in facts else None
    volumes = Capabilities(**facts.get("capabilities", {})).image_volumes
    wish = verdict.understand(body, lambda _: profile(facts), replace(SITE, image_volumes=volumes))
    snapshot = world(body, facts, before, wish.artifact)
    decision = verdict.decide(body, wish, snapshot, SITE)
    after = applied(decision.plan, snapshot.children)
    said = verdict.judge(body, replace(snapshot, children=after), decision.plan, decision.hold)
    hold = decision.hold
    return Outcome(
        objects=decision.plan.objects,
        kept=decision.plan.kept,
        secrets=decision.plan.secrets,
        children=after,
        status=dict(said.status),
        look_again_seconds=said.look_again_seconds,
        deletes_surplus=decision.plan.prune,
        hold=f"{'refused' if isinstance(hold, Refused) else 'not yet'}: {hold.reason.value}" if hold else "",
    )


def model(case: str) -> dict[str, Any]:
    """The model as the API server shows it."""
    body = read(case, "model.yaml")
    meta = {"uid": UID, "generation": 1, "resourceVersion": "1", **body["metadata"]}
    return {**body, "metadata": meta, "spec": {"replicas": 1, **body["spec"]}}


def profile(facts: dict[str, Any]) -> Object | None:
    if facts.get("profile", "") is None:
        return None
    spec = facts.get("profile") or read(".", "profile.yaml")
    return {"metadata": {"name": "default"}, "spec": spec}


def world(body: Object, facts: dict[str, Any], before: Outcome | None, artifact: str) -> Snapshot:
    children = {} if before is None else {k: dict(o) for k, o in before.children.items()}
    for name, status in (facts.get("children") or {}).items():
        kind, _, child = name.partition("/")
        live = children[kind, child]
        live["status"] = {"observedGeneration": live["metadata"].get("generation", 1), **status}
    if "recorded" in facts:
        recorded(children["Deployment", "bot"], **facts["recorded"])
    pods = list(facts.get("pods") or [])
    if "job" in facts:
        pods.append(ended(children, facts["job"], artifact))
    known = {w.artifact: w for w in (weights(name, artifact) for name in facts.get("inspected") or ())}
    return Snapshot(
        now=datetime.fromisoformat(facts.get("now", "2026-11-21T12:00:00Z").replace("Z", "+00:00")),
        capabilities=Capabilities(**facts.get("capabilities", {})),
        profile=profile(facts),
        children=children,
        pods=tuple(pods),
        claims=facts.get("claims") or {},
        inspected=known,
        largest_node_memory=facts.get("largestNodeMemory"),
        previous_status=before.status if before else {},
        masters=Masters(client=b"c" * 32, engine=b"e" * 32),
        secrets=facts.get("secrets") or {},
        config_maps=facts.get("configMaps") or {},
        pull_secrets=tuple(facts.get("pullSecrets") or ()),
        freest_node_memory=facts.get("freestNodeMemory"),
        traffic=traffic(facts),
        boundary=Boundary(**facts.get("boundary", {})),
    )


def traffic(facts: dict[str, Any]) -> Traffic:
    """What the gateways say; without a word about them there is one, and it has nothing to tell."""
    told = facts.get("gateways", [{}])
    reports = []
    for number, words in enumerate(told):
        starts = tuple(ColdStart(*stages) for stages in words.get("coldStarts", ()))
        said = {"age": 0.5, "routes": True, **{k: v for k, v in words.items() if k != "coldStarts"}}
        reports.append(GatewayReport(f"g-{number}", **said, cold_starts=starts))
    return Traffic(tuple(reports))


def recorded(deployment: dict[str, Any], *, revision: str, memory: str) -> None:
    """Make the live Deployment one that another operator version built."""
    meta, spec = copy.deepcopy(deployment["metadata"]), copy.deepcopy(deployment["spec"])
    meta["annotations"].update({ANNOTATION_REVISION: revision, ANNOTATION_MEMORY: memory})
    spec["template"]["spec"]["containers"][0]["resources"]["requests"]["memory"] = memory
    deployment.update(metadata=meta, spec=spec)


def weights(name: str, artifact: str) -> WeightsFacts:
    return WeightsFacts(**{"artifact": artifact, **read(".", "weights.yaml")[name]})


def ended(children: dict[ObjectKey, Object], said: dict[str, Any], artifact: str) -> Object:
    """The pod of the one Job that runs, ended with a message; the Job is marked as the Job controller marks it."""
    (key,) = [k for k, o in children.items() if k[0] == "Job" and not o.get("status")]
    job = children[key]
    found: result.Said
    if "facts" in said:
        found = weights(said["facts"], artifact)
    elif "survey" in said:
        held, makes = (tuple(Variant(*v) for v in said.get(name, ())) for name in ("variants", "makes"))
        named = said.get("parent", held[0].file if makes else "")
        parent = {"parent": named, "digest": "b" * 64} if named else {}
        found = Survey(weights(said["survey"], artifact), held, makes, **parent)
    else:
        found = result.Failure(Reason(said["failure"]["reason"]), said["failure"]["message"])
    condition = {"type": "Failed" if "failure" in said else "Complete", "status": "True", "lastTransitionTime": ago(2)}
    children[key] = {**job, "status": {"conditions": [condition]}}
    state = {"terminated": {"exitCode": 0, "message": result.encode(found)}}
    labels = {"batch.kubernetes.io/job-name": key[1], LABEL_ROLE: job["metadata"]["labels"][LABEL_ROLE]}
    status = {"phase": "Succeeded", "containerStatuses": [{"name": "weights", "state": state}]}
    return {"metadata": {"name": f"{key[1]}-x", "labels": labels}, "spec": {"nodeName": "node"}, "status": status}


def applied(plan: Plan, live: dict[ObjectKey, Object] | Any) -> dict[ObjectKey, Object]:
    """Children after the plan was applied and before any controller has moved."""
    after = {} if plan.prune else dict(live)
    for obj in plan.objects:
        old = live.get(key_of(obj))
        generation = old["metadata"].get("generation", 1) if old else 0
        changed = old is None or bool(differences(obj, old))
        made = {**obj, "metadata": {**obj["metadata"], "generation": generation + changed}}
        after[key_of(obj)] = {**made, "status": old["status"]} if old and "status" in old else made
    return after
