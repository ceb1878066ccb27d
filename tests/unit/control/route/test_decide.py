"""What a route makes and how it stands, from values alone."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.fakes.gateways import ROUTED
from tests.unit.routing.test_given import hard, text

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.control.route.classified import LOOK_SECONDS, WAIT_SECONDS, Classified, wanted
from smallmodel_operator.control.route.classified import judge as judged
from smallmodel_operator.control.route.decide import NOTHING, Models, decide, judge
from smallmodel_operator.control.route.outside import Found
from smallmodel_operator.control.route.resolve import resolve
from smallmodel_operator.control.verdict import GATEWAY_LOOK_SECONDS, RESYNC_SECONDS
from smallmodel_operator.core.facts import Boundary, Snapshot
from smallmodel_operator.core.keys import Masters
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.plan import Plan
from smallmodel_operator.core.routes import Served
from smallmodel_operator.core.traffic import GatewayReport, Traffic
from smallmodel_operator.resolve import Site
from smallmodel_operator.routing.choice import given

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
EARLY, LATE = "2026-11-20T10:00:00Z", "2026-11-20T11:00:00Z"
READY = Served(EARLY, ready=True, reason="Serving")
UNTAKEN = Traffic((GatewayReport("gateway-0", 0.5, routes=False),))


def body(*targets: dict[str, Any], **spec: Any) -> dict[str, Any]:
    meta = {"name": "desk", "namespace": "support", "uid": "r", "generation": 3, "creationTimestamp": LATE}
    return {
        "apiVersion": "smallmodel.dev/v1alpha1",
        "kind": "ModelRoute",
        "metadata": meta,
        "spec": {"targets": list(targets or TWO), **({} if targets else {"default": "small"}), **spec},
    }


TWO = (
    {"name": "small", "smallModelRef": {"name": "bot"}},
    {"name": "large", "smallModelRef": {"name": "llm", "namespace": "shared"}},
)
BOTH: Models = {
    ("support", "bot"): READY,
    ("shared", "llm"): Served(EARLY, frozenset({"support"}), ready=True, reason="Asleep"),
}


class Stands:
    """One pass over values."""

    def __init__(
        self,
        models: Models = BOTH,
        obj: dict[str, Any] | None = None,
        *found: given.Given | str,
        outside: Found = NOTHING,
        outage: str = "",
        **seen: Any,
    ) -> None:
        obj = obj or body()
        route = resolve(obj, Site())
        snapshot = Snapshot(now=NOW, masters=Masters(b"c" * 32, b"e" * 32), **{"traffic": ROUTED, **seen})
        read = Classified(tuple(map(judged, wanted(route), found))) if found else None
        self.decision = decide(route, snapshot, models, read, outside)
        self.verdict = judge(
            obj, route, snapshot, models, self.decision.plan, self.decision.hold, outage, outside=outside
        )
        self.status = self.verdict.status
        self.conditions = {c["type"]: (c["status"], c["reason"]) for c in self.status["conditions"]}
        self.messages = {c["type"]: c["message"] for c in self.status["conditions"]}


def test_a_route_has_an_address_a_key_and_nothing_else() -> None:
    plan = Stands().decision.plan
    (service,) = plan.objects
    assert service["spec"] == {
        "type": "ExternalName",
        "externalName": "smallmodel-gateway.smallmodel-system.svc.cluster.local",
    }
    assert service["metadata"]["labels"]["smallmodel.dev/route"] == "desk"
    assert "smallmodel.dev/model" not in service["metadata"]["labels"]
    (secret,) = plan.secrets
    assert secret["metadata"]["name"] == "desk-client"
    assert {"OPENAI_BASE_URL", "OPENAI_API_KEY", "MODEL"} <= secret["data"].keys()
    assert [who.name for who in plan.keys.values()] == ["key:support/desk"]


def test_all_is_well() -> None:
    stands = Stands()
    assert stands.conditions == {
        "Ready": ("True", "Serving"),
        "Reconciling": ("False", "Settled"),
        "Stalled": ("False", "Settled"),
        "Routable": ("True", "Routed"),
    }
    assert stands.status["observedGeneration"] == 3
    assert stands.status["endpoint"] == {"url": "http://desk.support.svc.cluster.local/v1", "model": "desk"}
    assert stands.status["targets"] == [
        {"name": "small", "model": "support/bot", "ready": True, "reason": "Serving"},
        {"name": "large", "model": "shared/llm", "ready": True, "reason": "Asleep"},
    ]
    assert stands.verdict.look_again_seconds == RESYNC_SECONDS


def test_a_missing_target_stalls_and_the_others_answer() -> None:
    stands = Stands({("support", "bot"): READY})
    assert stands.conditions["Stalled"] == ("True", "TargetNotFound")
    assert stands.conditions["Ready"] == ("True", "Serving")
    assert "1 of 2 target(s) answer" in stands.messages["Ready"]
    assert "'llm' of namespace 'shared' does not exist," in stands.messages["Stalled"]
    assert stands.status["pending"] == "TargetNotFound"


def test_a_missing_target_with_a_share_is_not_ready() -> None:
    stands = Stands({("shared", "llm"): BOTH["shared", "llm"]})
    assert stands.conditions["Ready"] == ("False", "TargetNotFound")
    assert stands.conditions["Reconciling"] == ("False", "Settled")


def test_another_namespace_has_to_consent() -> None:
    stands = Stands({**BOTH, ("shared", "llm"): Served(EARLY, frozenset({"crm"}), ready=True)})
    assert stands.conditions["Stalled"] == ("True", "TargetForbidden")
    assert "add 'support' to its `spec.access.namespaces`" in stands.messages["Stalled"]


def by_adapter(**to: Any) -> dict[str, Any]:
    return body(rules=[{"name": "hr", "match": {"adapter": "hr"}, **to}])


LARGE_HR: Models = {**BOTH, ("shared", "llm"): Served(EARLY, frozenset({"support"}), True, "", "", frozenset({"hr"}))}


@pytest.mark.parametrize(
    ("obj", "models", "stalled"),
    [
        (by_adapter(target="small"), BOTH, True),
        (by_adapter(target="small"), LARGE_HR, True),
        (by_adapter(target="large"), LARGE_HR, False),
        (by_adapter(withinDeadline={"order": ["small", "large"]}), LARGE_HR, False),
        (by_adapter(withinDeadline={"order": ["small", "large"]}), BOTH, True),
    ],
)
def test_a_rule_for_an_adapter_that_nobody_has_is_said(obj: dict[str, Any], models: Models, stalled: bool) -> None:
    stands = Stands(models, obj)
    assert (stands.conditions["Stalled"] == ("True", "AdapterNotDeclared")) is stalled
    assert ("Rule 'hr': no model behind" in stands.messages["Stalled"]) is stalled
    assert stands.conditions["Ready"] == ("True", "Serving"), "all others are answered"


@pytest.mark.parametrize(
    ("reason", "reconciling"),
    [("Starting", ("True", "TargetNotReady")), ("Suspended", ("False", "Settled")), ("", ("True", "TargetNotReady"))],
)
def test_a_target_that_does_not_answer(reason: str, reconciling: tuple[str, str]) -> None:
    stands = Stands({**BOTH, ("support", "bot"): Served(EARLY, reason=reason, message="Why.")})
    assert stands.conditions["Ready"] == ("False", "TargetNotReady")
    assert stands.conditions["Reconciling"] == reconciling
    assert stands.conditions["Stalled"] == ("False", "Settled")


def test_one_that_gets_no_share_is_only_mentioned() -> None:
    stands = Stands({**BOTH, ("shared", "llm"): Served(EARLY, frozenset({"support"}), reason="Suspended")})
    assert stands.conditions["Ready"] == ("True", "Serving")
    assert "'large' (shared/llm) does not answer" in stands.messages["Ready"]


def test_a_gateway_has_to_take_it() -> None:
    stands = Stands(traffic=UNTAKEN)
    assert stands.conditions["Ready"] == ("False", "GatewaySyncing")
    assert stands.conditions["Reconciling"] == ("True", "GatewaySyncing")
    assert stands.messages["Routable"] == "The gateways have not taken the route in yet."
    assert stands.verdict.look_again_seconds == GATEWAY_LOOK_SECONDS


def test_a_stop_holds_for_routes() -> None:
    stands = Stands(boundary=Boundary(stopped="an administrator stopped it"))
    assert stands.conditions["Ready"] == ("False", "InferenceStopped")
    assert stands.conditions["Reconciling"] == ("False", "Settled")


@pytest.mark.parametrize(("created", "taken"), [(EARLY, True), (LATE, True), ("2026-11-20T12:00:00Z", False)])
def test_the_older_has_the_name_and_the_model_where_both_are_as_old(created: str, taken: bool) -> None:
    stands = Stands({**BOTH, ("support", "desk"): Served(created)})
    assert (stands.conditions["Stalled"] == ("True", "NameTaken")) == taken
    assert isinstance(stands.decision.hold, Refused) == taken
    if taken:
        plan = stands.decision.plan
        assert (plan.objects, plan.secrets, plan.keys, plan.prune) == ((), (), {}, True)
        assert "both are addressed as `model: desk`" in stands.messages["Stalled"]


def test_shares() -> None:
    weighed = [{**TWO[0], "weight": 90}, {**TWO[1], "weight": 10}]
    assert [t.share for t in resolve(body(*weighed), Site()).targets] == [90, 10]
    assert [t.share for t in resolve(body(weighed[0], TWO[1]), Site()).targets] == [90, 0]
    assert [t.share for t in resolve(body(), Site()).targets] == [1, 0]
    assert [t.share for t in resolve(body(TWO[1]), Site()).targets] == [1]


def test_what_the_api_server_would_refuse_is_refused_here_too() -> None:
    with pytest.raises(Refused) as caught:
        resolve(body(*TWO), Site())
    assert caught.value.reason is Reason.INVALID_SPEC


def test_an_outage_is_said_beside_how_it_stands() -> None:
    obj, snapshot = body(), Snapshot(now=NOW, traffic=ROUTED)
    seen = judge(obj, resolve(obj, Site()), snapshot, BOTH, Plan.of((), prune=False), None, "The API is away.")
    found = {c["type"]: (c["status"], c["message"]) for c in seen.status["conditions"]}
    assert found["Reconciling"] == ("True", "The API is away.")
    assert found["Ready"][0] == "True"


def test_what_is_under_way_is_waited_for() -> None:
    obj, snapshot = body(), Snapshot(now=NOW, traffic=ROUTED)
    hold = NotYet(Reason.PROGRESSING, "An earlier Service is still being removed.", after_seconds=2)
    seen = judge(obj, resolve(obj, Site()), snapshot, BOTH, Plan.of(()), hold)
    assert seen.look_again_seconds == 2
    assert not seen.refused


RULES = [{"name": "legal", "match": {"taskClass": "legal"}, "target": "large"}]
CLASSIFIER = {"configMapRef": {"name": "departments"}}


def ruled(task: str = "legal", **spec: Any) -> dict[str, Any]:
    rules = [{**RULES[0], "match": {"taskClass": task}}]
    return body(**{"rules": rules, "classifier": CLASSIFIER, **spec})


def test_a_classifier_that_was_read() -> None:
    stands = Stands(BOTH, ruled(), given.read(text()))
    assert stands.conditions["ClassifierReady"] == ("True", "ClassifierRead")
    assert stands.conditions["Stalled"] == ("False", "Settled")
    assert stands.status["classifier"] == {"digest": given.read(text()).digest, "classes": 3}
    assert stands.verdict.look_again_seconds == LOOK_SECONDS


def test_a_classifier_that_cannot_be_read_stalls_and_the_default_answers() -> None:
    stands = Stands(BOTH, ruled(), "it is not JSON: give a file that `slm route train` wrote.")
    assert stands.conditions["ClassifierReady"] == ("False", "ClassifierInvalid")
    assert stands.conditions["Stalled"] == ("True", "ClassifierInvalid")
    assert stands.conditions["Ready"] == ("True", "Serving")
    assert "ConfigMap 'departments', entry 'tasks.json', cannot be used: it is not JSON" in stands.messages["Stalled"]
    assert "Until then rules by class match nothing, and target 'small' gets" in stands.messages["Stalled"]
    assert "classifier" not in stands.status
    assert stands.verdict.look_again_seconds == WAIT_SECONDS


def test_a_rule_for_a_class_that_is_not_known() -> None:
    stands = Stands(BOTH, ruled("hr"), given.read(text()))
    assert stands.conditions["Stalled"] == ("True", "TaskClassUnknown")
    assert "class 'hr' is none of its classes: it knows 'legal', 'payroll', 'recruiting'" in stands.messages["Stalled"]
    assert stands.status["classifier"]["classes"] == 3


def test_a_rules_target_counts_for_ready() -> None:
    away = {**BOTH, ("shared", "llm"): Served(EARLY, frozenset({"support"}), reason="Starting")}
    assert Stands(away, ruled(), given.read(text())).conditions["Ready"] == ("False", "TargetNotReady")
    assert Stands(away).conditions["Ready"] == ("True", "Serving")


def test_in_an_outage_what_was_said_of_the_classifier_stands() -> None:
    obj, before = ruled(), Stands(BOTH, ruled(), given.read(text())).status
    snapshot = Snapshot(now=NOW, traffic=ROUTED, previous_status=before)
    seen = judge(obj, resolve(obj, Site()), snapshot, BOTH, Plan.of((), prune=False), None, "The API is away.")
    found = {c["type"]: c["status"] for c in seen.status["conditions"]}
    assert found["ClassifierReady"] == "True"
    assert seen.status["classifier"] == before["classifier"]
    after = Stands(obj=body(), previous_status=before)
    assert "ClassifierReady" not in after.conditions
    assert "classifier" not in after.status


UP = {"order": ["large"], "complexity": {"classifierRef": {"name": "hardness"}}}


def test_what_says_when_to_escalate_was_read_beside_the_classes() -> None:
    both = given.read(text()), given.read(hard(), given.HARD)
    stands = Stands(BOTH, ruled(escalation=UP), *both)
    assert stands.conditions["ClassifierReady"] == ("True", "ClassifierRead")
    assert all(one.digest in stands.messages["ClassifierReady"] for one in both)
    assert stands.status["escalation"] == {"digest": both[1].digest}
    assert stands.status["classifier"] == {"digest": both[0].digest, "classes": 3}


def test_what_says_when_to_escalate_cannot_be_read() -> None:
    stands = Stands(BOTH, body(escalation=UP), "it is not JSON: train it.")
    assert stands.conditions["ClassifierReady"] == ("False", "ClassifierInvalid")
    assert stands.conditions["Stalled"] == ("True", "ClassifierInvalid")
    assert stands.conditions["Ready"] == ("True", "Serving")
    assert "ConfigMap 'hardness', entry 'escalation.json', cannot be used" in stands.messages["Stalled"]
    assert "nothing is escalated for being hard, and target 'small' answers" in stands.messages["Stalled"]
    assert "escalation" not in stands.status


@pytest.mark.parametrize(
    ("reason", "ready"),
    [("Suspended", "Serving"), ("BudgetExhausted", "Serving"), ("Starting", "TargetNotReady"), (None, "Serving")],
)
def test_a_target_that_is_stood_in_for_keeps_no_route_from_being_ready(reason: str | None, ready: str) -> None:
    away = dict(BOTH)
    del away["support", "bot"]
    if reason:
        away["support", "bot"] = Served(EARLY, reason=reason)
    obj = body(escalation={"order": ["large"], "onUnavailable": True})
    assert Stands(away, obj).conditions["Ready"][1] == ready
    assert Stands(away).conditions["Ready"][0] == "False"
    del away["shared", "llm"]
    assert Stands(away, obj).conditions["Ready"][0] == "False"
