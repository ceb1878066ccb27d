"""Which keys the gateways are told: nobody's key is lost in between, and nobody's outlives the model."""

from smallmodel_operator.cluster.key_table import merged
from smallmodel_operator.core.keys import Identity

BOT, CRM = ("support", "bot"), ("crm", "bot")


def table(**keys: str) -> dict[str, Identity]:
    return {sha: Identity(name.split("/")[0], f"key:{name}") for sha, name in keys.items()}


def test_a_restart_keeps_what_models_have_still_to_offer() -> None:
    stored = table(a="support/bot", b="crm/bot")
    assert merged(stored, {}, [BOT, CRM]) == stored


def test_an_offer_replaces_all_keys_of_its_model_and_no_other() -> None:
    stored = table(old="support/bot", extra="support/bot/app", b="crm/bot")
    assert merged(stored, {BOT: table(new="support/bot")}, [BOT, CRM]) == table(new="support/bot", b="crm/bot")


def test_a_model_that_is_gone_takes_its_keys_with_it() -> None:
    stored = table(a="support/bot", e="support/bot/entry", b="crm/bot")
    assert merged(stored, {BOT: table(a="support/bot")}, [CRM]) == table(b="crm/bot")


def test_nothing_is_taken_out_while_models_are_unknown() -> None:
    stored = table(a="support/bot")
    assert merged(stored, {CRM: table(b="crm/bot")}, None) == table(a="support/bot", b="crm/bot")


def test_a_namespace_that_begins_alike_is_another() -> None:
    stored = table(a="support/bot", b="support/bot2")
    assert merged(stored, {}, [("support", "bot2")]) == table(b="support/bot2")
