"""What is kept of a request before its decision is recorded: whose it is, what is left of it, and why nothing is."""

import asyncio
import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.fakes.deciding import POLICY
from tests.unit.gateway.decide.test_service import Chain

from smallmodel_operator.audit.content.keyring import Keyring
from smallmodel_operator.audit.content.sealed import Sealed, opened
from smallmodel_operator.cluster.shared import Away
from smallmodel_operator.gateway.content import keeping
from smallmodel_operator.gateway.content.keeping import Keeping, NotKept, subject_of
from smallmodel_operator.gateway.content.kept import NOTHING, Kept
from smallmodel_operator.gateway.content.keys import Keys
from smallmodel_operator.gateway.decide.call import Call, Route, Unseen
from smallmodel_operator.gateway.decide.service import Deciding
from smallmodel_operator.routing.asked import Request
from smallmodel_operator.routing.policy import compiled
from smallmodel_operator.routing.verdict import Can

IBAN = "DE75512108001245126199"
TEXT = f"Pay {IBAN}, today, for project nightingale. My password: hunter2hunter2"
CAN = {"small": Can(), "cloud": Can()}


class Rings:
    """Secrets in memory; `away`: they cannot be had."""

    def __init__(self) -> None:
        self.pieces: dict[str, Keyring | None] = {}
        self.away = False

    async def read(self, name: str) -> Keyring | None:
        if self.away:
            raise Away("no API server")
        return self.pieces.get(name)

    async def change(self, name: str, change: Callable[[Keyring | None], Keyring | None]) -> Keyring | None:
        self.pieces[name] = change(await self.read(name))
        return self.pieces[name]

    def open(self, line: bytes) -> list[str]:
        sealed = Sealed.read(line)
        whole = {name: key for ring in self.pieces.values() if ring for name, key in ring.keys.items()}
        return [text["text"] for text in json.loads(opened(sealed, whole[sealed.key]))]


def route(content: str) -> Route:
    return Route(compiled(replace(POLICY, content=content), {}), CAN)


def call(text: Any = TEXT, caller: str = "sa:support/app", **more: Any) -> Call:
    body = {"model": "assistant", "messages": [{"role": "user", "content": text}], **more}
    return Call("support/assistant", caller, "id-1", Request("/v1/chat/completions", json.dumps(body).encode()))


async def seen(_: Call, look: Callable[..., Any], *args: Any) -> Any:
    return look(*args)


@pytest.fixture
def rings() -> Rings:
    return Rings()


@pytest.fixture
def keep(rings: Rings) -> Keeping:
    keys = Keys(rings)
    return Keeping(lambda: keys)


async def test_without_what_detectors_patterns_and_words_find(keep: Keeping, rings: Rings) -> None:
    found = await keep(call("Pay DE75512108001245126199, today, for project nightingale."), route("Redacted"), seen)
    said = rings.open(found.line)
    assert IBAN not in str(said)
    assert "nightingale" not in str(said)
    assert any(text.startswith("Pay [Iban] today") for text in said)
    assert not found.failed


async def test_full_has_all_but_secrets(keep: Keeping, rings: Rings) -> None:
    found = await keep(call(f"Pay {IBAN}, today."), route("Full"), seen)
    assert f"Pay {IBAN}, today." in rings.open(found.line)
    found = await keep(call(), route("Full"), seen)
    assert "hunter2" not in str(rings.open(found.line))


async def test_its_record_says_which_line_and_nothing_of_it(keep: Keeping) -> None:
    found = await keep(call(user="ada@example.com"), route("Full"), seen)
    assert {*found.said} == {"slm.subject", "slm.content.form", "slm.content.key", "slm.content.sha256"}
    assert "example" not in json.dumps(dict(found.said)) + found.line.decode()


async def test_a_route_that_keeps_nothing_and_a_second_attempt(keep: Keeping) -> None:
    assert await keep(call(), route(""), seen) is NOTHING
    assert await keep(replace(call(), kept=True), route("Full"), seen) is NOTHING


async def test_one_person_one_key(keep: Keeping) -> None:
    async def subject(**more: Any) -> str:
        return (await keep(call("Hello", **more), route("Full"), seen)).said["slm.subject"]

    ada = await subject(user="ada")
    assert ada == await subject(user="ada") == await subject(safety_identifier="ada", user="somebody")
    own = await subject()
    assert own == await subject(user=None) == await subject(caller="sa:support/app")
    assert len({ada, own, await subject(user="Ada"), await subject(caller="sa:crm/app")}) == 4


@pytest.mark.parametrize("user", ["", "  ", "x" * 193, 7, ["ada"], {"name": "ada"}])
def test_a_subject_that_is_no_name(user: Any) -> None:
    with pytest.raises(NotKept, match="BadSubject"):
        subject_of("sa:support/app", json.dumps({"user": user}).encode())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"body": b"{"}, "Unread"),
        ({"body": b"[1]"}, "Unread"),
        ({"whole": False}, "Incomplete"),
        ({"content_encoding": "gzip"}, "Encoded"),
        ({"content_type": "multipart/form-data"}, "NotJson"),
    ],
)
async def test_what_is_not_read_is_not_kept_and_nothing_has_failed(
    keep: Keeping, change: dict[str, Any], why: str
) -> None:
    asked = call()
    found = await keep(replace(asked, request=replace(asked.request, **change)), route("Full"), seen)
    assert (found.line, found.failed) == (b"", False)
    said = found.said["slm.content.omitted"]
    assert said == why or (why == "Unread" and said)


async def test_without_a_key_it_has_failed(rings: Rings, keep: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    known = await keep(call(user="ada"), route("Full"), seen)
    rings.away = True
    again = await keep(call(user="ada"), route("Full"), seen)
    assert again.said["slm.content.key"] == known.said["slm.content.key"], "what is known needs nobody"
    no_key = Kept({"slm.content.omitted": "NoKey"}, failed=True)
    assert await keep(call(user="bob"), route("Full"), seen) == no_key
    assert await Keeping(lambda: None)(call(), route("Full"), seen) == no_key

    class Silent(Rings):
        async def read(self, name: str) -> Keyring | None:
            await asyncio.sleep(3600)
            return None

    monkeypatch.setattr(keeping, "WAIT_SECONDS", 0.01)
    silent = Keys(Silent())
    assert await Keeping(lambda: silent)(call(), route("Full"), seen) == no_key


async def test_who_has_no_time_to_look_has_failed_too(keep: Keeping) -> None:
    async def busy(*_: Any) -> Any:
        raise Unseen("Busy")

    assert await keep(call(), route("Full"), busy) == Kept({"slm.content.omitted": "Busy"}, failed=True)


async def test_a_crash_says_nothing_of_the_request(keep: Keeping, caplog: pytest.LogCaptureFixture) -> None:
    async def crash(*_: Any) -> Any:
        raise RuntimeError(TEXT)

    with caplog.at_level(logging.DEBUG):
        found = await keep(call(), route("Full"), crash)
    assert found == Kept({"slm.content.omitted": "Failed"}, failed=True)
    assert "hunter2" not in caplog.text
    assert "RuntimeError" in caplog.text


# -- in a decision ---------------------------------------------------------------------------------------------------


class WithContent(Chain):
    """Records, and what was to be written before each."""

    def __init__(self, *fails: BaseException) -> None:
        super().__init__(*fails)
        self.content: list[bytes] = []

    async def __call__(self, body: Any, content: bytes = b"") -> None:
        await super().__call__(body)
        self.content.append(content)


def deciding(chain: Chain, keep: Keeping, **more: Any) -> Deciding:
    routes = {POLICY.route: route("Redacted")}
    return Deciding(routes.get, lambda _: ("public",), chain, keep=keep, **more)


async def test_it_goes_with_the_record_of_its_decision(keep: Keeping, rings: Rings) -> None:
    chain = WithContent()
    answer = await deciding(chain, keep).decide(call("Hello", user="ada"))
    assert answer.status == 200
    (record,), (line,) = chain.records, chain.content
    assert record["slm.content.sha256"] == Sealed.read(line).reference()["slm.content.sha256"]
    assert "Hello" in rings.open(line)


@pytest.mark.parametrize(("strict", "status"), [(False, 200), (True, 503)])
async def test_without_a_key_it_is_answered_or_refused(keep: Keeping, rings: Rings, strict: bool, status: int) -> None:
    rings.away = True
    chain = WithContent()
    counted: list[str] = []

    async def withhold(call: Call, _: Any) -> None:
        counted.append(call.id)

    answer = await deciding(chain, keep, strict=strict, withhold=withhold).decide(call("Hello"))
    assert answer.status == status
    if strict:
        assert answer.headers["x-slm-cause"] == "not-kept"
        assert (chain.records, counted) == ([], []), "nothing was held for what does not go"
    else:
        assert chain.records[0]["slm.content.omitted"] == "NoKey"
        assert chain.content == [b""]


def test_the_policy_in_force_says_it_and_without_it_is_as_it_was() -> None:
    assert replace(POLICY, content="Full").said()["content"] == "Full"
    assert "content" not in POLICY.said()
    assert replace(POLICY, content="Full").hash() != replace(POLICY, content="Redacted").hash() != POLICY.hash()


def test_nobody_guesses_a_key() -> None:
    assert Keyring.new(os.urandom).pepper != Keyring.new(os.urandom).pepper
