"""What `slm lint` notes: the API server takes it, and as far as these files show it never does what was meant. Pure."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.cli.manifests import inner
from smallmodel_operator.control.route import decide, outside, recognized
from smallmodel_operator.control.route.resolve import Route, resolve
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.core.routes import Served, served
from smallmodel_operator.resolve import Site

Models = Mapping[tuple[str, str], Mapping[str, Any]]
"""SmallModels of all files, by (namespace, name)."""


def notes(obj: Mapping[str, Any], models: Models) -> list[str]:
    """A sentence for each; none for what is no ModelRoute. `obj`: without a problem, as `slm lint` finds them."""
    if obj.get("kind") != "ModelRoute":
        return []
    try:
        route = resolve(_whole(obj), Site())
    except Refused as refused:
        return [refused.message]
    known = {key: served(_whole(model)) for key, model in models.items()}
    return [*_targets(route, known), *_way_out(route), *_recognizers(route, models)]


def _place(obj: Mapping[str, Any]) -> tuple[str, str]:
    """Where an object will be: without a namespace, in the one it is applied to."""
    meta = inner(obj, "metadata")
    return str(meta.get("namespace") or ""), str(meta.get("name"))


def _whole(obj: Mapping[str, Any]) -> dict[str, Any]:
    namespace, name = _place(obj)
    return {**obj, "metadata": {**inner(obj, "metadata"), "namespace": namespace, "name": name, "uid": ""}}


def _targets(route: Route, known: Mapping[tuple[str, str], Served]) -> Iterator[str]:
    """Of models that these files have, or that would be among them if they were meant."""
    decision = decide.decide(route, Snapshot(now=datetime.now(UTC)), known)
    if isinstance(decision.hold, Refused):
        yield decision.hold.message
    yield from (p.message for p in decision.plan.problems if p.reason is not Reason.TARGET_NOT_FOUND)
    for target in route.targets:
        beside = [name for namespace, name in known if namespace == target.namespace]
        if target.key in known or not beside:
            continue
        near = get_close_matches(target.model, beside, 1)
        meant = f" Is {near[0]!r} meant?" if near else ""
        yield (
            f"Target {target.name!r}: SmallModel {target.model!r} is not in these files, and others of its namespace "
            f"are: until it is in the cluster, nobody answers there.{meant}"
        )


def _way_out(route: Route) -> Iterator[str]:
    if route.outside and (report := outside.shut(route.boundary)):
        yield report.message


def _recognizers(route: Route, models: Models) -> Iterator[str]:
    for one in recognized.wanted(route):
        scaling = inner(inner(models.get((route.namespace, one.model), {}), "spec"), "scaling")
        if one.model and scaling.get("minReplicas") == 0:
            yield (
                f"Recognizer {one.name!r}: SmallModel {one.model!r} may sleep (`scaling.minReplicas` is 0) and is not "
                "woken for this: while it sleeps nothing leaves. Set it to 1."
            )
