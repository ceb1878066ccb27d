"""What a run of the canary means: only what was forbidden, tried, and possible for others proves anything."""

from dataclasses import replace

import pytest

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.boundary import canary
from smallmodel_operator.boundary.canary import Check, Outcome, Report, Target, Way, decide

TARGETS = canary.targets(["10.0.0.7"], 8080, ["10.96.0.10"], ("10.96.0.1", 443), "192.0.2.4")
POD, DNS, DNS_TCP, API, NODE, METADATA = TARGETS
MODEL_POD = Target(canary.MODEL, Way.TALK, "10.0.0.8", 8080, needed=True)


def report(**outcomes: tuple[Outcome, Outcome]) -> Report:
    """All blocked beside answered controls, but for what is said: (tried, control) by name of the target."""
    names = dict(zip(("pod", "dns", "dns_tcp", "api", "node", "metadata"), TARGETS, strict=True))
    usual = (Outcome.SILENT, Outcome.ANSWERED)
    checks = [Check(canary.MODEL, goal, *outcomes.get(name, usual)) for name, goal in names.items()]
    checks.append(Check(canary.STRANGER, MODEL_POD, *outcomes.get("ingress", usual)))
    return Report(tuple(checks))


def test_all_blocked_beside_answered_controls_is_enforced() -> None:
    found = decide(report(), "node-1")
    assert found.status is True
    assert found.reason is Reason.POLICIES_ENFORCED
    assert "a model's pod did not reach DNS 10.96.0.10 on UDP 53" in found.message
    assert "a stranger did not reach a model's pod on TCP 8080" in found.message
    assert "node-1" in found.message


@pytest.mark.parametrize("blocked", [Outcome.REFUSED, Outcome.SILENT, Outcome.UNREACHABLE])
def test_a_policy_may_drop_or_reject(blocked: Outcome) -> None:
    assert decide(report(pod=(blocked, Outcome.ANSWERED)), "n").status is True


@pytest.mark.parametrize("where", ["pod", "dns", "dns_tcp", "api", "node", "metadata", "ingress"])
@pytest.mark.parametrize("tried", [Outcome.ANSWERED, Outcome.CONNECTED])
def test_one_thing_that_got_through_is_enough_and_named(where: str, tried: Outcome) -> None:
    found = decide(report(**{where: (tried, Outcome.ANSWERED)}), "node-1")
    assert found.status is False
    assert found.reason is Reason.POLICIES_NOT_ENFORCED
    assert len(found.through) == 1
    assert found.through[0] in found.message
    assert "network plugin" in found.message, "the way out"


def test_what_got_through_says_where_to_and_how() -> None:
    found = decide(report(dns=(Outcome.ANSWERED, Outcome.ANSWERED), api=(Outcome.ANSWERED, Outcome.SILENT)), "n")
    assert found.through == (
        "a model's pod reached DNS 10.96.0.10 on UDP 53",
        "a model's pod reached the API server 10.96.0.1 on TCP 443",
    )


def test_addresses_of_the_canarys_own_pods_are_left_out() -> None:
    """They change with every run, and a status that follows them would be written for ever."""
    found = decide(report(pod=(Outcome.ANSWERED, Outcome.ANSWERED)), "n")
    assert found.through == ("a model's pod reached another pod on TCP 8080",)


@pytest.mark.parametrize("where", ["pod", "dns", "ingress"])
def test_a_needed_target_that_answers_nobody_proves_nothing(where: str) -> None:
    found = decide(report(**{where: (Outcome.SILENT, Outcome.SILENT)}), "n")
    assert found.status is None
    assert found.reason is Reason.PROBE_FAILED
    assert "smallmodel-canary" in found.message


@pytest.mark.parametrize("where", ["dns_tcp", "api", "node", "metadata"])
def test_other_targets_that_answer_nobody_are_said_to_be_untested(where: str) -> None:
    found = decide(report(**{where: (Outcome.SILENT, Outcome.REFUSED)}), "n")
    assert found.status is True
    assert "Not tested" in found.message


def test_a_leak_counts_even_where_the_control_failed() -> None:
    assert decide(report(pod=(Outcome.ANSWERED, Outcome.SILENT)), "n").status is False


def test_an_attempt_that_could_not_be_made_proves_nothing() -> None:
    assert decide(report(metadata=(Outcome.FAILED, Outcome.ANSWERED)), "n").status is None


def test_no_attempts_prove_nothing() -> None:
    assert decide(Report(), "n").status is None


def test_a_problem_is_said_unless_something_got_through() -> None:
    assert decide(replace(report(), problem="no network"), "n").status is None
    assert "no network" in decide(replace(report(), problem="no network"), "n").message
    leak = replace(report(pod=(Outcome.ANSWERED, Outcome.ANSWERED)), problem="no network")
    assert decide(leak, "n").status is False


def test_policies_that_take_effect_late_are_told_of() -> None:
    assert "until the model's pod was 3 s old" in decide(replace(report(), late_seconds=3.2), "n").message


def test_a_report_survives_its_way_through_a_termination_message() -> None:
    known = replace(report(), late_seconds=1.5, problem="x")
    assert canary.decode(canary.encode(known)) == known
    assert len(canary.encode(known)) < canary.MESSAGE_BYTES


def test_a_report_with_all_there_can_be_fits() -> None:
    ten = "fd00:1234:5678:9abc:def0:1234:5678:9abc"
    many = canary.targets([ten, ten], 8080, [ten, ten], (ten, 443), ten)
    checks = tuple(Check(canary.MODEL, goal, Outcome.UNREACHABLE, Outcome.UNREACHABLE) for goal in many)
    canary.encode(Report((*checks, Check(canary.STRANGER, MODEL_POD, Outcome.SILENT, Outcome.SILENT)), 12.3))


@pytest.mark.parametrize("text", ["", "{}", "[]", "killed", '{"checks":[{}],"late_seconds":0,"problem":""}', "null"])
def test_what_is_no_report_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):
        canary.decode(text)
