"""What is published for a model, which keys open it, and that rotation overlaps."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smallmodel_operator.api.conditions import Reason
from smallmodel_operator.boundary.credentials import LEAD, CredentialRequest, Credentials, KeyEntry, decide
from smallmodel_operator.cluster.secrets import GIVEN_SECONDS
from smallmodel_operator.core.keys import Identity, Masters, client_key, dump, engine_key, hashed, load

MASTERS = Masters(client=b"c" * 32, engine=b"e" * 32)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OWN = "key:support/bot"


def request(**changes: Any) -> CredentialRequest:
    values: dict[str, Any] = {
        "name": "bot", "namespace": "support", "uid": "u-1", "url": "http://bot.support.svc.cluster.local/v1",
        "ca": "", "generation": 1, "overlap": timedelta(hours=24), "entries": (),
    }  # fmt: skip
    return CredentialRequest(**{**values, **changes})


def decided(previous: dict[str, Any] | None = None, now: datetime = NOW, **changes: Any) -> Credentials:
    given = changes.pop("given", {})
    return decide(request(**changes), MASTERS, given, previous or {}, now)


def secret(**data: str) -> dict[str, Any]:
    return {"data": {k: base64.b64encode(v.encode()).decode() for k, v in data.items()}}


def opened(made: Credentials) -> dict[str, str]:
    found = next(s for s in made.secrets if s["metadata"]["name"] == "bot-client")
    return {k: base64.b64decode(v).decode() for k, v in found["data"].items()}


def published(made: Credentials) -> set[str]:
    return {hashed(opened(made)["OPENAI_API_KEY"])}


def generations(*numbers: int) -> set[str]:
    return {hashed(client_key(MASTERS.client, "u-1", number)) for number in numbers}


def test_an_app_needs_nothing_but_the_secret() -> None:
    data = opened(decided())
    assert data["OPENAI_BASE_URL"] == "http://bot.support.svc.cluster.local/v1"
    assert data["MODEL"] == "bot"
    assert data["host"] == "bot.support.svc.cluster.local"
    assert "CA" not in data
    assert opened(decided(ca="-----BEGIN"))["CA"] == "-----BEGIN"


def test_the_published_key_is_the_known_one() -> None:
    made = decided()
    assert made.keys == {hashed(opened(made)["OPENAI_API_KEY"]): Identity("support", OWN)}


def test_the_engine_gets_the_key_the_gateway_computes() -> None:
    made = decided()
    found = next(s for s in made.secrets if s["metadata"]["name"] == "bot-engine-key")
    assert base64.b64decode(found["data"]["key"]).decode() == engine_key(MASTERS.engine, "u-1")


def test_another_model_of_that_name_has_other_keys() -> None:
    assert not set(decided().keys) & set(decided(uid="u-2").keys)


def test_rotation_overlaps_and_ends() -> None:
    before = {"keyGeneration": 1}
    turned = decided(before, generation=2)
    assert set(turned.keys) == generations(1, 2)
    status = turned.status["access"]
    assert decided(status, NOW + timedelta(hours=1), generation=2).look_again_seconds == 23 * 3600
    later = decided(status, NOW + timedelta(hours=23, minutes=59), generation=2)
    assert later.status["access"] == status, "the time of the rotation stays"
    assert len(later.keys) == 2
    over = decided(status, NOW + timedelta(hours=24), generation=2)
    assert set(over.keys) == generations(2)
    assert over.look_again_seconds is None


def test_the_overlap_is_of_the_key_that_was_published_whatever_its_number() -> None:
    """Two raises in one commit, or numbers left out: apps hold what the Secret held."""
    turned = decided({"keyGeneration": 1}, generation=3)
    assert set(turned.keys) == generations(1, 3)
    later = decided(turned.status["access"], NOW + timedelta(hours=1), generation=3)
    assert set(later.keys) == generations(1, 3)
    assert later.status == turned.status
    again = decided(later.status["access"], NOW + timedelta(hours=2), generation=4)
    assert set(again.keys) == generations(3, 4)


def test_gateways_know_a_new_key_before_it_is_published() -> None:
    turned = decided({"keyGeneration": 1}, generation=2)
    assert turned.look_again_seconds == LEAD.total_seconds()
    status = turned.status["access"]
    for made in (turned, decided(status, NOW + LEAD - timedelta(seconds=1), generation=2)):
        assert published(made) == generations(1)
        assert set(made.keys) == generations(1, 2)
    after = decided(status, NOW + LEAD, generation=2)
    assert published(after) == generations(2)
    assert after.status["access"] == status


def test_a_second_raise_before_the_first_was_published() -> None:
    status = decided({"keyGeneration": 1}, generation=2).status["access"]
    moment = NOW + timedelta(seconds=1)
    again = decided(status, moment, generation=3)
    assert published(again) == generations(1)
    assert set(again.keys) == generations(1, 3)
    after = decided(again.status["access"], moment + LEAD, generation=3)
    assert (published(after), set(after.keys)) == (generations(3), generations(1, 3))


def test_a_status_that_does_not_name_the_key_before() -> None:
    """Written by an operator that did not yet do so: it was the number before."""
    status = {"keyGeneration": 5, "keyRotatedAt": "2026-01-02T03:00:00Z"}
    assert set(decided(status, generation=5).keys) == generations(4, 5)


def test_a_first_generation_above_one_has_no_predecessor() -> None:
    assert len(decided(generation=7).keys) == 1


def test_overlap_zero_ends_the_old_key_at_once() -> None:
    made = decided({"keyGeneration": 1}, generation=2, overlap=timedelta(0))
    assert set(made.keys) == published(made) == generations(2), "nothing is published that opens nothing"


def test_a_given_key_opens_this_model_only() -> None:
    made = decided(entries=(KeyEntry("crm", "crm-key", "key"),), given={"crm-key": secret(key="0123456789abcdef\n")})
    assert made.keys[hashed("0123456789abcdef")] == Identity("", "key:support/bot/crm")
    assert not made.problems


def test_the_models_own_key_brought_once_more_keeps_its_namespace() -> None:
    own = client_key(MASTERS.client, "u-1", 1)
    made = decided(entries=(KeyEntry("crm", "crm-key", "key"),), given={"crm-key": secret(key=own)})
    assert made.keys == {hashed(own): Identity("support", OWN)}


def test_a_given_key_that_is_changed_or_taken_back_counts_within_a_minute() -> None:
    """The age of the copy that is looked at counts, too."""
    entries, given = (KeyEntry("crm", "crm-key", "key"),), {"crm-key": secret(key="0123456789abcdef")}
    again = decided(entries=entries, given=given).look_again_seconds
    assert again is not None
    assert again + GIVEN_SECONDS <= 60
    assert again >= 30, "no steady load for nothing"
    assert decided().look_again_seconds is None, "a model without entries is left alone"
    turned = {"keyGeneration": 2, "previousKeyGeneration": 1, "keyRotatedAt": "2026-01-02T03:00:00Z"}
    day = decided(turned, generation=2, entries=entries, given=given)
    assert (day.look_again_seconds, len(day.keys)) == (again, 3), "an overlap of a day does not put it off"
    ending = {"keyGeneration": 2, "keyRotatedAt": "2026-01-01T03:04:15Z"}
    assert decided(ending, generation=2, entries=entries, given=given).look_again_seconds == 10


@pytest.mark.parametrize(
    ("found", "reason", "said"),
    [
        (None, Reason.SECRET_NOT_FOUND, "does not exist"),
        (secret(other="x" * 32), Reason.SECRET_NOT_FOUND, "no entry 'key'"),
        (secret(key="short"), Reason.SECRET_INVALID, "at least 16"),
        (secret(key="with a space in the middle"), Reason.SECRET_INVALID, "without spaces"),
        (secret(key="schlüssel-mit-umlaut-ä"), Reason.SECRET_INVALID, "ASCII"),
        ({"data": {"key": "%%%"}}, Reason.SECRET_INVALID, "no usable key"),
    ],
)
def test_an_unusable_key_is_named_and_harms_nobody_else(found: Any, reason: Reason, said: str) -> None:
    made = decided(entries=(KeyEntry("crm", "crm-key", "key"),), given={"crm-key": found})
    assert [p.reason for p in made.problems] == [reason]
    assert said in made.problems[0].message
    assert "crm" in made.problems[0].message
    assert len(made.keys) == 1
    for value in (found or {}).get("data", {}).values():
        assert value not in made.problems[0].message


def test_the_table_survives_its_own_form() -> None:
    table = dict(decided().keys)
    assert load(dump(table)) == table


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version":2,"keys":{}}', '{"version":1,"keys":{"a":[1]}}', "{"])
def test_a_broken_table_is_an_error_with_a_message(text: str) -> None:
    with pytest.raises(ValueError, match="key table"):
        load(text)


def test_masters_do_not_print() -> None:
    assert "cc" not in repr(MASTERS)
