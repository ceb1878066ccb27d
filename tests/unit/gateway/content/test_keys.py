"""Keys of subjects in the gateways' Secrets: made once, destroyed for all, never made up where they cannot be had."""

import asyncio
import base64
import os

import pytest
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.audit.content.keyring import Keyring, SubjectKey
from smallmodel_operator.audit.content.shards import ENTRY, SHARDS, scoped, secret_name, shard_of
from smallmodel_operator.cluster import shared, subject_keys
from smallmodel_operator.cluster.shared import Away
from smallmodel_operator.cluster.subject_keys import SubjectKeys
from smallmodel_operator.gateway.content.keys import Keys

SYSTEM = "smallmodel-system"


@pytest.fixture
def made(api: FakeApiServer) -> FakeApiServer:
    for shard in range(SHARDS):
        meta = {"name": secret_name(shard), "namespace": SYSTEM}
        api.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque"})
    return api


def rings(api: FakeApiServer) -> SubjectKeys:
    return SubjectKeys(api.client(), SYSTEM, drawn=lambda: 0.0)


def keys(api: FakeApiServer) -> Keys:
    return Keys(rings(api))


def put(api: FakeApiServer, shard: int, text: bytes) -> None:
    meta = {"name": secret_name(shard), "namespace": SYSTEM}
    data = {ENTRY: base64.b64encode(text).decode()}
    api.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data})


async def destroy(api: FakeApiServer, pseudonym: str) -> None:
    at = "2026-11-23T05:26:00.000000Z"
    await rings(api).change(
        secret_name(shard_of(pseudonym)), lambda found: found.without(pseudonym, at) if found else None
    )


async def test_three_gateways_make_one_key_of_each(made: FakeApiServer) -> None:
    three = [keys(made) for _ in range(3)]
    names = [f"person-{number}" for number in range(20)]
    found = await asyncio.gather(*(one.of("support", name) for name in names for one in three))
    assert len({key.name for key in found}) == len({key.secret for key in found}) == len(names)
    for number in range(len(names)):
        assert len({key.secret for key in found[3 * number : 3 * number + 3]}) == 1
    await three[0].look()
    assert (three[0].subjects, three[0].erased) == (len(names), {})


async def test_the_same_name_in_two_namespaces_is_two_subjects(made: FakeApiServer) -> None:
    of = keys(made)
    one, two = await of.of("support", "lovelace"), await of.of("legal", "lovelace")
    assert (one.name, one.subject, one.secret) != (two.name, two.subject, two.secret)
    pieces = [base64.b64decode(one.get("data", {}).get(ENTRY, "")) for one in made.objects.values()]
    assert b"lovelace" not in b"".join(pieces)


async def test_known_ones_need_no_api_server_and_new_ones_are_refused(made: FakeApiServer) -> None:
    of = keys(made)
    known = await of.of("support", "ada")
    made.down = True
    assert await of.of("support", "ada") == known
    with pytest.raises(Away):
        await of.of("support", "bob")
    made.down = False
    assert (await of.of("support", "bob")).subject != known.subject


async def test_a_destroyed_key_is_forgotten_and_another_follows(made: FakeApiServer) -> None:
    one, two = keys(made), keys(made)
    before = await one.of("support", "ada")
    assert await two.of("support", "ada") == before
    await destroy(made, before.subject)
    for of in (one, two):
        await of.look()
        assert set(of.erased) == {before.name}
    after = await two.of("support", "ada")
    assert await one.of("support", "ada") == after
    assert after.subject == before.subject
    assert after.secret != before.secret


async def test_a_secret_that_is_missing_or_full_or_no_ring_is_said(
    made: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = keys(made)
    key = await of.of("support", "ada")
    with monkeypatch.context() as patch:
        patch.setattr(subject_keys, "MOST_BYTES", 10)
        with pytest.raises(Away, match="no room for more subjects"):
            await of.of("support", "bob")
    put(made, shard_of(key.subject), b"no ring")
    with pytest.raises(Away, match="no ring of subjects' keys"):
        await keys(made).look()
    del made.objects["Secret", SYSTEM, secret_name(shard_of(key.subject))]
    with pytest.raises(Away, match="is missing"):
        await keys(made).look()


async def test_a_first_piece_that_was_emptied_is_never_made_anew(made: FakeApiServer) -> None:
    """Of another pepper nobody who had a key would be found any more."""
    of = keys(made)
    for name in range(8):
        await of.of("support", f"person-{name}")
    meta = {"name": secret_name(0), "namespace": SYSTEM}
    made.put({"apiVersion": "v1", "kind": "Secret", "metadata": meta})
    with pytest.raises(Away, match=r"is empty and .* is not: put it back"):
        await keys(made).of("support", "ada")
    put(made, 0, Keyring.new(os.urandom).dump())
    with pytest.raises(ValueError, match="of another ring"):
        await keys(made).look()


class Late:
    """Another gateway makes the ring and a key after the first piece was read here and before the others are."""

    def __init__(self, api: FakeApiServer) -> None:
        self._api, self._mine = api, rings(api)
        self.change = self._mine.change
        self.theirs: SubjectKey | None = None

    async def read(self, name: str) -> Keyring | None:
        if name != secret_name(0) and self.theirs is None:
            self.theirs = await keys(self._api).of("support", "ada")
        return await self._mine.read(name)


@pytest.mark.parametrize("_", range(4))  # whose piece it is follows from a pepper that is drawn
async def test_a_ring_that_another_makes_meanwhile_is_no_lost_one(made: FakeApiServer, _: int) -> None:
    late = Late(made)
    assert await Keys(late).of("support", "ada") == late.theirs is not None


async def test_a_key_that_is_made_during_a_look_stays_known(made: FakeApiServer) -> None:
    """Else it were asked for once more, and who has a key would have none while the API server is away."""

    class Slow:
        """It has read the last piece, and before it says so a request comes."""

        def __init__(self) -> None:
            self._mine = rings(made)
            self.change = self._mine.change
            self.meanwhile: SubjectKey | None = None

        async def read(self, name: str) -> Keyring | None:
            found = await self._mine.read(name)
            if name == secret_name(SHARDS - 1):
                self.meanwhile = await of.of("support", "bob")
            return found

    slow = Slow()
    await keys(made).of("support", "ada")
    of = Keys(slow)
    await of.look()
    made.down = True
    assert await of.of("support", "bob") == slow.meanwhile


async def test_nothing_is_made_by_a_look(made: FakeApiServer) -> None:
    await keys(made).look()
    assert not [sent for sent in made.sent if sent.write]


async def test_in_memory_there_are_so_many(made: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from smallmodel_operator.gateway.content import keys as where

    monkeypatch.setattr(where, "MOST_CACHED", 2)
    of = keys(made)
    found = [await of.of("support", f"person-{number}") for number in range(4)]
    assert [await of.of("support", f"person-{number}") for number in range(4)] == found


@pytest.mark.parametrize("subject", ["", " ", "x" * 193])
def test_what_is_no_name_of_a_subject(subject: str) -> None:
    with pytest.raises(ValueError, match="1 to 192 characters"):
        scoped("support", subject)


def test_each_piece_has_room_for_thousands() -> None:
    ring = Keyring.new(os.urandom)
    for number in range(50):
        ring, _ = ring.keyed(f"{number:032x}", os.urandom)
    each = (len(ring.dump()) - len(Keyring.new(os.urandom).dump())) / 50
    assert subject_keys.MOST_BYTES / each > 5500
    assert shared.TRIES > SHARDS / 2
