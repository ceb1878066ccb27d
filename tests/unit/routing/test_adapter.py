"""Requests that name an adapter: they go by rules that give it, to a target that has it, and nowhere else."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.routing.test_verdict import CAN, HARD, LARGE, SMALL, chat, name, ready, rule, said

from smallmodel_operator.routing.asked import Request
from smallmodel_operator.routing.policy import Match, Need, Rule
from smallmodel_operator.routing.verdict import Because, Can, kept

HR = replace(CAN["large"], adapters=frozenset({"legal", "hr"}))
BOTH = {"small": CAN["small"], "large": HR}


def test_its_rule_chooses_and_takes_no_other_request() -> None:
    policy = ready(rules=rule("small", adapter="legal"), default="large")
    assert name(said(chat(), policy, adapter="legal")) == "small"
    assert name(said(chat(), policy)) == "large"
    assert name(said(b"no JSON", policy, adapter="legal")) == "small", "it is known without the body"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"rules": rule("small")},
        {"rules": rule("small", adapter="hr")},
        {"escalation": replace(HARD, threshold=0.0)},
    ],
)
def test_no_other_rule_no_default_and_no_escalation_has_it(more: dict[str, Any]) -> None:
    decision = said(chat(), ready(**more), adapter="legal")
    assert (decision.target, decision.because) == (None, Because.NO_ADAPTER)


def test_the_first_target_of_its_rules_that_has_it() -> None:
    rules = tuple(Rule(t, Match(adapter="hr"), t) for t in ("small", "large"))
    decision = said(chat(), ready(rules=rules), can=BOTH, adapter="hr")
    assert (name(decision), decision.rule) == ("large", "large")
    assert said(chat(), ready(rules=rules), adapter="hr").because is Because.NO_ADAPTER


def test_all_of_a_match_must_hold() -> None:
    policy = ready(rules=rule("large", adapter="legal", requires=(Need.TOOLS,)))
    assert name(said(chat(tools=[{}]), policy, can=BOTH, adapter="legal")) == "large"
    assert said(chat(), policy, can=BOTH, adapter="legal").because is Because.NO_ADAPTER


def test_who_is_unavailable_is_stood_in_for_by_one_that_has_it_too() -> None:
    escalation = replace(HARD, order=("large",), on_unavailable=True)
    policy = ready(rules=rule("small", adapter="legal"), escalation=escalation)
    off = {**BOTH, "small": replace(CAN["small"], answers=False)}
    decision = said(chat(), policy, can=off, adapter="legal")
    assert (name(decision), decision.because) == ("large", Because.UNAVAILABLE)
    assert name(said(chat(), policy, can={**off, "large": CAN["large"]}, adapter="legal")) == "small"


def test_where_nobody_could_look_the_adapter_is_not_given_up() -> None:
    policy = ready(targets=(SMALL, LARGE), rules=rule("large", adapter="hr"))
    assert name(kept(policy, "Busy", BOTH, Request("/", b"", adapter="hr"))) == "large"
    assert name(kept(policy, "Busy", BOTH, Request("/", b"", adapter="legal"))) == "small"
    assert kept(policy, "Busy", {"small": Can()}, Request("/", b"", adapter="hr")).because is Because.NO_ADAPTER
