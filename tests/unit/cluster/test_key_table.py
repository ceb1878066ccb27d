"""Which keys the gateways are told: nobody's key is lost in between, and nobody's outlives the model."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.fakes import objects
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import until

from smallmodel_operator.api.names import GATEWAY_KEYS, OPERATOR_KEYS
from smallmodel_operator.cluster import key_table as module
from smallmodel_operator.cluster.children import ModelKey
from smallmodel_operator.cluster.key_table import KeyTable, fitting, merged
from smallmodel_operator.core.keys import ENGINE_MASTER, TABLE, Identity, dump, load

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


@pytest.mark.parametrize("first", [BOT, CRM])
def test_who_brings_another_models_key_shares_it_and_takes_it_from_nobody(first: ModelKey) -> None:
    own, theirs = {"a": Identity("support", "key:support/bot")}, {"a": Identity("", "key:crm/bot/partner")}
    offers = {BOT: own, CRM: theirs} if first == BOT else {CRM: theirs, BOT: own}
    both = {"a": Identity("support", "key:support/bot", also=("key:crm/bot/partner",))}
    assert merged({}, offers, [BOT, CRM]) == both
    assert merged(own, {CRM: theirs}, [BOT, CRM]) == both, "though its model has still to offer it"
    assert merged(both, {}, [BOT, CRM]) == both
    assert merged(both, {CRM: {}}, [BOT, CRM]) == own
    assert merged(both, {}, [BOT]) == own
    assert merged(both, {}, [CRM]) == theirs


def test_a_key_brought_by_two_models_opens_both_and_its_name_does_not_change() -> None:
    one, other = {"a": Identity("", "key:support/bot/x")}, {"a": Identity("", "key:crm/bot/x")}
    both = {"a": Identity("", "key:crm/bot/x", also=("key:support/bot/x",))}
    assert merged({}, {BOT: one, CRM: other}, None) == both
    assert merged(one, {CRM: other}, None) == both
    assert merged(other, {BOT: one}, None) == both
    assert load(dump(both)) == both


def brought(model: str, *shas: str) -> dict[str, Identity]:
    return {sha: Identity("", f"key:{model}/{sha}") for sha in shas}


def room_for(keys: dict[str, Identity]) -> int:
    return len(dump(keys))


def test_in_a_full_table_models_own_keys_come_first() -> None:
    own, extra = table(z="support/bot"), brought("crm/bot", "a", "b")
    assert fitting(own | extra, extra, room_for(own | brought("crm/bot", "a"))) == own | brought("crm/bot", "a")


def test_in_a_full_table_what_is_there_stays_before_what_is_new() -> None:
    old, new = brought("support/bot", "x"), brought("crm/bot", "a")
    assert fitting(old | new, old, room_for(old)) == old


def test_in_a_full_table_who_brings_many_loses_first() -> None:
    many, one = brought("crm/bot", "a", "b", "c"), brought("support/bot", "x")
    first = brought("crm/bot", "a") | one
    assert fitting(many | one, {}, room_for(first)) == first
    assert fitting(many | one, many | one, room_for(first)) == first


def test_a_table_that_fits_is_left_alone() -> None:
    keys = brought("crm/bot", "a", "b")
    assert fitting(keys, {}, room_for(keys)) == keys


# -- against a fake API server -----------------------------------------------------------------------------------

SYSTEM = "smallmodel-system"


class Keeper:
    """A table at work, with short waits. `models` is what the watch knows."""

    def __init__(self, api: FakeApiServer, models: set[ModelKey] | None) -> None:
        self.api = api
        self.known = models
        self.table = KeyTable(api.client(), SYSTEM)
        self.table.models = lambda: self.known

    def data(self) -> dict[str, bytes]:
        found = self.api.get("Secret", GATEWAY_KEYS, SYSTEM) or {}
        return {k: base64.b64decode(v) for k, v in (found.get("data") or {}).items()}

    def stored(self) -> dict[str, Identity] | None:
        text = self.data().get(TABLE)
        return None if text is None else load(text.decode())

    def put(self, keys: dict[str, Identity]) -> None:
        """The table as an operator before us left it."""
        live = self.api.objects[("Secret", SYSTEM, GATEWAY_KEYS)]
        self.edit({**live["data"], TABLE: base64.b64encode(dump(keys).encode()).decode()})

    def edit(self, data: dict[str, str]) -> None:
        live = self.api.objects[("Secret", SYSTEM, GATEWAY_KEYS)]
        self.api.put({**live, "data": data})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.table.run())
        try:
            yield
            assert not task.done()
        finally:
            task.cancel()


@pytest.fixture
async def keeper(api: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> Keeper:
    for name in ("GATHER_SECONDS", "RETRY_SECONDS", "RESYNC_SECONDS"):
        monkeypatch.setattr(module, name, 0.02)
    made = Keeper(api, {BOT, CRM})
    await made.table.masters()
    return made


async def test_a_fresh_install_without_models_has_a_table_at_once(keeper: Keeper) -> None:
    keeper.known = None
    async with keeper.running():
        await until(lambda: keeper.stored() == {})


async def test_a_model_whose_deletion_ends_after_its_loop_takes_its_keys_with_it(keeper: Keeper) -> None:
    keeper.table.offer(BOT, table(a="support/bot"))
    async with keeper.running():
        await until(lambda: keeper.stored() == table(a="support/bot"))
        keeper.table.forget(BOT)
        await asyncio.sleep(0.1)
        keeper.known = {CRM}
        await until(lambda: keeper.stored() == {})


@pytest.mark.parametrize("known", [{CRM}, None])
async def test_a_model_deleted_while_no_operator_ran_takes_its_keys_with_it(
    keeper: Keeper, known: set[ModelKey] | None
) -> None:
    """With no model left at all the watch never tells of one."""
    keeper.put(table(a="support/bot"))
    keeper.known = known
    async with keeper.running():
        await until(lambda: keeper.stored() == {})


async def test_a_list_counts_the_models_that_stay(keeper: Keeper) -> None:
    keeper.put(table(a="support/bot", b="crm/bot"))
    keeper.known = None
    keeper.api.put(objects.model())
    leaving = objects.model()
    leaving["metadata"] = {**leaving["metadata"], "namespace": "crm", "deletionTimestamp": "2026-01-01T00:00:00Z"}
    keeper.api.put(leaving)
    async with keeper.running():
        await until(lambda: keeper.stored() == table(a="support/bot"))


async def test_a_table_lost_while_no_operator_ran_is_not_replaced_by_half_of_it(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gateways go on with the one they have; but not for ever, for a model that is held for long."""
    monkeypatch.setattr(module, "RESYNC_SECONDS", 60.0)
    for namespace, name in (BOT, CRM):
        keeper.api.put({**objects.model(), "metadata": {"name": name, "namespace": namespace}})
    keeper.table.offer(BOT, table(a="support/bot"))
    async with keeper.running():
        await asyncio.sleep(0.1)
        assert keeper.stored() is None
        keeper.table.offer(CRM, table(b="crm/bot"))
        await until(lambda: keeper.stored() == table(a="support/bot", b="crm/bot"))
    keeper.edit({})
    late = Keeper(keeper.api, {BOT, CRM})
    await late.table.masters()
    monkeypatch.setattr(module, "RESYNC_SECONDS", 0.05)
    late.table.offer(BOT, table(a="support/bot"))
    async with late.running():
        await until(lambda: late.stored() == table(a="support/bot"))


async def test_a_shared_key_that_does_not_fit_is_told_to_everyone_who_brings_it(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", room_for(brought("crm/bot")))
    keeper.table.offer(CRM, brought("crm/bot", "a"))
    keeper.table.offer(BOT, brought("support/bot", "a"))
    async with keeper.running():
        await until(lambda: keeper.table.problem(CRM) and keeper.table.problem(BOT))


async def test_at_rest_nothing_is_written(keeper: Keeper) -> None:
    keeper.table.offer(BOT, table(a="support/bot"))
    async with keeper.running():
        await until(lambda: keeper.stored() == table(a="support/bot"))
        await asyncio.sleep(0.05)
        keeper.api.sent.clear()
        await asyncio.sleep(0.2)
        assert keeper.api.sent, "it looks"
        assert not keeper.api.writes


async def test_a_deleted_secret_comes_back_with_the_same_master_and_all_keys(keeper: Keeper) -> None:
    """Keys of a model that has nothing to offer (its spec is refused) are remembered, too."""
    keeper.put(table(b="crm/bot"))
    keeper.table.offer(BOT, table(a="support/bot"))
    async with keeper.running():
        await until(lambda: keeper.stored() == table(a="support/bot", b="crm/bot"))
        before = keeper.data()
        del keeper.api.objects[("Secret", SYSTEM, GATEWAY_KEYS)]
        await until(lambda: keeper.data() == before)


@pytest.mark.parametrize("broken", ["e30=", "/w==", ""])
async def test_an_edited_secret_is_put_right(keeper: Keeper, broken: str) -> None:
    keeper.table.offer(BOT, table(a="support/bot"))
    async with keeper.running():
        await until(lambda: keeper.stored() == table(a="support/bot"))
        before = keeper.data()
        keeper.edit({TABLE: broken, ENGINE_MASTER: broken})
        await until(lambda: keeper.data() == before)


async def test_the_master_of_callers_keys_comes_back(keeper: Keeper) -> None:
    """Or the next start would change every app's key."""
    key = ("Secret", SYSTEM, OPERATOR_KEYS)
    before = keeper.api.objects[key]["data"]
    async with keeper.running():
        await until(lambda: keeper.stored() == {})
        del keeper.api.objects[key]
        await until(lambda: keeper.api.objects.get(key, {}).get("data") == before)


async def test_an_outage_is_waited_for(keeper: Keeper) -> None:
    keeper.api.refuse("GET", "/secrets/", 503, "ServiceUnavailable", "starting")
    async with keeper.running():
        await asyncio.sleep(0.1)
        keeper.api.heal()
        await until(lambda: keeper.stored() == {})


async def test_a_full_table_stops_neither_rotation_nor_revocation(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One tenant's many keys are that tenant's problem."""
    many = brought("crm/bot", "a", "b", "c")
    monkeypatch.setattr(module, "LARGEST_BYTES", room_for(table(old="support/bot") | many) - 1)
    keeper.table.offer(BOT, table(old="support/bot"))
    keeper.table.offer(CRM, many)
    async with keeper.running():
        await until(lambda: keeper.stored() == table(old="support/bot") | brought("crm/bot", "a", "b"))
        refused = keeper.table.problem(CRM)
        assert refused is not None
        assert "1 of this model's keys do not fit" in refused.message
        assert keeper.table.problem(BOT) is None
        keeper.table.offer(BOT, table(new="support/bot"))
        await until(lambda: "new" in (keeper.stored() or {}))
        assert "old" not in (keeper.stored() or {})
        keeper.table.offer(CRM, brought("crm/bot", "c"))
        await until(lambda: keeper.stored() == table(new="support/bot") | brought("crm/bot", "c"))
        await until(lambda: keeper.table.problem(CRM) is None)
        # Written first and counted a moment later, by the table's own task.
        await until(lambda: keeper.table.size == room_for(keeper.stored() or {}))
        assert keeper.table.compared


async def test_whoever_has_not_the_name_takes_no_keys_with_it(keeper: Keeper) -> None:
    """A SmallModel and a ModelRoute wanted one name; the one that did not get it goes."""
    keeper.table.offer(BOT, table(a="support/bot"), "uid-route")
    keeper.table.forget(BOT, "uid-model")
    async with keeper.running():
        await until(lambda: keeper.stored() == table(a="support/bot"))
        keeper.table.forget(BOT, "uid-route")
        keeper.known = {CRM}
        keeper.table.offer(CRM, table(b="crm/bot"))
        await until(lambda: keeper.stored() == table(b="crm/bot"))
