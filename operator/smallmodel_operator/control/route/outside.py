"""Targets outside the cluster: what a route offers to the egress, and why not. Pure.

Nothing here decides on a request: that does routing/verdict.py in the gateways. What cannot be held to is not offered,
so that there is no way to where it would have gone.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from smallmodel_operator.api.conditions import Condition, Reason, Report
from smallmodel_operator.boundary.offers import Offer, Way
from smallmodel_operator.control.route.resolve import Outside, Route
from smallmodel_operator.core import facts
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.routing.detect import decide as detect
from smallmodel_operator.routing.detect.scanner import BadPattern
from smallmodel_operator.routing.policy import Boundary, External

LOOK_SECONDS: Final = 60.0
"""How often credentials are read: nobody tells of their changes."""
WAIT_SECONDS: Final = 15.0
"""The same while something is missing."""
_USABLE: Final = re.compile(r"[!-~]{1,4096}")
"""What can stand in a header."""
MEANWHILE: Final = "Until then nothing leaves, and the route's models answer."


@dataclass(frozen=True, slots=True)
class Found:
    """How a route's targets outside stand. `targets`: of its status."""

    offers: tuple[Offer, ...] = ()
    targets: tuple[Mapping[str, Any], ...] = ()
    problems: tuple[Refused, ...] = ()
    report: Report | None = None
    look_again_seconds: float | None = None


def decide(
    route: Route,
    secrets: Mapping[str, Object | None],
    around: facts.Boundary,
    way: Way,
    unrecognized: Sequence[str] = (),
) -> Found:
    """What a route offers, and what is said of it. `around`: of its namespace; `way`: as it is known now.

    `unrecognized`: what is the matter with its recognizers. Offers stay meanwhile, for each request asks them anew.
    """
    if not route.outside:
        return Found()
    held = unfit(route.boundary) or _closed(route, around, way)
    if held is not None:
        stalled = () if held.status else (Refused(held.reason, held.message, recheck_seconds=WAIT_SECONDS),)
        return Found((), tuple(_said(t, held.reason) for t in route.outside), stalled, held, LOOK_SECONDS)
    offers, targets, problems = [], [], [_unrecognized(text) for text in unrecognized[:1]]
    for target in route.outside:
        try:
            offers.append(Offer(target.host, credential(target, secrets)))
            reason = _reached(target, way)
            if reason is Reason.TOO_MANY_TARGETS:
                problems.append(_too_many(target))
        except Refused as refused:
            problems.append(refused)
            reason = refused.reason
        targets.append(_said(target, Reason.RECOGNIZER_MISSING if unrecognized else reason))
    report = _report(route, problems)
    again = WAIT_SECONDS if problems else LOOK_SECONDS
    return Found(tuple(offers), tuple(targets), tuple(problems), report, again)


def _report(route: Route, problems: list[Refused]) -> Report:
    condition = Condition.BOUNDARY_ENFORCED
    if problems:
        return Report(condition, False, problems[0].reason, problems[0].message)
    if nobody := shut(route.boundary):
        return nobody
    names = ", ".join(target.name for target in route.outside)
    asked = ", ".join(one.name for one in route.boundary.recognizers)
    also = f" Recognizers are asked before: {asked}." if asked else ""
    text = (
        f"Only requests with a trusted label, in which nothing that must stay is found, may go to {names}; each is "
        f"decided on before it goes.{also}"
    )
    return Report(condition, True, Reason.ENFORCED, text)


def shut(boundary: Boundary) -> Report | None:
    """Why nothing ever leaves, as it is declared."""
    if boundary.external is External.DENIED:
        text = (
            "Nothing leaves: `spec.boundary.external` is Denied, so its targets outside get no request. WhenClean lets "
            "those leave that may."
        )
        return Report(Condition.BOUNDARY_ENFORCED, True, Reason.EXTERNAL_DENIED, text)
    if not boundary.trusted:
        text = "`spec.boundary.trusted` is empty, so no request has a label, and without one none leaves."
        return Report(Condition.BOUNDARY_ENFORCED, True, Reason.NOBODY_TRUSTED, text)
    return None


def unfit(boundary: Boundary) -> Report | None:
    """What of a boundary cannot be held to."""
    missing = detect.missing(boundary.detectors, boundary.recognized)
    if missing:
        text = (
            f"`spec.boundary.detectors` has {missing[0]}, which needs a recognizer, and none of "
            "`spec.boundary.recognizers` answers for it: so everything stays inside. Add one, or remove it if requests "
            "may leave without being looked through for it."
        )
        return Report(Condition.BOUNDARY_ENFORCED, False, Reason.RECOGNIZER_MISSING, text)
    if wrong := _wrong(boundary.detectors, boundary.patterns, boundary.deny_terms):
        text = f"`spec.boundary`: {wrong} {MEANWHILE}"
        return Report(Condition.BOUNDARY_ENFORCED, False, Reason.PATTERN_INVALID, text)
    return None


@lru_cache(256)
def _wrong(detectors: tuple[str, ...], patterns: tuple[tuple[str, str], ...], terms: tuple[str, ...]) -> str:
    """Why patterns do not run; compiling them takes milliseconds, and passes come often."""
    try:
        detect.compiled(detect.Policy(detectors, (), patterns, terms))
    except BadPattern as error:
        return str(error)
    return ""


def _closed(route: Route, around: facts.Boundary, way: Way) -> Report | None:
    """Why there is no way out for any of its targets."""
    condition = Condition.BOUNDARY_ENFORCED
    declared = shut(route.boundary)
    if declared and declared.reason is Reason.EXTERNAL_DENIED:
        return declared
    if around.denied:
        return Report(condition, True, Reason.EXTERNAL_DENIED, f"Nothing leaves: {around.denied}.")
    if around.stopped:
        return Report(condition, True, Reason.INFERENCE_STOPPED, f"Nothing leaves: {around.stopped}.")
    if not way.installed:
        text = (
            "There is no way out of the cluster: the egress is not installed. Set `egress.enabled` in the chart, or "
            f"remove the targets with `external`. {MEANWHILE}"
        )
        return Report(condition, False, Reason.EGRESS_NOT_INSTALLED, text)
    return None


def credential(target: Outside, secrets: Mapping[str, Object | None]) -> str:
    """What requests to a target carry; empty where it declares nothing.

    Raises:
        Refused: its Secret or the entry is not there, or holds what no header can.
    """
    if target.secret is None:
        return ""
    where, ref = f"Target {target.name!r}: `external.apiKeySecretRef`", target.secret
    secret = secrets.get(ref.name)
    if secret is None:
        text = f"{where}: Secret {ref.name!r} does not exist in this namespace. Create it with entry {ref.key!r}."
        raise Refused(Reason.SECRET_NOT_FOUND, text, recheck_seconds=WAIT_SECONDS)
    encoded = (secret.get("data") or {}).get(ref.key)
    if encoded is None:
        text = f"{where}: Secret {ref.name!r} has no entry {ref.key!r}. Add it or correct the name."
        raise Refused(Reason.SECRET_NOT_FOUND, text, recheck_seconds=WAIT_SECONDS)
    try:
        found = base64.b64decode(encoded, validate=True).decode("ascii").strip()
    except ValueError:
        found = ""
    if not _USABLE.fullmatch(found):
        text = (
            f"{where}: entry {ref.key!r} of Secret {ref.name!r} is no usable key: it takes visible ASCII characters "
            "without spaces, 4096 at most."
        )
        raise Refused(Reason.SECRET_INVALID, text, recheck_seconds=WAIT_SECONDS)
    return found


def _reached(target: Outside, way: Way) -> Reason:
    if target.host.name in way.serving:
        return Reason.SERVING
    return Reason.TOO_MANY_TARGETS if target.host.name in way.beyond else Reason.EGRESS_STARTING


def _unrecognized(what: str) -> Refused:
    text = f"{what}. Until it answers everything stays inside, and the route's models answer."
    return Refused(Reason.RECOGNIZER_MISSING, text, recheck_seconds=WAIT_SECONDS)


def _too_many(target: Outside) -> Refused:
    text = f"Target {target.name!r} has no place: the egress knows at most 64 targets of all routes. Remove some."
    return Refused(Reason.TOO_MANY_TARGETS, text, recheck_seconds=LOOK_SECONDS)


def _said(target: Outside, reason: Reason) -> Mapping[str, Any]:
    ready = reason is Reason.SERVING
    return {"name": target.name, "model": target.model, "ready": ready, "reason": reason.value}
