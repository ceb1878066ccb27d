"""The operator and the gateways read the same shares out of any ModelRoute that the rules let in."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from smallmodel_operator.api.rules import violations
from smallmodel_operator.control.route.resolve import resolve
from smallmodel_operator.core.outcome import Refused
from smallmodel_operator.gateway.routed import Route
from smallmodel_operator.resolve import Site

NAMES = ("a", "b", "c", "d")
TARGET = st.fixed_dictionaries(
    {"namespace": st.sampled_from([None, "desk", "shared"]), "weight": st.none() | st.integers(0, 1000)}
)


@st.composite
def routes(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    targets = []
    for name in names:
        drawn = draw(TARGET)
        ref = {"name": f"m-{name}", **({"namespace": drawn["namespace"]} if drawn["namespace"] else {})}
        weight = {} if drawn["weight"] is None else {"weight": drawn["weight"]}
        targets.append({"name": name, "smallModelRef": ref, **weight})
    default = draw(st.sampled_from([None, "", *NAMES]))
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ModelRoute",
        "metadata": {"name": "front", "namespace": "desk", "uid": "u"},
        "spec": {"targets": targets, **({} if default is None else {"default": default})},
    }


@given(routes())
def test_both_read_the_same(body: dict[str, Any]) -> None:
    try:
        resolved = resolve(body, Site())
    except Refused:
        assert violations(body)
        return
    assert not violations(body)
    seen = Route.of(body)
    assert [(t.name, t.path, t.share) for t in resolved.targets] == [(e.name, e.target, e.share) for e in seen.leads]
    assert sum(lead.share for lead in seen.leads) > 0, "somebody answers who names no target"
