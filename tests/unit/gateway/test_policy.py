"""What is in force for a model, and its hashes."""

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from tests.gateway.states import model

from smallmodel_operator.audit.record import canonical
from smallmodel_operator.gateway.policy import engine_revision, in_force, policy, policy_hash

BOT = model("support/bot", ("sa:crm/bot",), engine_image="engine@sha256:1", template_revision=2, chat_template="c" * 64)


def test_a_hash_is_that_of_what_is_said() -> None:
    said = in_force(BOT)
    assert said["slm.policy"] == hashlib.sha256(canonical(said["policy"])).hexdigest()
    assert hashlib.sha256(canonical(said["engine"])).hexdigest().startswith(said["slm.engine.revision"])
    assert (said["slm.target"], said["slm.digest"], said["slm.template"]) == ("support/bot", "sha256:bot", "c" * 64)
    assert said["policy"] == {
        "namespace": "support", "name": "bot", "uid": "uid-support/bot", "maxBodyBytes": 8 * 1024 * 1024,
        "allow": ["ns:support", "sa:crm/bot"],
    }  # fmt: skip


@pytest.mark.parametrize(
    "other",
    [
        {"uid": "u2"}, {"off": True}, {"access": replace(BOT.access, allow=frozenset({"ns:support"}))},
        {"access": replace(BOT.access, requests_per_minute=1)}, {"access": replace(BOT.access, max_body_bytes=1)},
    ],
)  # fmt: skip
def test_who_may_call_and_how_much_is_the_policy(other: dict[str, Any]) -> None:
    assert policy_hash(replace(BOT, **other)) != policy_hash(BOT)


@pytest.mark.parametrize("other", [{"generation": 9}, {"replicas": 3}, {"stalled": "NotGguf"}, {"cold_start": 2.0}])
def test_what_a_wake_or_an_edit_moves_is_not(other: dict[str, Any]) -> None:
    assert in_force(replace(BOT, **other)) == in_force(BOT)


def test_a_policy_says_that_requests_have_an_hmac_and_of_which_key() -> None:
    stamped = replace(BOT, request_key=2)
    assert policy(stamped) == {**policy(BOT), "requestHMAC": {"keyGeneration": 2}}
    assert len({policy_hash(m) for m in (BOT, stamped, replace(BOT, request_key=3))}) == 3


def test_the_engine_has_a_revision_when_it_is_known() -> None:
    assert engine_revision(model("support/bot")) == ""
    assert "engine" not in in_force(model("support/bot"))
    assert engine_revision(replace(BOT, engine_image="engine@sha256:2")) != engine_revision(BOT)
    assert engine_revision(replace(BOT, template_revision=3)) != engine_revision(BOT)
    assert policy(replace(BOT, engine_image="other")) == policy(BOT)
