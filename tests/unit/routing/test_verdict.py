"""Which target a request goes to: rules, class of task, how hard it is, and what must stay, by one small policy."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from tests.unit.routing import departments
from tests.unit.routing.test_choice import some

from smallmodel_operator.routing import verdict
from smallmodel_operator.routing.asked import Request, asked
from smallmodel_operator.routing.choice.classifier import Classifier
from smallmodel_operator.routing.choice.share import Turn
from smallmodel_operator.routing.choice.training import learn_escalation, learn_tasks
from smallmodel_operator.routing.detect.decide import MOST_BYTES
from smallmodel_operator.routing.policy import (
    BadPolicy,
    Boundary,
    Escalate,
    External,
    Match,
    Need,
    Ready,
    RoutePolicy,
    Rule,
    Target,
    compiled,
)
from smallmodel_operator.routing.verdict import Because, Can, Decision, decide, degraded, kept

IBAN = "DE89 3704 0044 0532 0130 00"
SMALL, LARGE, CLOUD = Target("small", "support/bot"), Target("large", "shared/llm"), Target("cloud", "big-1", False)
CAN = {
    "small": Can(context_tokens=2048, adapters=frozenset({"legal"})),
    "large": Can(frozenset(Need), context_tokens=32768),
    "cloud": Can(frozenset(Need)),
}
CLEAN = Boundary(External.WHEN_CLEAN)
POLICY = RoutePolicy("support", "assistant", (SMALL, LARGE, CLOUD), "small")
HARD = Escalate(("cloud", "large"), 0.5, "sha256:hard")


@cache
def classifiers() -> dict[str, Classifier]:
    return {
        "sha256:tasks": learn_tasks(departments.prompts(12, 1)),
        "sha256:departments": learn_tasks(departments.prompts(40, 1)),
        "sha256:hard": learn_escalation(some(400, 1)),
    }


@cache
def ready(**changed: Any) -> Ready:
    return compiled(replace(POLICY, **changed), classifiers())


def chat(text: Any = "Hello", **more: Any) -> bytes:
    return json.dumps({"model": "assistant", "messages": [{"role": "user", "content": text}], **more}).encode()


def said(
    body: bytes,
    policy: Ready | None = None,
    labels: tuple[str, ...] = ("public",),
    path: str = "/v1/chat/completions",
    can: dict[str, Can] = CAN,
    **request: Any,
) -> Decision:
    return decide(policy or ready(), Request(path, body, **request), labels, can, lambda: 0.0)


def name(decision: Decision) -> str:
    return decision.target.name if decision.target else ""


def words(decision: Decision) -> list[str]:
    return [reason.reason for reason in decision.reasons]


def test_without_rules_the_default_answers() -> None:
    decision = said(chat())
    assert (name(decision), decision.because, words(decision)) == ("small", Because.DEFAULT, ["ExternalDenied"])


def test_nothing_is_looked_for_where_nothing_may_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdict.detect, "decide", lambda *_: pytest.fail("it was"))
    said(chat(IBAN))
    said(chat(IBAN), ready(boundary=CLEAN), labels=())


def test_a_clean_labelled_request_may_leave() -> None:
    decision = said(chat(), ready(boundary=CLEAN, default="cloud"))
    assert (name(decision), decision.because, decision.reasons) == ("cloud", Because.DEFAULT, ())


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"body": chat(IBAN)}, "Found"),
        ({"labels": ()}, "Unlabelled"),
        ({"labels": ("public", "secret")}, "Label"),
        ({"body": b"{"}, "NotJson"),
        ({"body": b""}, "NotJson"),
        ({"body": chat("x" * MOST_BYTES)}, "TooLarge"),
        ({"body": chat([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}])}, "NotText"),
        ({"whole": False}, "Incomplete"),
        ({"size": 5}, "Incomplete"),
        ({"content_encoding": "gzip"}, "Encoded"),
        ({"content_type": "text/plain"}, "NotJson"),
        ({"content_type": "application/json; charset=utf-16"}, "NotJson"),
    ],
)
def test_what_must_stay_goes_to_the_first_target_inside(more: dict[str, Any], reason: str) -> None:
    policy = ready(boundary=Boundary(External.WHEN_CLEAN, labels=("secret",)), default="cloud")
    decision = said(**{"body": chat(), "policy": policy, **more})
    assert (name(decision), decision.because) == ("small", Because.INSTEAD)
    assert reason in words(decision)


def test_a_detector_without_a_recognizer_keeps_everything_inside() -> None:
    policy = ready(boundary=Boundary(External.WHEN_CLEAN, detectors=("Pii", "Phi")), default="cloud")
    assert words(said(chat(), policy)) == ["RecognizerMissing"]


def test_a_content_type_with_utf8_is_read() -> None:
    assert said(chat(), ready(boundary=CLEAN), content_type='application/json; charset="UTF-8"').reasons == ()


def test_what_must_stay_is_refused_where_nobody_inside_can_answer() -> None:
    decision = said(chat(IBAN), ready(boundary=CLEAN, targets=(CLOUD,), default="cloud"))
    assert (decision.target, decision.because) == (None, Because.KEPT_INSIDE)


def test_a_slow_look_keeps_its_request_inside() -> None:
    times = iter([0.0, verdict.MOST_SECONDS + 0.1])
    policy = ready(boundary=CLEAN, default="cloud")
    decision = decide(policy, Request("/", chat()), ["public"], CAN, lambda: next(times))
    assert (name(decision), words(decision)) == ("small", ["TimedOut"])


def test_a_crash_keeps_its_request_inside() -> None:
    decision = decide(ready(boundary=CLEAN, default="cloud"), Request("/", chat()), ["public"], CAN, lambda: 1 / 0)
    assert (name(decision), words(decision)) == ("small", ["DecisionFailed"])


def test_what_is_kept_needs_somebody_inside() -> None:
    assert name(kept(ready(), "Busy", CAN)) == "small"
    assert kept(ready(targets=(CLOUD,), default="cloud"), "Busy", CAN).target is None


# -- rules -------------------------------------------------------------------------------------------------------


def rule(target: str, **match: Any) -> tuple[Rule, ...]:
    return (Rule("r", Match(**match), target),)


@pytest.mark.parametrize("department", list(departments.TOPICS))
def test_a_rule_takes_a_class_of_tasks(department: str) -> None:
    policy = ready(classifier="sha256:tasks", rules=rule("large", task_class=department))
    held_out = departments.prompts(25, 2)
    right = sum((name(said(chat(prompt), policy)) == "large") is (own == department) for prompt, own in held_out)
    assert right >= 0.99 * len(held_out)


def test_twenty_departments_have_a_target_each_and_strangers_the_default() -> None:
    """On prompts with other sentences and other pairs of words than were learned from: see departments.py."""
    names = list(departments.TOPICS)
    policy = ready(
        targets=(SMALL, *(Target(n, f"support/{n}") for n in names)),
        rules=tuple(Rule(n, Match(n), n) for n in names),
        classifier="sha256:departments",
    )
    can = {target.name: Can() for target in policy.targets.values()}
    held_out = departments.held_out(25, 2)
    chosen = [(name(said(chat(prompt), policy, can=can)), own) for prompt, own in held_out]
    assert sum(target == own for target, own in chosen) >= 0.95 * len(held_out), [c for c in chosen if c[0] != c[1]]
    for prompt in departments.ELSEWHERE:
        found = said(chat(prompt), policy, can=can)
        assert (name(found), found.because, found.task_class) == ("small", Because.DEFAULT, "")


def test_held_out_prompts_share_no_sentence_and_no_pair_with_those_learned_from() -> None:
    assert not set(departments.ASKED) & set(departments.LATER)
    learned = " ".join(prompt for prompt, _ in departments.prompts(40, 1))
    pairs = {subject for words in departments.TOPICS.values() for subject in words.split("|") if " " in subject}
    assert all(subject in learned for subject in pairs)
    assert not [s for s in pairs for prompt, _ in departments.held_out(25, 2) if s in prompt]


def test_a_class_needs_the_probability_its_policy_asks_for() -> None:
    sure = {"classifier": "sha256:tasks", "rules": rule("large", task_class="legal")}
    prompt = chat("the contract clause on governing law")
    assert said(prompt, ready(**sure)).because is Because.RULE
    assert said(prompt, ready(**sure, least=1.0)).because is Because.DEFAULT


def test_a_class_without_its_classifier_is_unknown() -> None:
    policy = ready(classifier="sha256:gone", rules=rule("large", task_class="legal"))
    assert said(chat("a contract clause"), policy).because is Because.DEFAULT


@pytest.mark.parametrize(
    ("match", "matches", "not_matching"),
    [
        ({"requires": (Need.TOOLS,)}, chat(tools=[{"type": "function"}]), chat(tools=[])),
        (
            {"requires": (Need.JSON_SCHEMA,)},
            chat(response_format={"type": "json_schema", "json_schema": {}}),
            chat(response_format={"type": "text"}),
        ),
        ({"context_tokens_over": 100}, chat("word " * 200), chat()),
        ({}, chat(), None),
    ],
)
def test_a_rule_takes_what_it_matches(match: dict[str, Any], matches: bytes, not_matching: bytes | None) -> None:
    policy = ready(rules=rule("large", **match))
    assert (name(said(matches, policy)), said(matches, policy).rule) == ("large", "r")
    if not_matching is not None:
        assert name(said(not_matching, policy)) == "small"


def test_embeddings_are_told_by_the_path() -> None:
    policy = ready(rules=rule("large", requires=(Need.EMBEDDINGS,)))
    assert name(said(b'{"input":"x"}', policy, path="/v1/embeddings?a=b")) == "large"


def test_the_first_rule_that_matches_and_may_is_taken() -> None:
    rules = (Rule("out", Match(), "cloud"), Rule("in", Match(), "large"))
    assert said(chat(IBAN), ready(boundary=CLEAN, rules=rules)).rule == "in"
    assert said(chat(), ready(boundary=CLEAN, rules=rules)).rule == "out"


# -- capability --------------------------------------------------------------------------------------------------


def test_who_cannot_is_passed_over() -> None:
    decision = said(chat(tools=[{}]))
    assert (name(decision), decision.because) == ("large", Because.INSTEAD)


def test_inside_is_nearer_than_outside() -> None:
    policy = ready(boundary=CLEAN, targets=(SMALL, CLOUD, LARGE))
    assert name(said(chat(tools=[{}]), policy)) == "large"


def test_what_nobody_can_is_refused() -> None:
    decision = said(chat(tools=[{}]), can={"small": Can()})
    assert (decision.target, decision.because) == (None, Because.NOT_CAPABLE)


def test_what_is_long_goes_to_who_takes_it_and_is_never_refused_for_an_estimate() -> None:
    assert name(said(chat("word " * 4000))) == "large"
    assert name(said(chat("word " * 4000), can={"small": Can(context_tokens=2048)})) == "small"


def test_who_is_not_there_is_never_chosen() -> None:
    assert name(said(chat(), can={"large": Can()})) == "large"
    assert said(chat(), can={}).target is None


# -- complexity --------------------------------------------------------------------------------------------------


def test_what_is_hard_goes_to_the_first_that_may() -> None:
    policy = ready(boundary=CLEAN, escalation=HARD)
    decision = said(chat("prove the lemma for case b"), policy)
    assert (name(decision), decision.because) == ("cloud", Because.COMPLEXITY)
    decision = said(chat("prove the lemma for case b"), policy, labels=())
    assert (name(decision), decision.because) == ("large", Because.COMPLEXITY)
    decision = said(chat("greet for case b"), policy)
    assert (name(decision), decision.because) == ("small", Because.DEFAULT)
    assert decision.complexity is not None


def test_nothing_is_scored_where_nothing_can_be_escalated() -> None:
    policy = ready(boundary=CLEAN, escalation=replace(HARD, order=("cloud",)))
    assert said(chat("prove the lemma for case b"), policy, labels=()).complexity is None


def test_a_rule_is_the_last_word() -> None:
    policy = ready(escalation=replace(HARD, order=("large",)), rules=rule("small"))
    assert said(chat("prove the lemma for case b"), policy).because is Because.RULE


def test_a_turn_has_the_last_word_and_is_asked_once_for_each_that_may_go() -> None:
    policy, asked_for = ready(escalation=replace(HARD, order=("large",))), []

    def turn(score: float) -> Turn:
        asked_for.append(score)
        return Turn(False, 0.3, "ShareSpent")

    found = decide(policy, Request("/", chat("prove the lemma for case b")), (), CAN, lambda: 0.0, turn)
    assert (name(found), found.because, found.scored) == ("small", Because.DEFAULT, "ShareSpent")
    assert asked_for == [found.complexity]
    decide(policy, Request("/", chat("prove the lemma")), (), {"small": Can()}, lambda: 0.0, turn)
    decide(ready(escalation=policy.policy.escalation, rules=rule("small")), Request("/", chat()), (), CAN, float, turn)
    assert len(asked_for) == 1


def away(*names: str) -> dict[str, Can]:
    return {own: replace(one, answers=own not in names) for own, one in CAN.items()}


def test_what_is_hard_goes_to_the_next_of_the_order_that_answers_or_says_that_none_does() -> None:
    prompt, policy = chat("prove the lemma for case b"), ready(boundary=CLEAN, escalation=HARD)
    assert name(said(prompt, policy, can=away("cloud"))) == "large"
    found = said(prompt, policy, can=away("cloud", "large"))
    assert (name(found), found.because, found.degraded, found.scored) == (
        "small",
        Because.DEFAULT,
        "unavailable",
        "Degraded",
    )
    assert not said(chat("greet for case b"), policy, can=away("cloud", "large")).degraded


def test_what_was_escalated_to_the_outside_goes_to_the_next_inside_where_that_does_not_answer() -> None:
    request, policy = Request("/", chat("prove the lemma for case b")), ready(boundary=CLEAN, escalation=HARD)
    found = decide(policy, request, ("public",), CAN, lambda: 0.0, lambda _: Turn(True, 0.3))
    assert name(found) == "cloud"
    instead = degraded(policy, request, found, CAN, "outside-failing")
    assert (name(instead), instead.because, instead.degraded) == ("large", Because.COMPLEXITY, "outside-failing")
    assert (instead.turn, instead.scored) == (found.turn, "Escalated"), "asked for once"
    ruled = ready(boundary=CLEAN, escalation=replace(HARD, threshold=0.0), rules=rule("cloud"))
    found = decide(ruled, request, ("public",), CAN, lambda: 0.0)
    instead = degraded(ruled, request, found, CAN, "outside-failing")
    assert (name(instead), instead.turn) == ("small", None), "what a rule sent out is not scored for that"


INSTEAD = Escalate(("cloud", "large"), 0.5, "", on_unavailable=True)


def test_who_cannot_answer_is_stood_in_for_where_the_policy_wants_it() -> None:
    def found(decision: Decision) -> tuple[str, Because]:
        return name(decision), decision.because

    policy = ready(boundary=CLEAN, escalation=INSTEAD)
    assert found(said(chat(), policy, can=away("small"))) == ("cloud", Because.UNAVAILABLE)
    assert found(said(chat(IBAN), policy, can=away("small"))) == ("large", Because.UNAVAILABLE)
    assert found(said(chat(), policy, can=away("small", "large", "cloud"))) == ("small", Because.DEFAULT)
    assert found(said(chat(), policy)) == ("small", Because.DEFAULT)
    plain = ready(boundary=CLEAN, escalation=replace(INSTEAD, on_unavailable=False))
    assert found(said(chat(), plain, can=away("small"))) == ("small", Because.DEFAULT)


def test_a_rules_target_is_stood_in_for_too_and_keeps_its_rule() -> None:
    policy = ready(escalation=INSTEAD, rules=rule("small"), default="large")
    found = said(chat(), policy, can=away("small"))
    assert (name(found), found.because, found.rule) == ("large", Because.UNAVAILABLE, "r")
    assert name(kept(policy, "Busy", away("large"))) == "large", "nobody else of the order is inside"


# -- the policy --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"targets": ()}, "targets"),
        ({"targets": (SMALL, SMALL)}, "same name"),
        ({"targets": (replace(SMALL, model="bot"),)}, "names no model"),
        ({"default": "other"}, "default: 'other'"),
        ({"rules": rule("other")}, "rules\\[r\\].target"),
        ({"rules": (*rule("small"), *rule("small"))}, "rules: two"),
        ({"escalation": replace(HARD, order=("other",))}, "escalation.order"),
        ({"escalation": replace(HARD, threshold=1.5)}, "threshold"),
        ({"boundary": Boundary(patterns=(("bad", "("),))}, "boundary: pattern 'bad'"),
        ({"boundary": Boundary(detectors=("Nothing",))}, "unknown detector"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_refused(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(BadPolicy, match=field):
        compiled(replace(POLICY, **changed), {})


def test_a_policy_has_a_hash_of_its_own() -> None:
    assert POLICY.hash() == replace(POLICY).hash()
    others = [replace(POLICY, default="large"), replace(POLICY, boundary=CLEAN), replace(POLICY, classifier="x")]
    assert len({POLICY.hash(), *(other.hash() for other in others)}) == 4


@pytest.mark.parametrize(
    ("body", "prompt"),
    [
        (chat([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), "a\nb"),
        (b'{"prompt":["a","b"]}', "a\nb"),
        (b'{"input":"a"}', "a"),
        (b'{"input":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}', "a"),
        (b'{"messages":[{"role":"system","content":"a"},{"role":"user","content":"b"},7]}', "b"),
        (b'{"messages":7,"prompt":null,"input":{}}', ""),
        (b'{"messages":[{"role":"user","content":{"text":1}}]}', ""),
        (b"[1]", ""),
    ],
)
def test_the_prompt_is_what_users_said(body: bytes, prompt: str) -> None:
    assert asked(Request("/", body), MOST_BYTES).prompt == prompt


def test_who_names_a_target_gets_it_or_none() -> None:
    policy = ready(boundary=CLEAN, default="small")
    clean = said(chat("hello"), policy, named="cloud")
    assert (clean.target and clean.target.name, clean.because) == ("cloud", Because.NAMED)
    kept = said(chat(IBAN), policy, named="cloud")
    assert (kept.target, kept.because) == (None, Because.KEPT_INSIDE)
    unlabelled = said(chat("hello"), policy, labels=(), named="cloud")
    assert (unlabelled.target, unlabelled.because) == (None, Because.KEPT_INSIDE)
    inside = said(chat(IBAN), policy, named="small")
    assert (inside.target and inside.target.name, inside.because) == ("small", Because.NAMED)
    nowhere = said(chat("hello"), policy, named="nowhere")
    assert (nowhere.target, nowhere.because) == (None, Because.NOT_CAPABLE)


def test_a_query_keeps_it_inside() -> None:
    decision = said(chat("hello"), ready(boundary=CLEAN), path="/v1/chat/completions?q=x")
    assert [reason.reason for reason in decision.reasons] == ["Query"]


def test_where_no_decision_could_be_made_who_names_the_outside_gets_none() -> None:
    policy = ready(boundary=CLEAN, default="small")
    can = {"small": Can(), "cloud": Can()}
    assert kept(policy, "Busy", can, Request("/", b"", named="cloud")).target is None
    found = kept(policy, "Busy", can, Request("/", b"", named="small")).target
    assert found is not None
    assert found.name == "small"


def test_while_no_target_outside_answers_one_inside_does_and_says_why() -> None:
    rules = (Rule("all", Match(), "cloud"), Rule("tools", Match(requires=(Need.TOOLS,)), "large"))
    policy = ready(boundary=CLEAN, rules=rules)

    def away(body: bytes, can: dict[str, Can] = CAN, **request: Any) -> Decision:
        asks = Request("/v1/chat/completions", body, **request)
        return degraded(policy, asks, decide(policy, asks, ("public",), can, lambda: 0.0), can, "gone")

    found = away(chat("hello"))
    assert (name(found), found.because, found.degraded, found.inside) == ("small", Because.DEFAULT, "gone", False)
    assert name(away(chat("hello", tools=[{"type": "function"}]))) == "large"
    alone = away(chat("hello"), {"cloud": Can()})
    assert (name(alone), alone.degraded) == ("cloud", "")
