"""What left, by three witnesses: each thing that one says and another does not is found, and nothing else."""

import json
from typing import Any

import pytest

from smallmodel_operator.audit.leaving import Leaving, line_of, sentence, wrong

TARGET = "support/desk/cloud"
DECISION = {
    "request.id": "a", "slm.route": "support/desk", "slm.decision.target": "cloud",
    "slm.decision.boundary": "MayLeave", "slm.decision.policy": "sha256:1",
}  # fmt: skip
ANSWER = {
    "request.id": "a", "slm.left": TARGET, "slm.caller": "sa:crm/app", "time": "2026-11-02T10:00:00.000000Z",
    "http.request.body.size": 500, "http.response.status_code": 200, "slm.upstream.address": "10.244.0.9:8443",
}  # fmt: skip
LINE = {
    "request.id": "a", "slm.target": TARGET, "slm.decision.policy": "sha256:1", "status": 200, "bytes.out": 700,
    "time": "2026-11-02T10:00:00.004Z", "server.address": "203.0.113.7:443",
}  # fmt: skip


def joined(
    decisions: tuple[dict[str, Any], ...] = (DECISION,),
    answers: tuple[dict[str, Any], ...] = (ANSWER,),
    lines: tuple[dict[str, Any], ...] | None = (LINE,),
) -> dict[str, Any]:
    leaving = Leaving()
    for body in decisions:
        leaving.decided(body)
    for body in answers:
        leaving.answered(body, True)
    for line in lines or ():
        read = line_of(json.dumps(line).encode())
        assert read is not None
        leaving.sent(read, True)
    leaving.logged = lines is not None
    return leaving.statement()


def whys(said: dict[str, Any]) -> list[str]:
    return [item["why"] for item in said["listed"]]


def test_all_three_agree() -> None:
    said = joined()
    assert (said["requests"], said["bytes"], said["unmatched"]) == (1, 500, 0)
    assert said["targets"] == [
        {"target": TARGET, "requests": 1, "bytes": 500, "callers": ["sa:crm/app"], "sent": 1, "sent_bytes": 700,
         "hosts": ["203.0.113.7:443"]}
    ]  # fmt: skip
    assert list(wrong(said)) == []
    assert "1 request(s) left the cluster" in sentence(said)
    assert "its log agrees" in sentence(said)


def test_without_a_log_that_is_said() -> None:
    said = joined(lines=None)
    assert (said["egress"]["given"], said["unmatched"]) == (False, 0)
    assert "log was not given" in sentence(said)


@pytest.mark.parametrize("change", [
    {"slm.decision.boundary": "Inside"}, {"slm.decision.target": "other"}, {"slm.route": "crm/desk"},
    {"request.id": "b"},
])  # fmt: skip
def test_what_no_decision_lets_leave_is_listed_by_both_who_saw_it(change: dict[str, str]) -> None:
    said = joined(decisions=({**DECISION, **change},))
    assert whys(said) == ["no decision lets this request leave to there"] * 2
    assert "2 request(s) that left do not match" in next(wrong(said))


@pytest.mark.parametrize(("change", "why"), [
    ({"slm.decision.policy": "sha256:2"}, "no decision"),
    ({"slm.target": "support/desk/other"}, "no decision"),
    ({"slm.target": ""}, "no decision"),
])  # fmt: skip
def test_a_line_that_says_something_else(change: dict[str, str], why: str) -> None:
    assert [word[: len(why)] for word in whys(joined(lines=({**LINE, **change},)))] == [why]


def test_what_only_the_egress_saw() -> None:
    assert whys(joined(answers=())) == ["the egress sent it, and no gateway has a record of it"]
    another = {**ANSWER, "slm.left": "support/desk/other"}
    assert "the egress sent it, and no gateway has a record of it" in whys(joined(answers=(another,)))


def test_what_only_the_gateway_saw() -> None:
    assert whys(joined(lines=())) == ["a gateway sent it to the egress, whose log does not have it"]
    failed = {**ANSWER, "http.response.status_code": 503}
    assert whys(joined(answers=(failed,), lines=())) == [], "it may never have come there"


def test_what_went_twice() -> None:
    assert whys(joined(lines=(LINE, LINE))) == ["the egress sent it more than once"] * 2


def test_what_reached_nobody_did_not_leave() -> None:
    nobody = {key: value for key, value in ANSWER.items() if key != "slm.upstream.address"}
    refused = {**LINE, "bytes.out": 0, "status": 503}
    said = joined(answers=(nobody,), lines=(refused,))
    assert (said["requests"], said["egress"], said["unmatched"]) == (0, {"given": True, "sent": 0, "refused": 1}, 0)


def test_only_what_is_of_the_time_counts_and_decisions_of_any_time_match() -> None:
    leaving = Leaving()
    leaving.decided(DECISION)
    leaving.answered(ANSWER, False)
    leaving.sent(LINE, False)
    said = leaving.statement()
    assert (said["requests"], said["egress"]["sent"], said["unmatched"]) == (0, 0, 0)


@pytest.mark.parametrize("text", [
    b"", b"[warning] something", b"[1]", b"{}", b'{"time": "2026"}', b"\xff", b"[" * 100_000,
])  # fmt: skip
def test_what_is_no_line_is_passed_over(text: bytes) -> None:
    assert line_of(text) is None


def test_a_line_without_a_target_is_one() -> None:
    """Envoy leaves out what is empty; something that went out without a target is what must not be missed."""
    found = line_of(json.dumps({key: LINE[key] for key in ("time", "status", "bytes.out")}).encode())
    assert found is not None
    leaving = Leaving()
    leaving.sent(found, True)
    assert leaving.statement()["unmatched"] == 1


def test_numbers_that_are_none_count_nothing() -> None:
    said = joined(answers=({**ANSWER, "http.request.body.size": "many"},), lines=({**LINE, "bytes.out": "-"},))
    assert (said["bytes"], said["egress"]["refused"]) == (0, 1)
