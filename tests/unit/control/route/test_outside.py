"""What a route offers to the egress, and what is said where it offers nothing."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.control.route.test_decide import READY, Stands, body

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.boundary.offers import Way
from smallmodel_operator.control.route.outside import LOOK_SECONDS, WAIT_SECONDS, Found, decide
from smallmodel_operator.control.route.resolve import Route, resolve
from smallmodel_operator.core.facts import Boundary, Object
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.resolve import Site

CLOUD = {"name": "cloud", "external": {"url": "https://api.example.com/v1/", "model": "big-1"}}
KEYED = {**CLOUD, "external": {**CLOUD["external"], "apiKeySecretRef": {"name": "cloud", "key": "key"}}}
TRUSTED = [{"name": "here", "namespace": "support", "labels": ["public"]}]
OPEN = {"external": "WhenClean", "trusted": TRUSTED}
NAME = "support/desk/cloud"
INSTALLED, SERVING = Way(True), Way(True, frozenset({NAME}))
NO_SECRETS: dict[str, Object | None] = {}


def hybrid(target: dict[str, Any] = CLOUD, **boundary: Any) -> dict[str, Any]:
    small = {"name": "small", "smallModelRef": {"name": "bot"}}
    given = {**OPEN, **boundary}
    return body(small, target, default="small", boundary={k: v for k, v in given.items() if v is not None})


def route(target: dict[str, Any] = CLOUD, **boundary: Any) -> Route:
    return resolve(hybrid(target, **boundary), Site())


def secret(value: bytes, key: str = "key") -> dict[str, Object | None]:
    return {"cloud": {"data": {key: base64.b64encode(value).decode()}}}


def said(found: Found) -> tuple[bool | None, Reason, str]:
    assert found.report is not None
    [target] = found.targets
    assert target["model"] == "big-1"
    return found.report.status, found.report.reason, target["reason"]


def test_a_route_without_targets_outside_says_nothing_of_it() -> None:
    assert decide(resolve(body(), Site()), NO_SECRETS, Boundary(), Way()) == Found()


def test_what_may_leave_is_offered() -> None:
    found = decide(route(), NO_SECRETS, Boundary(), INSTALLED)
    [offer] = found.offers
    assert (offer.host.name, offer.host.host, offer.host.path) == (NAME, "api.example.com", "/v1")
    assert (offer.host.credential, offer.credential) == (False, "")
    assert said(found) == (True, Reason.ENFORCED, "EgressStarting")
    assert not found.problems
    assert said(decide(route(), NO_SECRETS, Boundary(), SERVING)) == (True, Reason.ENFORCED, "Serving")


def test_with_its_credential() -> None:
    found = decide(route(KEYED), secret(b"sk-1\n"), Boundary(), SERVING)
    [offer] = found.offers
    assert (offer.host.credential, offer.credential) == (True, "sk-1")
    assert found.look_again_seconds == LOOK_SECONDS


@pytest.mark.parametrize(
    ("secrets", "reason", "words"),
    [
        ({}, Reason.SECRET_NOT_FOUND, "Secret 'cloud' does not exist"),
        ({"cloud": None}, Reason.SECRET_NOT_FOUND, "Secret 'cloud' does not exist"),
        (secret(b"sk-1", "other"), Reason.SECRET_NOT_FOUND, "has no entry 'key'"),
        (secret(b""), Reason.SECRET_INVALID, "no usable key"),
        (secret(b"sk-1\r\nx-injected: 1"), Reason.SECRET_INVALID, "no usable key"),
        (secret("schlüssel".encode()), Reason.SECRET_INVALID, "no usable key"),
        ({"cloud": {"data": {"key": "%"}}}, Reason.SECRET_INVALID, "no usable key"),
    ],
)
def test_without_its_credential_it_is_not_declared(
    secrets: dict[str, Object | None], reason: Reason, words: str
) -> None:
    found = decide(route(KEYED), secrets, Boundary(), SERVING)
    assert found.offers == ()
    assert said(found) == (False, reason, reason.value)
    assert found.report
    assert "`external.apiKeySecretRef`" in found.report.message
    assert words in found.report.message
    assert "injected" not in found.report.message
    assert [(p.reason, p.message) for p in found.problems] == [(reason, found.report.message)]
    assert found.look_again_seconds == WAIT_SECONDS


@pytest.mark.parametrize(
    ("boundary", "around", "way", "stands", "words"),
    [
        ({"external": "Denied"}, {}, INSTALLED, (True, Reason.EXTERNAL_DENIED), "`spec.boundary.external` is Denied"),
        ({"external": None}, {}, INSTALLED, (True, Reason.EXTERNAL_DENIED), "`spec.boundary.external` is Denied"),
        ({}, {"denied": "ticket"}, INSTALLED, (True, Reason.EXTERNAL_DENIED), "Nothing leaves: ticket."),
        ({}, {"stopped": "ticket"}, INSTALLED, (True, Reason.INFERENCE_STOPPED), "Nothing leaves: ticket."),
        ({}, {}, Way(), (False, Reason.EGRESS_NOT_INSTALLED), "`egress.enabled`"),
        ({"detectors": ["Pii", "Phi"]}, {}, INSTALLED, (False, Reason.RECOGNIZER_MISSING), "`spec.boundary.detectors`"),
        ({"patterns": [{"name": "a", "regex": "(?=a)"}]}, {}, INSTALLED, (False, Reason.PATTERN_INVALID), "'a'"),
        ({"patterns": [{"name": "a", "regex": "a*"}]}, {}, INSTALLED, (False, Reason.PATTERN_INVALID), "empty text"),
        # A detector without a recognizer is said before what else keeps everything inside.
        ({"detectors": ["Phi"], "external": "Denied"}, {}, Way(), (False, Reason.RECOGNIZER_MISSING), "Phi"),
    ],
)
def test_where_nothing_may_leave_nothing_is_offered(
    boundary: dict[str, Any], around: dict[str, str], way: Way, stands: tuple[bool, Reason], words: str
) -> None:
    found = decide(route(KEYED, **boundary), secret(b"sk-1"), Boundary(**around), way)
    assert found.offers == ()
    assert said(found) == (*stands, stands[1].value)
    assert found.report
    assert words in found.report.message
    assert [p.reason for p in found.problems] == ([] if stands[0] else [stands[1]])


def test_who_trusts_nobody_is_told() -> None:
    found = decide(route(trusted=[]), NO_SECRETS, Boundary(), SERVING)
    assert said(found) == (True, Reason.NOBODY_TRUSTED, "Serving")


def test_the_65th_target_is_told() -> None:
    found = decide(route(), NO_SECRETS, Boundary(), replace(INSTALLED, beyond=frozenset({NAME})))
    assert said(found) == (False, Reason.TOO_MANY_TARGETS, "TooManyTargets")
    assert found.offers, "it takes the place of one that goes"


class Judged(Stands):
    """A pass with targets outside."""

    def __init__(self, obj: dict[str, Any], found: Found, **seen: Any) -> None:
        super().__init__({("support", "bot"): READY}, obj, outside=found, **seen)


def test_targets_outside_stand_beside_the_others_and_keep_none_from_ready() -> None:
    obj = hybrid(KEYED)
    stands = Judged(obj, decide(resolve(obj, Site()), NO_SECRETS, Boundary(), SERVING))
    assert stands.conditions["Ready"] == ("True", "Serving")
    assert stands.conditions["Stalled"] == ("True", "SecretNotFound")
    assert stands.conditions["BoundaryEnforced"] == ("False", "SecretNotFound")
    assert stands.status["targets"] == [
        {"name": "small", "model": "support/bot", "ready": True, "reason": "Serving"},
        {"name": "cloud", "model": "big-1", "ready": False, "reason": "SecretNotFound"},
    ]


def test_in_an_outage_what_was_said_stands() -> None:
    obj = hybrid()
    before = Judged(obj, decide(resolve(obj, Site()), NO_SECRETS, Boundary(), SERVING)).status
    assert before["targets"][1]["ready"]
    after = Judged(obj, Found(), previous_status=before, outage="the API server is away")
    assert after.status["targets"] == before["targets"]
    assert after.conditions["BoundaryEnforced"] == ("True", "Enforced")


def test_a_host_this_release_would_not_let_in_is_refused() -> None:
    with pytest.raises(Refused, match="https"):
        resolve(hybrid({"name": "cloud", "external": {"url": "http://api.example.com", "model": "m"}}), Site())
