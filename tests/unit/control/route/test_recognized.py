"""Whether a route's recognizers run, and what is said where they do not."""

from typing import Any

import pytest
from tests.unit.control.route.test_outside import NAME, NO_SECRETS, OPEN, SERVING, route

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.boundary.offers import Way
from smallmodel_operator.control.route.outside import decide
from smallmodel_operator.control.route.recognized import Recognizers, model_problem, service_problem, wanted
from smallmodel_operator.core.facts import Boundary
from smallmodel_operator.core.routes import Served, referred
from smallmodel_operator.routing.detect.recognizer import Recognizer

NER = Recognizer("ner", ("Names",), service="presidio")
NURSE = Recognizer("nurse", ("Phi",), model="nurse")
BY_SERVICE = {"name": "ner", "detectors": ["Names"], "service": {"name": "presidio"}}
BY_MODEL = {"name": "nurse", "detectors": ["Phi"], "smallModelRef": {"name": "nurse"}}


def service(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"smallmodel.dev/role": "recognizer"}},
        "spec": {"selector": {"app": "presidio"}, "ports": [{"port": 80, "targetPort": 3000}], **spec},
    }


def pod(ready: str = "True", **labels: str) -> dict[str, Any]:
    marked = {"app": "presidio", "smallmodel.dev/role": "recognizer", **labels}
    return {"metadata": {"labels": marked}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def test_a_service_with_a_pod_that_is_reached_is_well() -> None:
    assert service_problem(NER, service(), [pod("False"), pod()], reached=True) == ""
    named = [{"port": 3000, "targetPort": "http"}]
    assert service_problem(NER, service(ports=named), [pod()], reached=True) == ""


@pytest.mark.parametrize(
    ("found", "pods", "reached", "words"),
    [
        (service(), [pod()], False, "`boundary.recognizers.enabled` in the chart"),
        (None, [], True, "does not exist in this namespace"),
        ({**service(), "metadata": {}}, [pod()], True, "has not the label `smallmodel.dev/role: recognizer`"),
        (service(selector=None), [], True, "selects no pods by labels"),
        (service(), [], True, "no pod that is Ready"),
        (service(), [pod("False")], True, "no pod that is Ready"),
        (
            service(),
            [{**pod(), "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}],
            True,
            "no pod that is Ready",
        ),
        (service(), [pod(**{"smallmodel.dev/role": "server"})], True, "`smallmodel.dev/role: recognizer`"),
        (service(ports=[{"port": 3000, "targetPort": 8080}]), [pod()], True, "port 3000"),
        (service(ports=[{"port": 80}]), [pod()], True, "port 3000"),
    ],
)
def test_what_is_the_matter_with_a_service_is_told(
    found: dict[str, Any] | None, pods: list[dict[str, Any]], reached: bool, words: str
) -> None:
    assert words in service_problem(NER, found, pods, reached=reached)


def test_what_is_the_matter_with_a_model_is_told() -> None:
    assert model_problem(NURSE, Served("", ready=True, reason="Serving")) == ""
    assert "does not exist" in model_problem(NURSE, None)
    assert "`scaling.minReplicas` to 1" in model_problem(NURSE, Served("", ready=True, reason="Asleep"))
    assert "not Ready (Downloading)" in model_problem(NURSE, Served("", reason="Downloading"))


class Cluster:
    """What is asked of the API server."""

    def __init__(self, found: dict[str, Any] | None, *pods: dict[str, Any]) -> None:
        self.found, self.pods, self.asked = found, list(pods), list[Any]()

    async def get(self, *what: str) -> dict[str, Any] | None:
        self.asked.append(what)
        return self.found

    async def list(self, *what: str, **query: str) -> list[dict[str, Any]]:
        self.asked.append((*what, query))
        return self.pods


async def test_it_is_looked_at_in_the_routes_namespace_only() -> None:
    cluster = Cluster(service(), pod())
    looked = await Recognizers(cluster, lambda: True).look(  # type: ignore[arg-type]
        route(detectors=["Names", "Phi"], recognizers=[BY_SERVICE, BY_MODEL]), {("support", "nurse"): None}
    )
    assert cluster.asked == [
        ("Service", "presidio", "support"),
        ("Pod", "support", {"labelSelector": "app=presidio"}),
    ]
    assert looked == (
        "Recognizer 'nurse': SmallModel 'nurse' does not exist in this namespace: "
        "create it, or correct `smallModelRef`",
    )


async def test_nobody_looks_where_nothing_may_leave() -> None:
    closed = route(external="Denied", detectors=["Names"], recognizers=[BY_SERVICE])
    assert wanted(closed) == ()
    assert await Recognizers(Cluster(None), lambda: True).look(closed, {}) == ()  # type: ignore[arg-type]


def test_the_route_says_that_one_is_missing_and_keeps_its_offer() -> None:
    given = route(detectors=["Names"], recognizers=[BY_SERVICE])
    found = decide(given, NO_SECRETS, Boundary(), SERVING, ("Recognizer 'ner': it is gone",))
    assert found.report
    assert (found.report.status, found.report.reason) == (False, Reason.RECOGNIZER_MISSING)
    assert "Recognizer 'ner': it is gone. Until it answers everything stays inside" in found.report.message
    assert [(t["ready"], t["reason"]) for t in found.targets] == [(False, "RecognizerMissing")]
    assert [offer.host.name for offer in found.offers] == [NAME]


def test_the_route_says_that_it_is_asked() -> None:
    found = decide(route(detectors=["Names"], recognizers=[BY_SERVICE]), NO_SECRETS, Boundary(), SERVING)
    assert found.report
    assert (found.report.status, found.report.reason) == (True, Reason.ENFORCED)
    assert "ner" in found.report.message


def test_a_detector_without_one_is_missing_beside_another_that_has_one() -> None:
    found = decide(route(detectors=["Names", "Phi"], recognizers=[BY_SERVICE]), NO_SECRETS, Boundary(), Way(True))
    assert found.report
    assert found.report.reason is Reason.RECOGNIZER_MISSING
    assert "has Phi" in found.report.message
    assert found.offers == ()


def test_a_route_hears_of_its_recognizers_model() -> None:
    spec = {"targets": [], "boundary": {**OPEN, "recognizers": [BY_SERVICE, BY_MODEL]}}
    assert list(referred({"metadata": {"namespace": "support"}, "spec": spec})) == [("support", "nurse")]
