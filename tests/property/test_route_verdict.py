"""Decisions on anything: never an exception, never another route's target, nothing sensitive to a target outside."""

import json
import random
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hack.bench.routing.planted import ENCODINGS, Planted, requests
from hack.bench.routing.values import VALID
from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.routing.asked import Request
from smallmodel_operator.routing.policy import (
    Boundary,
    Escalate,
    External,
    Match,
    Need,
    Ready,
    RoutePolicy,
    Rule,
    Target,
    Within,
    compiled,
)
from smallmodel_operator.routing.verdict import Because, Can, decide

NAMES = ("a", "b", "c", "d")
BOUNDARIES = (Boundary(), Boundary(External.WHEN_CLEAN), Boundary(External.WHEN_CLEAN, labels=("secret",)))
needs = st.frozensets(st.sampled_from(Need))
matches = st.builds(
    Match,
    task_class=st.sampled_from(["", "legal"]),
    requires=needs.map(tuple),
    context_tokens_over=st.none() | st.integers(0, 100),
    adapter=st.sampled_from(["", "x"]),
)
capabilities = st.dictionaries(
    st.sampled_from([*NAMES, "stranger"]),
    st.builds(
        Can,
        needs,
        st.frozensets(st.just("x")),
        st.none() | st.integers(0, 1000),
        st.booleans(),
        st.none() | st.floats(0.001, 10.0),
    ),
)
labels = st.frozensets(st.sampled_from(["public", "secret"]))


@st.composite
def policies(draw: st.DrawFn) -> RoutePolicy:
    listed = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    names = st.sampled_from(listed)
    targets = tuple(Target(name, f"support/{name}", draw(st.booleans())) for name in listed)
    chosen = names | st.builds(Within, st.lists(names, min_size=1, unique=True).map(tuple), st.booleans())
    drawn = draw(st.lists(st.tuples(matches, chosen), max_size=3))
    rules = tuple(
        Rule(f"r{n}", match, within=to) if isinstance(to, Within) else Rule(f"r{n}", match, to)
        for n, (match, to) in enumerate(drawn)
    )
    order = tuple(draw(st.lists(names, max_size=2)))
    return RoutePolicy(
        "support", "route", targets, draw(names), rules, Escalate(order, 0.0, ""), draw(st.sampled_from(BOUNDARIES))
    )


@cache
def ready(policy: RoutePolicy) -> Ready:
    return compiled(policy, {})


bodies = st.one_of(
    st.binary(max_size=400),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["messages", "role", "content", "text", "type", "tools", "model", "prompt", "input", "x"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=20,
    ).map(lambda value: json.dumps(value).encode()),
)


@given(policies(), bodies, labels, capabilities, st.text(max_size=20), st.text(max_size=20))
def test_every_request_has_a_decision_within_its_route(
    policy: RoutePolicy, body: bytes, given_labels: frozenset[str], can: dict[str, Can], path: str, kind: str
) -> None:
    request = Request(path, body, content_type=kind)
    decision = decide(ready(policy), request, given_labels, can, lambda: 0.0)
    assert decision == decide(ready(policy), request, given_labels, can, lambda: 0.0)
    if decision.target is not None:
        assert decision.target in policy.targets
        assert decision.target.name in can
        assert decision.target.inside or not decision.reasons
    if not given_labels or policy.boundary.external is External.DENIED or kind != "application/json":
        assert decision.target is None or decision.target.inside


@given(policies(), bodies, capabilities, st.sampled_from(["", "x", "y"]), st.sampled_from(["", "500", "9000", "soon"]))
def test_an_adapter_and_a_deadline_are_kept_or_the_answer_says_so(
    policy: RoutePolicy, body: bytes, can: dict[str, Can], adapter: str, deadline: str
) -> None:
    request = Request("/v1/chat/completions", body, adapter=adapter, deadline=deadline)
    decision = decide(ready(policy), request, (), can, lambda: 0.0)
    rule = next((rule for rule in policy.rules if rule.name == decision.rule), None)
    if adapter and decision.target is not None:
        assert rule is not None
        assert rule.match.adapter == adapter
        assert adapter in can[decision.target.name].adapters
    if decision.deadline is not None:
        assert rule is not None
        assert rule.within is not None
        assert deadline in ("500", "9000")
        if decision.because is Because.RULE and decision.target is not None:
            p95 = can[decision.target.name].p95
            assert p95 is not None
            assert p95 <= decision.deadline
        else:
            assert decision.because is Because.TOO_SLOW or decision.degraded == "deadline"


ANYWHERE = {name: Can(frozenset(Need)) for name in NAMES}
OUT = RoutePolicy(
    "support",
    "route",
    (Target("a", "support/a"), Target("b", "out", False)),
    "b",
    (Rule("r", Match(), "b"),),
    Escalate(("b",), 0.0, ""),
    Boundary(External.WHEN_CLEAN),
)


@cache
def planted() -> list[Planted]:
    return [one for one in requests(2000, 8) if one.kind]


@pytest.mark.parametrize("inside_there", [True, False])
def test_nothing_sensitive_goes_outside(inside_there: bool) -> None:
    """Every rule, the default and the escalation lead outside; still none of them does."""
    targets = OUT.targets if inside_there else OUT.targets[1:]
    policy = ready(replace(OUT, targets=targets))
    for one in planted():
        decision = decide(policy, Request("/v1/chat/completions", one.body), ["public"], ANYWHERE, lambda: 0.0)
        assert (decision.target.name if decision.target else "") == ("a" if inside_there else ""), one
    clean = [one for one in requests(400, 9) if not one.kind]
    out = [decide(policy, Request("/v1/chat/completions", o.body), ["public"], ANYWHERE, lambda: 0.0) for o in clean]
    assert sum(d.target is not None and not d.target.inside for d in out) >= 0.99 * len(clean)


@given(
    text=st.text(max_size=100),
    kind=st.sampled_from(sorted(VALID)),
    encoding=st.sampled_from(["as it is", "base64", "URL"]),
    seed=st.integers(0, 1000),
    more=st.sampled_from([{}, {"stream": True}, {"tools": []}, {"temperature": 0.5}]),
)
def test_to_add_something_sensitive_never_lets_it_out(
    text: str, kind: str, encoding: str, seed: int, more: dict[str, Any]
) -> None:
    value = ENCODINGS[encoding](f"It is {VALID[kind](random.Random(seed))} indeed")
    messages = [{"role": "user", "content": text}, {"role": "user", "content": value}]
    body = json.dumps({"model": "route", "messages": messages, **more}).encode()
    decision = decide(ready(OUT), Request("/", body), ["public"], ANYWHERE, lambda: 0.0)
    assert decision.target == OUT.targets[0]


@given(policies(), bodies, labels, capabilities)
def test_a_stricter_policy_lets_out_no_more(
    policy: RoutePolicy, body: bytes, given_labels: frozenset[str], can: dict[str, Can]
) -> None:
    def leaves(own: RoutePolicy, said: frozenset[str]) -> bool:
        target = decide(ready(own), Request("/", body), said, can, lambda: 0.0).target
        return target is not None and not target.inside

    stricter = [
        (replace(policy, boundary=Boundary()), given_labels),
        (replace(policy, boundary=replace(policy.boundary, labels=("public", "secret"))), given_labels),
        (replace(policy, boundary=replace(policy.boundary, detectors=("Phi",))), given_labels),
        (policy, frozenset()),
    ]
    if not leaves(policy, given_labels):
        assert not any(leaves(own, said) for own, said in stricter)
    assert not any(leaves(own, said) for own, said in stricter)
