"""The importance matrix of a type that is made: on which text, what is kept of it, what keeps it from being built."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes import objects
from tests.unit.control.test_quantized import F16_ONLY, WEIGHTS, World, args, made_by, making, report, surveyed
from tests.unit.core.test_remember import FACTS

from smallmodel_operator.api.conditions import Condition, Reason
from smallmodel_operator.api.names import LABEL_ROLE, ROLE_QUANTIZE
from smallmodel_operator.control import verdict
from smallmodel_operator.core.facts import Object
from smallmodel_operator.core.outcome import NotYet, Refused
from smallmodel_operator.core.units import MIB
from smallmodel_operator.resolve import Resolved, Site

TEXT = "Which form do I need for a parcel to Norway? " * 300
DIGEST = hashlib.sha256(TEXT.encode()).hexdigest()
MATRIX = {"importanceMatrix": {"textConfigMapRef": {"name": "texts", "key": "built"}}}


def wish(*accept: str, **quantization: Any) -> Resolved:
    return making(accept=list(accept or ("Q4_K_M",)), **MATRIX, **quantization)


def texts(text: str | None = TEXT, key: str = "built") -> dict[str, Object | None]:
    return {"texts": None if text is None else {"data": {key: text}}}


def world(config_maps: dict[str, Object | None], asked: Resolved) -> World:
    made = surveyed(asked, F16_ONLY)
    made.snapshot = replace(made.snapshot, claims=WEIGHTS, config_maps=config_maps)
    return made


def test_a_matrix_is_a_step_before_the_type_is_made_and_the_status_names_its_text() -> None:
    asked = wish()
    here = world(texts(), asked)
    decision = here.step(asked)
    assert decision.plan.status["quantization"]["made"]["importanceMatrix"] == {"text": "texts/built", "digest": DIGEST}
    steps = made_by(here)["spec"]["template"]["spec"]["initContainers"]
    assert [step["name"] for step in steps] == ["prepare", "importance-matrix", "quantize", "measure"]
    words = steps[0]["args"]
    assert words[words.index("--matrix-digest") + 1] == DIGEST
    given = {e["name"]: e["value"] for e in steps[2]["env"]}
    assert given["MATRIX"] == "matrix.gguf"
    assert "--matrix-config-map" in args(made_by(here))


def test_a_step_that_runs_is_counted_among_five() -> None:
    asked = wish()
    here = world(texts(), asked)
    here.step(asked)
    job = made_by(here)
    name, labels = job["metadata"]["name"], job["metadata"]["labels"]
    running = [{"name": "importance-matrix", "state": {"running": {"startedAt": "2026-11-21T12:00:00Z"}}}]
    pod = {
        "metadata": {"name": f"{name}-x", "labels": {**labels, "batch.kubernetes.io/job-name": name}},
        "status": {"initContainerStatuses": running},
    }
    here.snapshot = replace(here.snapshot, pods=(*here.snapshot.pods, pod))
    assert "Step 2 of 5: building an importance matrix." in str(here.step(asked).hold)
    failed = {"terminated": {"exitCode": 3, "message": "...\nIt needs a text of at least 1024 tokens\n"}}
    pod["status"] = {"initContainerStatuses": [{"name": "importance-matrix", "state": failed}]}
    ended = {**job, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}
    here.snapshot = replace(here.snapshot, children={**here.snapshot.children, ("Job", name): ended})
    hold = here.step(asked).hold
    assert isinstance(hold, Refused)
    assert (hold.reason, hold.condition) == (Reason.IMPORTANCE_MATRIX_FAILED, Condition.QUANTIZED)
    assert "at least 1024 tokens." in hold.message


def test_another_text_makes_another_file_and_the_same_text_elsewhere_does_not() -> None:
    asked = wish()
    names = []
    for config_maps in (texts(), texts(f"{TEXT}!"), texts()):
        here = world(config_maps, asked)
        here.step(asked)
        names.append(made_by(here)["metadata"]["annotations"]["smallmodel.dev/artifact"])
    moved = making(accept=["Q4_K_M"], importanceMatrix={"textConfigMapRef": {"name": "texts", "key": "moved"}})
    here = world(texts(key="moved"), moved)
    here.step(moved)
    names.append(made_by(here)["metadata"]["annotations"]["smallmodel.dev/artifact"])
    without = making(accept=["Q4_K_M"])
    here = world(texts(), without)
    here.step(without)
    names.append(made_by(here)["metadata"]["annotations"]["smallmodel.dev/artifact"])
    assert names[0] == names[2] == names[3]
    assert len(set(names)) == 3


@pytest.mark.parametrize(
    ("config_maps", "says"),
    [
        ({}, "ConfigMap 'texts' does not exist"),
        (texts(None), "ConfigMap 'texts' does not exist"),
        (texts(key="other"), "has no entry 'built'"),
        (texts("too short"), "holds 9 bytes in 'built'"),
    ],
)
def test_without_its_text_nothing_is_made_and_it_is_looked_at_again(
    config_maps: dict[str, Object | None], says: str
) -> None:
    asked = wish()
    here = world(config_maps, asked)
    decision = here.step(asked)
    assert isinstance(decision.hold, Refused)
    assert (decision.hold.reason, decision.hold.recheck_seconds) == (Reason.IMPORTANCE_MATRIX_FAILED, 15)
    assert says in decision.hold.message
    assert report(decision).status is False
    assert not decision.plan.prune
    assert not [j for j in here.jobs() if j["metadata"]["labels"][LABEL_ROLE] == ROLE_QUANTIZE]
    here.snapshot = replace(here.snapshot, config_maps=texts())
    hold = here.step(asked).hold
    assert isinstance(hold, NotYet)
    assert hold.reason is Reason.QUANTIZING


def test_what_serves_stays_when_its_text_goes_and_a_changed_text_makes_it_anew() -> None:
    asked = wish()
    here = world(texts(), asked)
    here.step(asked)
    artifact = made_by(here)["metadata"]["annotations"]["smallmodel.dev/artifact"]
    known = replace(FACTS, artifact=artifact, file="model.gguf", claim="u2", tensor_bytes=300 * MIB)
    here.snapshot = replace(here.snapshot, pods=(), inspected={artifact: known})
    served = here.step(asked)
    assert served.hold is None
    assert "The text of its importance matrix is in ConfigMap 'texts/built'" in report(served).message
    here.snapshot = replace(here.snapshot, config_maps=texts(None))
    assert here.step(asked).hold is None
    here.snapshot = replace(here.snapshot, config_maps=texts(f"{TEXT}!"))
    again = here.step(asked)
    assert isinstance(again.hold, NotYet)
    assert again.hold.reason is Reason.QUANTIZING
    assert not again.plan.prune, "the version before serves on"


def test_a_type_that_takes_none_is_made_without_and_says_so() -> None:
    asked = making(accept=["F16", "Q8_0", "Q4_K_M"], **MATRIX)
    roomy = replace(asked, memory_limit="8Gi")
    held = world({}, roomy).step(roomy)
    assert "The source holds it, so no importance matrix is built." in report(held).message
    kind = replace(asked, accept=("Q8_0", "Q4_K_M"), memory_limit="2Gi")
    here = world({}, kind)
    decision = here.step(kind)
    assert decision.plan.status["quantization"]["type"] == "Q8_0"
    assert "importanceMatrix" not in decision.plan.status["quantization"]["made"]
    steps = made_by(here)["spec"]["template"]["spec"]["initContainers"]
    assert [step["name"] for step in steps] == ["prepare", "quantize", "measure"]
    artifact = made_by(here)["metadata"]["annotations"]["smallmodel.dev/artifact"]
    known = replace(FACTS, artifact=artifact, file="model.gguf", claim="u2", tensor_bytes=600 * MIB)
    here.snapshot = replace(here.snapshot, pods=(), inspected={artifact: known})
    assert "Q8_0 takes no importance matrix." in report(here.step(kind)).message


@pytest.mark.parametrize("golden", ["texts", "golden", None])
def test_the_config_map_is_read_once_where_the_golden_prompts_are_in_it_too(golden: str | None) -> None:
    checks = {"golden": {"configMapRef": {"name": golden}}} if golden else {}
    quantization = {"method": "GGUF", "accept": ["Q4_K_M"], "image": "tools:1", **MATRIX}
    body = objects.model(source={"uri": "pvc://models/bot"}, checks=checks, quantization=quantization)
    found = verdict.understand(body, lambda _: objects.profile(), Site())
    assert set(found.config_maps) == {"texts", *([golden] if golden else [])}
    assert len(found.config_maps) == len(set(found.config_maps))
