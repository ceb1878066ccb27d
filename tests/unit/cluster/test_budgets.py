"""Registers in ConfigMaps: changed on what they were, given up when they cannot be."""

import asyncio

import pytest
from tests.fakes.apiserver import FakeApiServer

from smallmodel_operator.budget import text
from smallmodel_operator.budget.register import Register
from smallmodel_operator.cluster import shared
from smallmodel_operator.cluster.budgets import ENTRY, Registers
from smallmodel_operator.cluster.shared import TRIES, Away

NAMESPACE, NAME = "smallmodel-system", "smallmodel-budgets-0"
KEY = ("ConfigMap", NAMESPACE, NAME)


def holding(name: str) -> Register:
    return Register({name: "journal"})


def joined(register: Register, name: str) -> Register:
    return Register({**register.holders, name: "journal"})


@pytest.fixture
def made(api: FakeApiServer) -> FakeApiServer:
    put(api, "")
    return api


def put(api: FakeApiServer, content: str) -> None:
    meta = {"name": NAME, "namespace": NAMESPACE, "labels": {"team": "a"}}
    api.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {ENTRY: content} if content else {}})


def registers(api: FakeApiServer) -> Registers:
    return Registers(api.client(), NAMESPACE, drawn=lambda: 0.0)


def stored(api: FakeApiServer) -> Register:
    return text.read(api.objects[KEY]["data"][ENTRY])


async def test_a_change_is_written_and_the_rest_of_the_object_stays(made: FakeApiServer) -> None:
    of = registers(made)
    assert await of.read(NAME) == Register()
    assert await of.change(NAME, lambda found: joined(found, "a")) == holding("a") == stored(made)
    assert await of.change(NAME, lambda found: joined(found, "b")) == joined(holding("a"), "b") == stored(made)
    assert made.objects[KEY]["metadata"]["labels"] == {"team": "a"}
    assert [sent.method for sent in made.sent] == ["GET", "PATCH", "PATCH"], "what was written is known"


async def test_nobody_overwrites_anybody(made: FakeApiServer) -> None:
    ten = [registers(made) for _ in range(10)]
    await asyncio.gather(*(of.change(NAME, lambda found, n=n: joined(found, f"g{n}")) for n, of in enumerate(ten)))
    assert set(stored(made).holders) == {f"g{n}" for n in range(10)}


async def test_that_nothing_is_to_be_done_is_not_said_of_an_old_state(made: FakeApiServer) -> None:
    old, new = registers(made), registers(made)
    await old.change(NAME, lambda found: joined(found, "a"))
    await new.change(NAME, lambda found: joined(found, "b"))
    seen: list[Register] = []

    def look(found: Register) -> Register:
        seen.append(found)
        return found

    assert await old.change(NAME, look) == stored(made)
    assert seen == [holding("a"), stored(made)]


async def test_it_is_given_up_when_others_are_always_first(made: FakeApiServer) -> None:
    made.refuse("PATCH", NAME, 409, "Conflict", "modified", times=TRIES)
    with pytest.raises(Away, match=f"changed by others {TRIES} times in a row"):
        await registers(made).change(NAME, lambda found: joined(found, "a"))
    made.refuse("PATCH", NAME, 409, "Conflict", "modified", times=TRIES - 1)
    assert await registers(made).change(NAME, lambda found: joined(found, "a")) == holding("a")


async def test_a_missing_one_is_not_made(api: FakeApiServer) -> None:
    with pytest.raises(Away, match=rf"ConfigMap {NAMESPACE}/{NAME} is missing"):
        await registers(api).change(NAME, lambda found: joined(found, "a"))
    assert KEY not in api.objects


async def test_one_that_makes_no_sense_is_left_alone(made: FakeApiServer) -> None:
    put(made, '{"holders": {}, "counters": {"desk/front Tokens yesterday": {}}}')
    before = made.objects[KEY]
    with pytest.raises(Away, match=rf"{NAME}, entry {ENTRY}: .*yesterday"):
        await registers(made).change(NAME, lambda found: joined(found, "a"))
    assert made.objects[KEY] == before


async def test_one_that_is_too_large_is_not_written(made: FakeApiServer) -> None:
    with pytest.raises(Away, match="count fewer callers"):
        await registers(made).change(NAME, lambda _: Register({f"{n:0200}": "j" for n in range(6000)}))
    assert not made.objects[KEY]["data"]


@pytest.mark.parametrize("status", [403, 500])
async def test_an_error_of_the_api_server_is_told(made: FakeApiServer, status: int) -> None:
    made.refuse("PATCH", NAME, status, "Reason", "what it says", times=1)
    with pytest.raises(Away, match="what it says"):
        await registers(made).change(NAME, lambda found: joined(found, "a"))


async def test_who_does_not_answer_is_away_and_is_read_anew(
    made: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = registers(made)
    await of.change(NAME, lambda found: joined(found, "a"))
    await registers(made).change(NAME, lambda found: joined(found, "b"))
    monkeypatch.setattr(shared, "ANSWER_SECONDS", 0.05)
    made.gate.clear()
    with pytest.raises(Away, match="cannot be read or written"):
        await of.change(NAME, lambda found: joined(found, "c"))
    made.gate.set()
    monkeypatch.undo()
    made.sent.clear()
    await of.change(NAME, lambda found: joined(found, "d"))
    assert made.sent[-2].method == "GET"
    assert {"a", "b", "d"} <= set(stored(made).holders)
    made.down = True
    with pytest.raises(Away, match="cannot be read or written"):
        await of.read(NAME)
