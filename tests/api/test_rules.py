"""Rules and their Python twins: one table, asked of both; the API server is asked the same in tests/apiserver."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.cases import BAD, GOOD, Case

from smallmodel_operator.api.rules import RULES, violations
from smallmodel_operator.api.schema import strict_errors


@pytest.mark.parametrize("case", BAD, ids=lambda c: c.name)
def test_bad_is_refused_with_a_message(case: Case) -> None:
    said = [*(f"{v.field}: {v.message}" for v in violations(case.obj)), *strict_errors(case.obj)]
    assert any(case.lint in text for text in said), said


@pytest.mark.parametrize("case", GOOD, ids=lambda c: c.name)
def test_good_is_accepted(case: Case) -> None:
    assert violations(case.obj) == []
    assert strict_errors(case.obj) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(spec=JSON, source=JSON, engine=JSON, compute=JSON)
def test_lint_never_raises(spec: Any, source: Any, engine: Any, compute: Any) -> None:
    base = spec if isinstance(spec, dict) else {}
    obj = {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "SmallModel",
        "metadata": {"name": "x"},
        "spec": {**base, "source": source, "engine": engine, "compute": compute},
    }
    violations(obj)
    strict_errors(obj)


def test_every_rule_has_a_bad_case() -> None:
    broken = {(case.obj["kind"], v.message) for case in BAD for v in violations(case.obj)}
    assert {(r.kind, r.message) for r in RULES} <= broken
