"""Rules by a request's deadline: the first target that is known to be as fast, and what becomes of the others."""

from dataclasses import replace

import pytest
from tests.unit.routing.test_verdict import CAN, CLEAN, HARD, chat, name, ready, rule, said

from smallmodel_operator.routing import deadline
from smallmodel_operator.routing.policy import BadPolicy, Match, Need, Rule, Within
from smallmodel_operator.routing.verdict import Because, Can, Decision

ORDER = ("large", "small")


def fast(large: float | None, small: float | None) -> dict[str, Can]:
    return {"small": replace(CAN["small"], p95=small), "large": replace(CAN["large"], p95=large)}


def within(refuse: bool = True, **match: object) -> tuple[Rule, ...]:
    return (Rule("in-time", Match(**match), within=Within(ORDER, refuse)),)  # type: ignore[arg-type]


def asked(milliseconds: str, large: float | None, small: float | None, refuse: bool = True) -> Decision:
    return said(chat(), ready(rules=within(refuse)), can=fast(large, small), deadline=milliseconds)


@pytest.mark.parametrize(
    ("large", "small", "goes"),
    [(0.8, 0.2, "large"), (0.8001, 0.2, "small"), (None, 0.8, "small"), (0.1, None, "large"), (0.8, 0.9, "large")],
)
def test_the_first_of_the_order_that_is_known_to_be_as_fast(
    large: float | None, small: float | None, goes: str
) -> None:
    found = asked("800", large, small)
    assert (name(found), found.because, found.rule) == (goes, Because.RULE, "in-time")
    assert (found.deadline, found.measured) == (0.8, (("large", large), ("small", small)))


@pytest.mark.parametrize(("large", "small"), [(None, None), (0.9, None), (5.0, 0.8001)])
def test_unknown_is_not_fast_and_the_rule_says_what_becomes_of_it(large: float | None, small: float | None) -> None:
    found = asked("800", large, small)
    assert (found.target, found.because, found.rule, found.degraded) == (None, Because.TOO_SLOW, "in-time", "")
    found = asked("800", large, small, refuse=False)
    assert (name(found), found.because, found.rule, found.degraded) == ("small", Because.DEFAULT, "in-time", "deadline")


def test_who_says_no_deadline_is_passed_on() -> None:
    rules = (*within(), *rule("large", requires=(Need.TOOLS,)))
    assert name(said(chat(), ready(rules=rules), can=fast(0.1, 0.1))) == "small"
    assert said(chat(tools=[{}]), ready(rules=rules), can=fast(0.1, 0.1)).rule == "r"


@pytest.mark.parametrize("said_so", ["0", "-1", "1.5", "2 s", "1,2", "٣", "86400001", "1e3", " "])
def test_what_is_no_time_is_refused_where_a_rule_asks(said_so: str) -> None:
    assert deadline.seconds(said_so) is None
    assert asked(said_so, 0.1, 0.1).because is Because.BAD_DEADLINE
    assert name(said(chat(), deadline=said_so)) == "small", "no rule asks"


def test_a_time_is_whole_milliseconds() -> None:
    assert (deadline.seconds("1"), deadline.seconds(" 86400000 "), deadline.seconds("")) == (0.001, 86400.0, None)


def test_all_of_a_match_must_hold_and_who_cannot_is_passed_over() -> None:
    policy = ready(rules=within(requires=(Need.TOOLS,)))
    assert name(said(chat(), policy, can=fast(0.1, 0.1), deadline="800")) == "small"
    found = said(chat(tools=[{}]), policy, can=fast(0.9, 0.1), deadline="800")
    assert (found.because, found.measured) == (Because.TOO_SLOW, (("large", 0.9),)), "small knows no tools"


def test_one_that_does_not_answer_is_not_fast() -> None:
    can = fast(0.1, 0.1)
    can["large"] = replace(can["large"], answers=False)
    assert name(said(chat(), ready(rules=within()), can=can, deadline="800")) == "small"


def test_what_missed_its_deadline_is_not_escalated() -> None:
    policy = ready(boundary=CLEAN, escalation=replace(HARD, threshold=0.0), rules=within(refuse=False))
    assert name(said(chat(), policy, can=fast(9.0, 9.0), deadline="800")) == "small"


def test_an_order_names_targets() -> None:
    with pytest.raises(BadPolicy, match=r"rules\[r\].withinDeadline.order: 'huge' is none"):
        ready(rules=(Rule("r", Match(), within=Within(("huge",))),))
