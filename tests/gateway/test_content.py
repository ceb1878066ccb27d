"""A gateway that keeps requests, with real Envoys and a record on the disk; the API server with the keys is a fake."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.apiserver import FakeApiServer
from tests.gateway.outward import Outward, outward, state
from tests.gateway.outward_agent import agent
from tests.gateway.under_load import IBAN, Load
from typer.testing import CliRunner

from smallmodel_operator.audit.content.keyring import Keyring
from smallmodel_operator.audit.content.shards import ENTRY, SHARDS, joined, scoped, secret_name, shard_of
from smallmodel_operator.cli.app import app
from smallmodel_operator.cluster.subject_keys import SubjectKeys
from smallmodel_operator.gateway.decide.answer import FAILED

SYSTEM = "smallmodel-system"
ADA, BOB, EVE = "ada-lovelace", "bob-by-night", "eve-online"


class Secrets:
    """The gateways' Secrets, on a fake API server in the gateway's own loop."""

    def __init__(self, way: Outward) -> None:
        self._on_loop = way.gateway._on_loop
        self.api: FakeApiServer = self._on_loop(self._begin)

    async def _begin(self) -> FakeApiServer:
        api = await FakeApiServer().__aenter__()
        for shard in range(SHARDS):
            api.put(
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret_name(shard), "namespace": SYSTEM}}
            )
        return api

    def end(self) -> None:
        async def ended() -> None:
            await self.api.__aexit__(None, None, None)

        self._on_loop(ended)

    def ring(self) -> Keyring:
        pieces: dict[int, Keyring | None] = {}
        for shard in range(SHARDS):
            data = self.api.objects["Secret", SYSTEM, secret_name(shard)].get("data", {}).get(ENTRY, "")
            pieces[shard] = Keyring.load(base64.b64decode(data)) if data else None
        found = joined(pieces)
        assert found is not None
        return found

    def erase(self, subject: str) -> None:
        async def destroyed() -> None:
            pseudonym = self.ring().pseudonym(scoped("support", subject))
            at = "2026-11-23T05:26:00.000000Z"
            await SubjectKeys(self.api.client(), SYSTEM).change(
                secret_name(shard_of(pseudonym)), lambda found: found.without(pseudonym, at) if found else None
            )

        self._on_loop(destroyed)

    def away(self, away: bool) -> None:
        def do() -> None:
            self.api.down = away

        self._on_loop(do)


class Kept:
    """What lies on the gateway's claim."""

    def __init__(self, way: Outward, secrets: Secrets, folder: Path) -> None:
        self.way, self._secrets, self._keys = way, secrets, folder / "keys.json"
        self.folder = Path(way.gateway.site.data) / "audit"

    def slm(self, *words: str) -> tuple[int, str]:
        self._keys.write_bytes(self._secrets.ring().dump())
        given = ["content", *words, "--store", str(self.folder), "--keys", str(self._keys)]
        done = CliRunner().invoke(app, given)
        return done.exit_code, done.stdout

    def states(self) -> dict[str, str]:
        code, out = self.slm("verify", "-o", "json")
        value = json.loads(out)
        assert (code == 0) is (not value["faults"]), value
        return {one["request"]: one["state"] for one in value["requests"]}

    def decisions(self) -> list[dict[str, Any]]:
        files = sorted(self.folder.glob("*.jsonl"))
        records = [json.loads(line) for path in files for line in path.read_bytes().splitlines()]
        return [record for record in records if record["kind"] == "decision"]

    def texts(self, request: str) -> list[str]:
        code, out = self.slm("show", request)
        assert code == 0
        return [json.loads(line)["text"] for line in out.splitlines()]


@pytest.fixture
def way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outward]:
    with outward(tmp_path_factory.mktemp("c")) as running:
        running.gateway.apply(state(running.bot.port, running.egress.port, "Redacted"))
        yield running


@pytest.fixture
def secrets(way: Outward) -> Iterator[Secrets]:
    made = Secrets(way)
    yield made
    made.end()


@pytest.fixture
def kept(way: Outward, secrets: Secrets, tmp_path: Path) -> Kept:
    return Kept(way, secrets, tmp_path)


def test_requests_are_kept_shown_and_erased(way: Outward, secrets: Secrets, kept: Kept) -> None:
    with agent(way, api=secrets.api.host):
        told = [
            way.ask("Hello from Ada", user=ADA),
            way.ask(f"Pay {IBAN} for me", user=BOB),
            way.ask("Named inside", "desk/small", user=ADA),
        ]
        assert [answer.json["served_by"] for answer in told] == ["outside", "bot", "bot"]
        ids = [answer.headers["x-request-id"] for answer in told]
        states = kept.states()
        assert {states[one] for one in ids} == {"Readable"}
        told_of = [{*one} & {"slm.content.sha256", "slm.content.omitted", FAILED} for one in kept.decisions()]
        assert all(told_of), "of every request that was decided on"
        assert "Hello from Ada" in kept.texts(ids[0])
        assert IBAN not in str(kept.texts(ids[1]))
        assert any(text.startswith("Pay [") and "Iban" in text for text in kept.texts(ids[1]))
        raw = b"".join(path.read_bytes() for path in kept.folder.parent.rglob("*") if path.is_file())
        for said in ("Hello from Ada", IBAN, "Named inside", ADA, BOB):
            assert said.encode() not in raw

        secrets.erase(ADA)
        way.gateway._eventually(lambda: kept.states()[ids[0]] == "Erased", "the gateway has said it in its chain")
        states = kept.states()
        assert (states[ids[1]], states[ids[2]]) == ("Readable", "Erased")
        assert kept.slm("show", ids[0]) == (1, "")
        again = way.ask("Ada once more", user=ADA).headers["x-request-id"]
        assert kept.states()[again] == "Readable"


def decided(way: Outward, kept: Kept, user: str) -> dict[str, Any]:
    """The record of the user's request that was decided on in time: on a busy machine a decision may come too late,
    and what was not decided on has nothing to keep. Then it is asked again."""
    for _ in range(5):
        answer = way.ask(user=user)
        assert answer.status == 200
        asked = answer.headers["x-request-id"]
        record = next((one for one in kept.decisions() if one["request.id"] == asked), None)
        if record is not None and FAILED not in record:
            return record
    raise AssertionError(f"none of five requests was decided on in time: {record}")


def test_where_no_key_can_be_had_the_record_says_so(way: Outward, secrets: Secrets, kept: Kept) -> None:
    with agent(way, api=secrets.api.host):
        assert "slm.content.sha256" in decided(way, kept, ADA)
        secrets.away(True)
        known, unknown = decided(way, kept, ADA), decided(way, kept, EVE)
        assert "slm.content.sha256" in known, known
        assert kept.states()[known["request.id"]] == "Readable"
        assert unknown["slm.content.omitted"] == "NoKey"
        secrets.away(False)
        later = decided(way, kept, EVE)
        assert "slm.content.sha256" in later, later
        assert kept.states()[later["request.id"]] == "Readable"


def test_where_nothing_goes_unrecorded_it_is_refused_instead(way: Outward, secrets: Secrets, kept: Kept) -> None:
    with agent(way, "Refuse", secrets.api.host):
        assert way.ask(user=ADA).status == 200
        secrets.away(True)
        way.forget()
        refused = way.ask(user=EVE)
        assert (refused.status, refused.error["code"]) == (503, "unavailable")
        assert (way.outside.asked, way.bot.asked) == ([], [])
        # A decision that a busy machine makes too late is refused, too: whoever is known is answered when it is not.
        assert any(way.ask(user=ADA).status == 200 for _ in range(5))


def test_what_fails_outside_and_is_answered_inside_is_kept_once(way: Outward, secrets: Secrets, kept: Kept) -> None:
    with agent(way, api=secrets.api.host):
        way.outside.does["fake_status"] = 503
        answer = way.ask("Fails there", user=ADA)
        assert answer.json["served_by"] == "bot"
        request = answer.headers["x-request-id"]
        mine = [one for one in kept.decisions() if one["request.id"] == request]
        assert ["slm.content.sha256" in one for one in mine] == [True, False]
        assert kept.states()[request] == "Readable"


def test_an_agent_that_is_killed_under_load_leaves_no_record_without_its_content(
    way: Outward, secrets: Secrets, kept: Kept
) -> None:
    for _ in range(3):
        with agent(way, api=secrets.api.host) as process, Load(way) as load:
            load.more(3)
            process.kill()
            process.wait(10)
    with agent(way, api=secrets.api.host):
        way.ask("The last one", user=ADA)
        states = kept.states()
    assert set(states.values()) == {"Readable"}
    with_content = {one["request.id"] for one in kept.decisions() if "slm.content.sha256" in one}
    assert with_content == set(states)
