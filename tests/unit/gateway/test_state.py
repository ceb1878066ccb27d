"""What a gateway reads out of a SmallModel."""

from dataclasses import fields, replace
from typing import Any

import pytest

from smallmodel_operator.core.scaling import Bounds
from smallmodel_operator.gateway.state import Access, Model, State
from smallmodel_operator.gateway.xds import Site, files


def body(
    generation: int = 2, observed: int = 2, ready: int = 0, stalled: str = "True", why: str = "NotGguf"
) -> dict[str, Any]:
    condition = {"type": "Stalled", "status": stalled, "reason": "NotGguf", "message": "The file is not GGUF."}
    unready = {"type": "Ready", "status": "True" if why == "Asleep" else "False", "reason": why, "message": "."}
    return {
        "metadata": {"namespace": "support", "name": "bot", "uid": "u", "generation": generation},
        "spec": {},
        "status": {"observedGeneration": observed, "readyReplicas": ready, "conditions": [unready, condition]},
    }


def test_a_model_that_cannot_start_says_why_in_one_word() -> None:
    """Callers of other namespaces read it: what the sentence names (pods, images, Secrets, log lines) is not theirs."""
    assert Model.of(body()).stalled == "NotGguf"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(body(stalled="False"), id="settled"),
        pytest.param(body(generation=3), id="edited since: nobody knows yet"),
        pytest.param(body(ready=1), id="the version before still answers"),
        pytest.param(body(why="Starting"), id="another key's Secret is missing: it starts all the same"),
        pytest.param(body(why="Asleep"), id="asleep: the next request wakes it all the same"),
        pytest.param({**body(), "status": {}}, id="new"),
    ],
)
def test_one_that_can_or_may_is_held_for(other: dict[str, Any]) -> None:
    assert Model.of(other).stalled == ""


@pytest.mark.parametrize(
    ("status", "reason", "full"),
    [("False", "PoolFull", True), ("True", "PoolFull", False), ("False", "SignalsMissing", False)],
    ids=["no replica has room", "some have", "something else"],
)
def test_that_the_nodes_are_full_comes_from_the_status(status: str, reason: str, full: bool) -> None:
    known = body()
    known["status"]["conditions"].append({"type": "ScalingActive", "status": status, "reason": reason})
    assert Model.of(known).full is full


def test_what_a_wake_usually_takes_comes_from_the_status() -> None:
    """So that a gateway that was just started says something better than a default."""
    known = body()
    known["status"]["scaling"] = {"desired": 0, "coldStart": {"totalMilliseconds": 1360}}
    assert Model.of(known).cold_start == 1.36
    assert Model.of(body()).cold_start == 0.0


@pytest.mark.parametrize(
    ("audit", "generation"),
    [
        ({}, 0),
        ({"requestHMAC": "Disabled", "keyGeneration": 3}, 0),
        ({"requestHMAC": "Enabled"}, 1),
        ({"requestHMAC": "Enabled", "keyGeneration": 3}, 3),
    ],
)
def test_which_key_makes_the_hmacs_of_requests(audit: dict[str, Any], generation: int) -> None:
    assert Model.of({**body(), "spec": {"audit": audit}}).request_key == generation


@pytest.mark.parametrize(
    ("mode", "latency", "bounds"),
    [
        ("Objective", {"timeToFirstTokenMilliseconds": 800}, Bounds(0.8)),
        ("Objective", {"interTokenMilliseconds": 60, "endToEndMilliseconds": 4000}, Bounds(0.0, 0.06, 4.0)),
        ("Manual", {"timeToFirstTokenMilliseconds": 800}, Bounds()),
    ],
)
def test_within_which_times_an_answer_is_good(mode: str, latency: dict[str, int], bounds: Bounds) -> None:
    scaling = {"mode": mode, "objectives": {"latency": latency}}
    assert Model.of({**body(), "spec": {"scaling": scaling}}).bounds == bounds


@pytest.mark.parametrize(
    ("spec", "off", "external"),
    [
        ({"replicas": 0}, True, False),
        ({"replicas": 0, "scaling": {"mode": "External"}}, False, True),
        ({"replicas": 2, "suspend": True, "scaling": {"mode": "External"}}, True, True),
    ],
)
def test_at_zero_by_who_scales_it_requests_are_held(spec: dict[str, Any], off: bool, external: bool) -> None:
    model = Model.of({**body(), "spec": spec})
    assert (model.off, model.external) == (off, external)


OTHER = {
    "created": "2026-11-20T10:00:00Z",
    "namespace": "crm",
    "name": "other",
    "uid": "u2",
    "access": Access(frozenset({"ns:crm"}), 60, 1024),
    "digest": "sha256:1",
    "engine": "TGI",
    "lacks": ("/v1/responses",),
    "engine_image": "registry/engine@sha256:2",
    "template_revision": 2,
    "chat_template": "c" * 64,
    "generation": 7,
    "request_key": 2,
    "lora": True,
    "adapters": (("legal", 0),),
    "off": True,
    "stopped": True,
    "spent": True,
    "stalled": "NotGguf",
    "full": True,
    "external": True,
    "may_sleep": True,
    "replicas": 3,
    "cold_start": 1.5,
    "max_wait": 7.0,
    "max_queued": 9,
    "bounds": Bounds(0.5, 0.06, 4.0),
    "context_tokens": 512,
}
"""For each field of a Model another value than PLAIN has."""
PLAIN = Model("support", "bot", "u", Access(frozenset({"ns:support"})), engine_image="registry/engine@sha256:1")


@pytest.mark.parametrize("name", [field.name for field in fields(Model)])
def test_files_are_different_exactly_where_what_is_configured_is(name: str) -> None:
    plain = replace(PLAIN, lora=name == "adapters")  # only where there may be some
    other = replace(plain, **{name: OTHER[name]})
    assert other != plain
    before, now = (files(State({m.target: m}, engine_master=b"m" * 32), Site()) for m in (plain, other))
    assert (before != now) == (plain.configured != other.configured)


def test_another_reason_why_it_cannot_start_is_in_no_file() -> None:
    one, two = (replace(PLAIN, stalled=reason) for reason in ("NotGguf", "ImagePullFailed"))
    assert one.configured == two.configured
    assert files(State({one.target: one}), Site()) == files(State({two.target: two}), Site())


def test_what_the_operator_says_of_the_pods_comes_from_the_status() -> None:
    known = body()
    known["status"] |= {"engineImage": "registry/engine:1", "engineRevision": 2, "weights": {"chatTemplate": "c" * 64}}
    found = Model.of(known)
    assert (found.engine_image, found.template_revision, found.chat_template) == ("registry/engine:1", 2, "c" * 64)


@pytest.mark.parametrize("argument", ["--chat-template", "--chat_template-file=x", "--chat-template-file"])
def test_a_template_given_by_an_argument_is_not_that_of_the_weights(argument: str) -> None:
    known = body()
    known["status"]["weights"] = {"chatTemplate": "c" * 64}
    known["spec"]["engine"] = {"args": ["--jinja", argument]}
    assert Model.of(known).chat_template == ""
