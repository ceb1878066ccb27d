"""`slm render`: the Plan of a SmallModel or ModelRoute as YAML, for a look before a pull request is merged."""

import json
import sys
from datetime import UTC, datetime
from typing import Any, Final

import yaml

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.lint import told
from smallmodel_operator.cli.manifests import Unreadable, read
from smallmodel_operator.control import concerns, quantized
from smallmodel_operator.control.route.decide import decide as decide_route
from smallmodel_operator.control.route.resolve import resolve as resolve_route
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.pod import owner_reference
from smallmodel_operator.core.routes import Served, served
from smallmodel_operator.resolve import Site, parse, resolve

KINDS: Final = ("SmallModel", "ModelRoute", "ComputeProfile")
_UID = "00000000-0000-0000-0000-000000000000"


def render(files: list[str], output: str) -> int:
    """Print every object; 1 when something is refused or unreadable, with the reason on standard error."""
    try:
        looked = [(obj, told(where, obj)) for where, obj in read(files) if obj["kind"] in KINDS]
    except Unreadable as error:
        print(error, file=sys.stderr)
        return 1
    wrong = [line for _, lines in looked for line in lines]
    for line in wrong:
        print(line, file=sys.stderr)
    manifests = [obj for obj, lines in looked if not lines]
    profiles = {o["metadata"]["name"]: o for o in manifests if o["kind"] == "ComputeProfile"}
    made: list[dict[str, Any]] = []
    code = 1 if wrong else 0
    models = {_key(o): served(o) for o in manifests if o["kind"] == "SmallModel"}
    for body in (o for o in manifests if o["kind"] in ("SmallModel", "ModelRoute")):
        meta = {"namespace": "default", "uid": _UID, **body.get("metadata", {})}
        whole = {**body, "metadata": meta}
        try:
            objects, notes = _plan(whole, profiles) if body["kind"] == "SmallModel" else _route(whole, models)
        except Refused as refused:
            print(f"{meta.get('name')}: {refused.reason}: {_offline(refused, body)}", file=sys.stderr)
            code = 1
            continue
        made.extend(objects)
        for note in notes:
            print(f"{meta['name']}: {note}", file=sys.stderr)
    if output == "json":
        print(json.dumps({"apiVersion": "v1", "kind": "List", "items": made}, indent=2))
    else:
        print(yaml.safe_dump_all(made, sort_keys=False), end="")
    return code


def _offline(refused: Refused, body: dict[str, Any]) -> str:
    """What is missing here is no object of a cluster, but a file beside the model's."""
    if refused.reason is not Reason.PROFILE_NOT_FOUND:
        return refused.message
    name = ((body["spec"].get("compute") or {}).get("profileRef") or {}).get("name", "default")
    return (
        f"`slm render` asks no cluster, and no file it was given holds ComputeProfile {name!r}. Name one that does, "
        f"too: `kubectl get computeprofile {name} -o yaml > profile.yaml`, then `slm render MODEL.yaml profile.yaml`."
    )


def _plan(body: dict[str, Any], profiles: dict[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    model = parse(body)
    profile = profiles.get(model.spec.compute.profile_ref.name)
    resolved = resolve(body, model, profile, Site())
    claims: dict[str, Any] = {name: {} for name in quantized.claims(resolved)}
    decision = concerns.decide(resolved, Snapshot(now=datetime.now(UTC), profile=profile, claims=claims))
    owner = owner_reference(resolved.name, resolved.uid)
    objects = [{**o, "metadata": {**o["metadata"], "ownerReferences": [owner]}} for o in decision.plan.objects]
    notes = [f"{decision.hold.reason}: {decision.hold.message}"] if decision.hold else []
    return [json.loads(json.dumps(o)) for o in objects], notes


def _key(body: dict[str, Any]) -> tuple[str, str]:
    return body["metadata"].get("namespace", "default"), body["metadata"]["name"]


def _route(body: dict[str, Any], models: dict[tuple[str, str], Served]) -> tuple[list[dict[str, Any]], list[str]]:
    """Of its targets only those in the files are known: of the others nothing is said."""
    route = resolve_route(body, Site())
    decision = decide_route(route, Snapshot(now=datetime.now(UTC)), models)
    if isinstance(decision.hold, Refused):
        raise decision.hold
    owner = owner_reference(route.name, route.uid, "ModelRoute")
    objects = [{**o, "metadata": {**o["metadata"], "ownerReferences": [owner]}} for o in decision.plan.objects]
    there = [p for p in decision.plan.problems if p.reason is not Reason.TARGET_NOT_FOUND]
    return [json.loads(json.dumps(o)) for o in objects], [f"{p.reason}: {p.message}" for p in there]
