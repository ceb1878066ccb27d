"""What routes have to know of models, and who has a name."""

import pytest

from smallmodel_operator.core.routes import Served, referred, route_has_name, served

EARLY, LATE = "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"


@pytest.mark.parametrize(
    ("route", "model", "has"), [(EARLY, LATE, True), (LATE, EARLY, False), (EARLY, EARLY, False), ("", EARLY, False)]
)
def test_the_older_has_the_name(route: str, model: str, has: bool) -> None:
    assert route_has_name(route, model) is has


def test_a_model_as_routes_see_it() -> None:
    ready = {"type": "Ready", "status": "False", "reason": "Starting", "message": "Pods are starting."}
    body = {
        "metadata": {"creationTimestamp": EARLY},
        "spec": {"access": {"namespaces": ["crm"]}},
        "status": {"conditions": [{"type": "Stalled", "status": "True"}, ready]},
    }
    assert served(body) == Served(EARLY, frozenset({"crm"}), False, "Starting", "Pods are starting.")
    assert served({"metadata": {}, "spec": None}) == Served("")


def test_consent() -> None:
    model = Served(EARLY, frozenset({"crm"}))
    assert model.consents("support", "support")
    assert model.consents("support", "crm")
    assert not model.consents("support", "hr")


def test_whom_a_route_names() -> None:
    targets = [{"smallModelRef": {"name": "a"}}, {"smallModelRef": {"name": "b", "namespace": "n"}}, {}]
    body = {"metadata": {"namespace": "support"}, "spec": {"targets": targets}}
    assert list(referred(body)) == [("support", "a"), ("n", "b")]
