"""Each CEL rule says the same as its Python twin. The API server, asked in tests/apiserver, has the last word."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings
from hypothesis import given
from hypothesis import strategies as st
from tests.api.cases import BAD, GOOD

from smallmodel_operator.api.rules import RULES, Rule
from smallmodel_operator.api.schema import strict_errors

ENVIRONMENT = cel.NewEnv(variables={"self": cel.Type.DYN}, extensions=[ext_strings.ExtStrings()])
ANSWERABLE = [r for r in RULES if "quantity(" not in r.cel]  # Kubernetes' own function, which no library here has
ALL = (*BAD, *GOOD)
SHAPED = [case for case in ALL if not strict_errors(case.obj)]
NAMES = [f"{r.kind}-{r.at}-{i}" for i, r in enumerate(ANSWERABLE)]


def _values(rule: Rule) -> Iterator[Any]:
    """What the rule sees as `self` in the table's objects of the right shape."""
    for case in ALL if not rule.at else SHAPED:
        if case.obj["kind"] != rule.kind:
            continue
        values: list[Any] = [case.obj]
        for part in filter(None, rule.at.split(".")):
            name, _, many = part.partition("[")
            values = [v[name] for v in values if name in v]
            values = [item for v in values for item in v] if many else values
        yield from values


@cache
def _compiled(expression: str) -> cel.Expression:
    return ENVIRONMENT.compile(expression)


def _cel(expression: str, value: Any) -> Any:
    return _compiled(expression).eval(data={"self": value}).plain_value()


@pytest.mark.parametrize("rule", ANSWERABLE, ids=NAMES)
def test_twin_agrees_on_every_case(rule: Rule) -> None:
    table = {json.dumps(v): (_cel(rule.cel, v), rule.holds(v)) for v in _values(rule)}
    assert {k: v for k, v in table.items() if v[0] is not v[1]} == {}
    assert {False, True} <= {said for said, _ in table.values()}, "the table has a yes and a no for each rule"


@pytest.mark.parametrize("rule", [r for r in RULES if r.expression], ids=lambda r: r.field)
def test_message_agrees(rule: Rule) -> None:
    assert rule.says
    for value in _values(rule):
        assert _cel(rule.expression, value) == rule.says(value)


PIECES = st.lists(
    st.sampled_from(
        [
            "oci://",
            "pvc://",
            "https://",
            "a",
            "B",
            "-",
            "_",
            ".",
            "..",
            "/",
            ":",
            "@",
            "sha256:",
            "0" * 64,
            " ",
            "\n",
            "é",
        ]
    ),
    max_size=7,
).map("".join)
SOURCES = [r for r in ANSWERABLE if r.at == "spec.source"]


@given(uri=PIECES, path=PIECES, sha256=st.sampled_from(["", "0" * 64]))
def test_twins_agree_on_any_source(uri: str, path: str, sha256: str) -> None:
    source = {"uri": uri, "path": path, "sha256": sha256}
    for rule in SOURCES:
        assert _cel(rule.cel, source) is rule.holds(source), (rule.message, source)


@given(flag=st.sampled_from(["-c", "--ctx", "--mcp", "--models", "-ag", "--lora", "--no-mmap"]), rest=PIECES)
def test_twins_agree_on_any_argument(flag: str, rest: str) -> None:
    for rule in (r for r in ANSWERABLE if r.field == "spec.engine.args"):
        engine = {"args": [flag + rest]}
        assert _cel(rule.cel, engine) is rule.holds(engine), (rule.message, engine)
