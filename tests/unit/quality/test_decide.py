"""Nothing new serves unasked; what serves is asked again; a person has the last word where numbers have none."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes import objects

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.core.facts import Snapshot
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.trial import Answers, Failure, Result
from smallmodel_operator.quality.decide import Gate, GoldenRequest, decide
from smallmodel_operator.quality.golden import parse

IDS = [f"p{n}" for n in range(12)]
TEXT = "\n".join(json.dumps({"id": i, "prompt": f"SECRET {i}", "expect": {"exact": "SECRET"}}) for i in IDS)
PROMPTS = parse(TEXT)
REQUEST = GoldenRequest(
    name="bot", config_map="golden", entry="golden.jsonl", release="", probe_minutes=15, slots=2, context=512,
    wanted="new", running="old", deployed=True, off=False, address="10.0.0.1", candidate="10.0.0.2",
    files={"": "bot/model.gguf"},
)  # fmt: skip
FIRST = replace(REQUEST, running="", deployed=False, address="")
SERVING = replace(REQUEST, running="new", candidate="")


def world(trials: dict[str, Result] | None = None, text: str | None = TEXT, **status: Any) -> Snapshot:
    config_map = None if text is None else {"data": {"golden.jsonl": text}}
    return Snapshot(
        now=objects.NOW, trials=trials or {}, config_maps={"golden": config_map}, previous_status={"quality": status}
    )


def keys(gate: Gate) -> list[str]:
    return [trial.key.split("/")[1] + ("/gate" if trial.key.endswith("/gate") else "") for trial in gate.part.trials]


def answered(request: GoldenRequest, text: str | None = TEXT, **results: Result) -> tuple[Gate, Snapshot]:
    """Ask until all trials wanted have an answer: `gate` of the new version, `probe` of the one that runs."""
    snapshot = world(text=text)
    for _ in range(3):
        gate = decide(request, snapshot)
        trials = {t.key: results["gate" if t.key.endswith("/gate") else "probe"] for t in gate.part.trials}
        status = {**snapshot.previous_status, **gate.part.status}
        snapshot = replace(snapshot, trials={**snapshot.trials, **trials}, previous_status=status)
    return decide(request, snapshot), snapshot


def test_a_first_version_is_tried_before_it_serves() -> None:
    gate = decide(FIRST, world())
    assert gate.tried
    assert isinstance(gate.hold, NotYet)
    assert gate.hold.reason is Reason.ASKING_GOLDEN
    assert keys(gate) == ["new/gate"]
    assert gate.part.trials[0].consistency
    assert decide(replace(FIRST, candidate=""), world()).part.trials == (), "its pod does not answer yet"


def test_it_serves_when_all_is_as_expected() -> None:
    gate, _ = answered(FIRST, gate=Answers((), 100, 93))
    assert gate.hold is None
    assert not gate.tried
    record = gate.part.status["quality"]["running"]
    assert (record["version"], record["items"], record["strictPercent"], record["underLoadPercent"]) == (
        "new", 12, 100, 93,
    )  # fmt: skip
    (report,) = gate.part.reports
    assert (report.condition, report.status, report.reason) == (Condition.QUALITY_MET, True, Reason.GOLDEN_PASSED)


def test_a_failed_gate_never_serves_and_names_ids_only() -> None:
    gate, snapshot = answered(REQUEST, gate=Answers(tuple(IDS[:6]), 100), probe=Answers(()))
    assert isinstance(gate.hold, Refused)
    assert gate.hold.reason is Reason.GOLDEN_FAILED
    assert "`p0`" in gate.hold.message
    assert "The new version (`bot/model.gguf`) takes no traffic; the one before serves on" in gate.hold.message
    assert "SECRET" not in repr(gate)
    assert not gate.tried, "its pod goes: what it answered is known"
    candidate = gate.part.status["quality"]["candidate"]
    assert (candidate["verdict"], candidate["lost"]) == ("Fail", IDS[:6])
    released = decide(replace(REQUEST, release=candidate["id"]), snapshot)
    assert released.hold is not None, "a person decides where numbers do not, and here they do"
    later = replace(snapshot, trials={})
    assert isinstance(decide(REQUEST, later).hold, Refused), "what stands in the status is enough"


def test_between_a_person_decides_and_the_id_stands_for_that_version_alone() -> None:
    gate, snapshot = answered(REQUEST, gate=Answers(("p3",), 100), probe=Answers(()))
    assert isinstance(gate.hold, Refused)
    assert gate.hold.reason is Reason.GOLDEN_INCONCLUSIVE
    made = gate.part.status["quality"]["candidate"]["id"]
    assert made in gate.hold.message
    opened = decide(replace(REQUEST, release=made), snapshot)
    assert opened.hold is None
    assert opened.part.status["quality"]["running"]["accepted"] == ["p3"]
    assert opened.part.reports[0].status is True
    other = decide(replace(REQUEST, release=made, wanted="newer"), snapshot)
    assert other.hold is not None
    assert other.tried


def test_what_the_version_before_did_not_answer_either_is_not_held_against_a_new_one() -> None:
    gate, _ = answered(REQUEST, gate=Answers(("p3", "p4"), 100), probe=Answers(("p3", "p4", "p5")))
    assert gate.hold is None


def test_answers_that_differ_from_themselves_are_held() -> None:
    gate, _ = answered(FIRST, gate=Answers((), 93, 93))
    assert isinstance(gate.hold, Refused)
    assert gate.hold.reason is Reason.GOLDEN_INCONCLUSIVE
    assert "93 %" in gate.hold.message


def test_the_version_that_runs_is_waited_for_but_not_for_ever() -> None:
    first = decide(REQUEST, world())
    assert sorted(keys(first)) == ["new/gate", "old"]
    trials: dict[str, Result] = {t.key: Answers(("p3",), 100) for t in first.part.trials if t.key.endswith("gate")}
    assert isinstance(decide(REQUEST, world(trials)).hold, NotYet)
    (probe,) = [t.key for t in first.part.trials if not t.key.endswith("gate")]
    gone = decide(REQUEST, world({**trials, probe: Failure(4, "it is gone.")}))
    assert isinstance(gone.hold, Refused)


def test_one_that_sleeps_is_compared_by_what_is_known_of_it() -> None:
    known = {"version": "old", "prompts": PROMPTS.digest, "items": 12, "failed": ["p3"], "accepted": ["p3"]}
    asleep = replace(REQUEST, deployed=False, address="")
    first = decide(asleep, world(running=known))
    trials: dict[str, Result] = {t.key: Answers(("p3",), 100) for t in first.part.trials}
    assert decide(asleep, world(trials, running=known)).hold is None


def test_other_prompts_are_other_results() -> None:
    known = {"version": "new", "prompts": "other", "items": 3, "failed": []}
    gate = decide(SERVING, world(running=known))
    assert keys(gate) == ["new"]
    assert gate.part.reports == ()


def test_let_in_and_not_written_yet_is_not_asked_again() -> None:
    known = {"version": "new", "prompts": PROMPTS.digest, "items": 12, "failed": [], "accepted": []}
    gate = decide(REQUEST, world(running=known))
    assert gate.hold is None
    assert gate.part.trials == ()


def test_what_serves_is_asked_every_so_often() -> None:
    gate = decide(SERVING, world())
    assert gate.hold is None
    assert keys(gate) == ["new"]
    assert gate.part.look_again_seconds is not None
    assert 0 < gate.part.look_again_seconds <= 900
    later = replace(world(), now=objects.NOW.replace(hour=13))
    assert decide(SERVING, later).part.trials[0].key != gate.part.trials[0].key
    once = replace(SERVING, probe_minutes=0)
    assert keys(decide(once, world())) == ["new"]
    known = {"version": "new", "prompts": PROMPTS.digest, "items": 12, "failed": []}
    assert decide(once, world(running=known)).part.trials == ()


def test_a_failing_probe_degrades_and_names_the_item() -> None:
    gate, _ = answered(SERVING, probe=Answers(("p7",)))
    (report,) = gate.part.reports
    assert (report.status, report.reason) == (False, Reason.QUALITY_DEGRADED)
    assert "`p7`" in report.message
    assert "SECRET" not in repr(gate)
    assert gate.hold is None, "it serves on"


def test_what_was_accepted_does_not_degrade_it_and_it_recovers() -> None:
    known = {"version": "new", "prompts": PROMPTS.digest, "items": 12, "failed": ["p1"], "accepted": ["p1"]}
    (trial,) = decide(SERVING, world(running=known)).part.trials
    ok = decide(SERVING, world({trial.key: Answers(("p1",))}, running=known))
    assert ok.part.reports[0].status is True
    worse = decide(SERVING, world({trial.key: Answers(("p1", "p2"))}, running=known))
    assert worse.part.reports[0].reason is Reason.QUALITY_DEGRADED
    recovered = worse.part.status["quality"]["running"]
    again = decide(SERVING, world({trial.key: Answers(("p1",))}, running=recovered))
    assert again.part.reports[0].status is True


def test_a_probe_that_is_not_answered_is_unknown_and_no_degradation() -> None:
    (trial,) = decide(SERVING, world()).part.trials
    gate = decide(SERVING, world({trial.key: Failure(4, "http://10.0.0.1:8080 does not answer.")}))
    assert gate.part.reports[0].status is None
    assert gate.part.reports[0].reason is Reason.GOLDEN_UNANSWERED


@pytest.mark.parametrize(
    ("text", "reason"),
    [(None, Reason.GOLDEN_NOT_FOUND), ("SECRET", Reason.GOLDEN_INVALID), ("", Reason.GOLDEN_INVALID)],
)
def test_prompts_that_cannot_be_read_hold_the_new_and_leave_the_old(text: str | None, reason: Reason) -> None:
    new = decide(FIRST, world(text=text))
    assert isinstance(new.hold, Refused)
    assert new.hold.reason is reason
    assert "SECRET" not in new.hold.message
    old = decide(SERVING, world(text=text))
    assert old.hold is None
    assert old.part.problems[0].reason is reason


def test_another_entry_is_named() -> None:
    gate = decide(replace(FIRST, entry="other.jsonl"), world())
    assert isinstance(gate.hold, Refused)
    assert "'other.jsonl'" in gate.hold.message


def test_off_is_off() -> None:
    gate = decide(replace(REQUEST, off=True), world())
    assert gate.closed
    assert gate.hold is None
    assert not gate.tried


def test_a_deployment_of_none_that_was_never_asked_is_new() -> None:
    assert decide(replace(SERVING, deployed=False, candidate="10.0.0.2"), world()).tried


def test_what_keeps_the_pod_from_starting_is_said() -> None:
    obstacle = Refused(Reason.CRASH_LOOP, "It ends.")
    assert decide(replace(FIRST, obstacle=obstacle), world()).hold is obstacle


RESULTS = st.builds(Answers, st.sets(st.sampled_from(IDS)).map(lambda s: tuple(sorted(s))), st.sampled_from([100, 50]))


@settings(max_examples=60, deadline=None)
@given(RESULTS, RESULTS, st.sampled_from(["", "00000000"]), st.booleans())
def test_a_new_version_is_let_in_only_with_all_it_had_or_better(
    new: Answers, old: Answers, release: str, first: bool
) -> None:
    request = replace(FIRST if first else REQUEST, release=release)
    gate, _ = answered(request, gate=new, probe=old)
    lost = set(new.failed) - (set() if first else set(old.failed))
    gained = set() if first else set(old.failed) - set(new.failed)
    if gate.hold is None:
        assert new.strict == 100
        assert not lost or len(gained) > len(lost)
    else:
        assert lost or new.strict != 100
        assert "SECRET" not in gate.hold.message


LEGAL = json.dumps({"id": "law", "adapter": "legal", "prompt": "SECRET", "expect": {"exact": "SECRET"}})


def test_prompts_for_an_adapter_are_asked_with_each_versions_own_numbers() -> None:
    request = replace(REQUEST, adapters=("hr", "legal"), running_adapters=("legal",))
    gate = decide(request, world(text=f"{TEXT}\n{LEGAL}"))
    assert {t.address: t.adapters for t in gate.part.trials} == {"10.0.0.1": ("legal",), "10.0.0.2": ("hr", "legal")}


def test_an_adapter_that_is_not_declared_is_named() -> None:
    gate = decide(replace(REQUEST, adapters=("hr",)), world(text=f"{TEXT}\n{LEGAL}"))
    assert isinstance(gate.hold, Refused)
    assert gate.hold.reason is Reason.GOLDEN_INVALID
    assert "`spec.adapters` does not have: `law` (adapter `legal`). Declare" in gate.hold.message
    assert "SECRET" not in gate.hold.message


def test_a_spoiled_adapter_is_named_beside_the_prompts_it_lost() -> None:
    lines = [json.dumps({**json.loads(LEGAL), "id": f"law{n}"}) for n in range(6)]
    files = {"": "bot/model.gguf", "legal": "a/legal.gguf"}
    request = replace(REQUEST, adapters=("legal",), running_adapters=("legal",), files=files)
    failed = Answers(tuple(f"law{n}" for n in range(6)), 100, 100)
    gate, _ = answered(request, "\n".join([TEXT, *lines]), gate=failed, probe=Answers(()))
    assert isinstance(gate.hold, Refused)
    assert gate.hold.reason is Reason.GOLDEN_FAILED
    assert "`law0` (adapter `legal`)" in gate.hold.message
    assert "Take another file for adapter `legal` (`a/legal.gguf`)." in gate.hold.message
