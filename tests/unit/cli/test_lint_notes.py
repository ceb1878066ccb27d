"""`slm lint`: what is in order and nevertheless never does what was meant."""

from typing import Any

import pytest
from tests.fakes import objects
from tests.unit.cli.conftest import Write

from smallmodel_operator.cli.lint import lint

OUT = {"name": "large", "external": {"url": "https://api.example.com/v1", "model": "large-1"}}
TRUSTED = [{"name": "desk", "namespace": "support", "labels": ["public"]}]
NAMES = {"name": "people", "smallModelRef": {"name": "namer"}, "detectors": ["Names"]}


def of(kind: str, name: str, spec: dict[str, Any], namespace: str = "support") -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace} if namespace else {"name": name}
    return {"apiVersion": "smallmodel.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def model(name: str = "bot", namespace: str = "support", **spec: Any) -> dict[str, Any]:
    return of("SmallModel", name, objects.model(**spec)["spec"], namespace)


def route(*more: dict[str, Any], to: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    small = {"name": "small", "smallModelRef": to or {"name": "bot"}}
    return of("ModelRoute", "desk", {"targets": [small, *more], "default": "small"} | spec)


def outside(**boundary: Any) -> dict[str, Any]:
    return route(OUT, boundary={"external": "WhenClean", "trusted": TRUSTED} | boundary)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([model(), route()], ""),
        ([route()], ""),
        ([model("other", "hr"), route()], ""),
        ([model(namespace=""), route()], ""),
        ([model("bott"), route()], "Target 'small': SmallModel 'bot' is not in these files, and others of its "
         "namespace are: until it is in the cluster, nobody answers there. Is 'bott' meant?"),
        ([model("bot", "hr"), route(to={"name": "bot", "namespace": "hr"})], "its owner has to add 'support' to its "
         "`spec.access.namespaces`."),
        ([model("bot", "hr", access={"namespaces": ["support"]}), route(to={"name": "bot", "namespace": "hr"})], ""),
        ([model(), model("desk"), route()], "SmallModel 'desk' of this namespace has this name"),
        ([model(), route(OUT)], "Nothing leaves: `spec.boundary.external` is Denied"),
        ([model(), outside(trusted=[])], "`spec.boundary.trusted` is empty, so no request has a label"),
        ([model(), outside()], ""),
        ([model(), model("namer"), outside(detectors=["Names"], recognizers=[NAMES])], ""),
        ([model(), model("namer", scaling={"minReplicas": 0}), outside(detectors=["Names"], recognizers=[NAMES])],
         "Recognizer 'people': SmallModel 'namer' may sleep (`scaling.minReplicas` is 0) and is not woken for this"),
        ([model(), route(rules=[{"name": "hr", "match": {"adapter": "hr"}, "target": "small"}])],
         "no model behind small has an adapter 'hr'"),
    ],
)  # fmt: skip
def test_a_note_and_it_passes(
    write: Write, capsys: pytest.CaptureFixture[str], given: list[dict[str, Any]], said: str
) -> None:
    assert lint([write(*given)]) == 0
    *lines, counts = capsys.readouterr().out.splitlines()
    if said:
        assert (len(lines), said in lines[0]) == (1, True), lines
        assert lines[0].startswith("/")
        assert " ModelRoute/desk: note: " in lines[0]
        assert counts == f"{len(given)} object(s) checked, 0 problem(s), 1 note(s)"
    else:
        assert (lines, counts) == ([], f"{len(given)} object(s) checked, 0 problem(s)")


def test_problems_come_first(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """A model with a mistake may be read as none."""
    assert lint([write(model(access={"namespaces": "support"}), route(OUT))]) == 1
    out = capsys.readouterr().out
    assert "note" not in out
    assert "2 object(s) checked, 1 problem(s)" in out
