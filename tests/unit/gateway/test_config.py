"""Writing the configuration: what is kept when something is wrong, and what is never overtaken."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.clock import until
from tests.fakes.renderer import PlainRenderer

from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.core.keys import Identity
from smallmodel_operator.gateway import config, metrics
from smallmodel_operator.gateway.config import Leak, Writer, prepare, version_of, versioned
from smallmodel_operator.gateway.discovery import Discovery
from smallmodel_operator.gateway.files import Files
from smallmodel_operator.gateway.known import KNOWN, recall, recall_boundary, remember
from smallmodel_operator.gateway.state import Endpoint, Issuer, Model, State
from smallmodel_operator.gateway.view import Keys, Surroundings, state_of

BOT = "support/bot"


def endpoint(address: str) -> Endpoint:
    return Endpoint(address, 8080, ready=True)


class World:
    """What the writer asks of one."""

    def __init__(self) -> None:
        self.complete = True
        self.keys: Keys | None = Keys({"a" * 64: Identity("support", "key:support/bot")}, b"m" * 32)
        self.endpoints: dict[str, tuple[Endpoint, ...]] = {BOT: (endpoint("10.0.0.1"),)}
        self.names = ["bot"]
        self.boundary = Boundary()

    def state(self, only: str = "") -> State:
        bodies = [{"metadata": {"namespace": "support", "name": n, "uid": n}} for n in self.names]
        models = [m for m in map(Model.of, bodies) if not only or m.target == only]
        return state_of(models, self.endpoints, {}, self.keys or Keys(), Surroundings())


class Slow(PlainRenderer):
    """Renders everything only when allowed to."""

    def __init__(self) -> None:
        self.started, self.gate = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def everything(self, state: State) -> dict[str, Any]:
        self._loop.call_soon_threadsafe(self.started.set)
        asyncio.run_coroutine_threadsafe(self.gate.wait(), self._loop).result(5)
        return super().everything(state)


class Running:
    def __init__(self, folder: Path, renderer: PlainRenderer | None = None) -> None:
        self.folder, self.world, self.renderer = folder, World(), renderer or PlainRenderer()
        self.discovery = Discovery(folder / "xds.sock")
        self.writer = Writer(Files(folder), self.discovery, self.renderer, lambda: self.world)  # type: ignore[arg-type,return-value]

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator["Running"]:
        task = asyncio.create_task(self.writer.run())
        yield self
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    def file(self, name: str) -> Any:
        path = self.folder / "xds" / name
        return json.loads(path.read_text()) if path.exists() else None

    def addresses(self) -> list[str]:
        value = self.file("eds/support.bot.json")
        found = value["resources"][0]["endpoints"][0]["lb_endpoints"] if value else []
        return [e["endpoint"]["address"]["socket_address"]["address"] for e in found]

    async def until(self, check: Any) -> None:
        async with asyncio.timeout(60):
            while not check():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


async def test_everything_is_written_once_it_is_complete(tmp_path: Path) -> None:
    running = Running(tmp_path)
    running.world.complete = False
    async with running():
        await asyncio.sleep(0.1)
        assert running.file("cds.json") is None
        assert not running.writer.written
        running.world.complete = True
        await running.until(lambda: running.writer.written)
        assert running.file("cds.json") == [BOT]
        assert running.addresses() == ["10.0.0.1"]
        (given,) = running.writer.given
        assert list(given) == [BOT]


async def test_waiting_for_what_is_not_known_yet_is_no_spinning(tmp_path: Path) -> None:
    """Without an operator it takes as long as it takes."""
    running, asked = Running(tmp_path), 0

    class Never(World):
        complete = property(lambda _: count(), lambda *_: None)  # type: ignore[assignment]

    def count() -> bool:
        nonlocal asked
        asked += 1
        return False

    running.world = Never()
    async with running():
        await asyncio.sleep(0.5)
    assert 1 <= asked <= 12


async def test_moved_endpoints_are_written_at_once(tmp_path: Path) -> None:
    running = Running(tmp_path)
    async with running():
        await running.until(lambda: running.writer.written)
        before = (tmp_path / "xds/cds.json").stat()
        running.world.endpoints = {BOT: (endpoint("10.0.0.2"),)}
        running.writer.moved(BOT)
        assert running.addresses() == ["10.0.0.2"], "without waiting for anything"
        await asyncio.sleep(0.05)
        assert (tmp_path / "xds/cds.json").stat() == before


async def test_what_moves_while_everything_is_rendered_is_not_overtaken(tmp_path: Path) -> None:
    running = Running(tmp_path)
    async with running():
        await running.until(lambda: running.writer.written)
        running.writer._renderer = slow = Slow()
        running.world.names = ["bot", "cat"]
        running.writer.changed()
        await slow.started.wait()
        running.world.endpoints = {BOT: ()}
        running.writer.moved(BOT)
        assert running.addresses() == []
        slow.gate.set()
        await running.until(lambda: running.file("cds.json") == [BOT, "support/cat"])
        assert running.addresses() == [], "the older rendering had the pod that is gone"


async def test_what_cannot_be_rendered_leaves_the_last_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "RETRY_SECONDS", 0.05)
    running = Running(tmp_path)
    async with running():
        await running.until(lambda: running.writer.written)
        running.renderer.broken = "support/cat"
        running.world.names = ["bot", "cat"]
        running.writer.changed()
        await running.until(lambda: "broken on purpose" in running.writer.problem)
        assert running.file("cds.json") == [BOT]
        running.world.endpoints = {BOT: (endpoint("10.0.0.3"),)}
        running.writer.moved(BOT)
        assert running.addresses() == ["10.0.0.3"], "the others go on"
        running.renderer.broken = ""
        await running.until(lambda: running.file("cds.json") == [BOT, "support/cat"])
        assert running.writer.problem == ""


async def test_what_leads_outside_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "RETRY_SECONDS", 0.05)
    running = Running(tmp_path)
    async with running():
        await running.until(lambda: running.writer.written)
        leaks = metrics.LEAKS._value.get()
        running.renderer.leaky = "203.0.113.9"
        running.world.endpoints = {BOT: (endpoint("203.0.113.9"),)}
        running.writer.moved(BOT)
        assert running.addresses() == ["10.0.0.1"], "not even for a moment"
        assert "would lead outside the cluster: xds/eds/support.bot.json -> 203.0.113.9" in running.writer.problem
        assert metrics.LEAKS._value.get() > leaks
        leaks = metrics.LEAKS._value.get()
        running.world.names = ["bot", "cat"]
        running.writer.changed()
        # All is rendered anew, and refused or not, however long that takes.
        await running.until(lambda: metrics.LEAKS._value.get() > leaks or running.file("cds.json") != [BOT])
        assert (running.file("cds.json"), running.addresses()) == ([BOT], ["10.0.0.1"])
        assert b"203.0.113.9" not in b"".join(packed for _, packed in running.discovery._resources.values())
        running.world.endpoints = {BOT: (endpoint("10.0.0.3"),)}
        await running.until(lambda: running.file("cds.json") == [BOT, "support/cat"])
        assert (running.addresses(), running.writer.problem) == (["10.0.0.3"], "")


async def test_what_moves_outside_while_everything_is_rendered_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "RETRY_SECONDS", 0.05)
    running = Running(tmp_path)
    async with running():
        await running.until(lambda: running.writer.written)
        running.writer._renderer = slow = Slow()
        slow.leaky = "203.0.113.9"
        running.world.names = ["bot", "cat"]
        running.writer.changed()
        await slow.started.wait()
        running.world.endpoints = {BOT: (endpoint("203.0.113.9"),)}
        running.writer.moved(BOT)
        slow.gate.set()
        await asyncio.sleep(0.2)
        assert (running.file("cds.json"), running.addresses()) == ([BOT], ["10.0.0.1"])


def test_nothing_is_prepared_that_leads_outside(tmp_path: Path) -> None:
    renderer = PlainRenderer()
    renderer.leaky = "test"
    with pytest.raises(Leak, match=r"outside the cluster: bootstrap\.json -> test"):
        prepare(Files(tmp_path), renderer)
    assert not (tmp_path / "bootstrap.json").exists()


async def test_a_model_that_is_gone_leaves_no_file(tmp_path: Path) -> None:
    running = Running(tmp_path)
    async with running():
        await running.until(lambda: running.writer.written)
        running.world.names = []
        running.writer.changed()
        await running.until(lambda: running.file("cds.json") == [])
        await running.until(lambda: running.file("eds/support.bot.json") is None)
        assert running.writer.targets == frozenset()


async def test_a_restarted_agent_goes_on_from_the_files(tmp_path: Path) -> None:
    running = Running(tmp_path)
    async with running():
        await running.until(lambda: running.writer.written)
    again = Running(tmp_path)
    again.world.complete = False
    assert again.writer.written
    assert again.writer.targets == {BOT}
    again.writer.resume()
    assert again.discovery._resources.keys() == {BOT}
    async with again():
        await asyncio.sleep(0.1)
        assert again.file("cds.json") == [BOT]


def test_prepare_writes_only_what_is_missing(tmp_path: Path) -> None:
    assert prepare(Files(tmp_path), PlainRenderer()) == [
        "bootstrap.json",
        "xds/cds.json",
        "xds/rds.json",
        "xds/lds.json",
    ]
    (tmp_path / "xds/cds.json").write_text('["kept"]')
    assert prepare(Files(tmp_path), PlainRenderer()) == []
    assert json.loads((tmp_path / "xds/cds.json").read_text()) == ["kept"]


def test_a_version_is_the_content() -> None:
    one, other = versioned({"resources": [1]}), versioned({"resources": [2]})
    assert version_of(one) == version_of(versioned({"resources": [1]}))
    assert version_of(one) != version_of(other)
    assert versioned(one) == one
    assert version_of(["no resources"]) == ""


@pytest.mark.parametrize("issuer", [None, Issuer("https://cluster", '{"keys":[]}')])
def test_what_is_known_survives_a_restart(issuer: Issuer | None) -> None:
    keys = Keys({"a" * 64: Identity("support", "key:support/bot")}, b"m" * 32)
    assert recall(json.loads(json.dumps(remember(keys, issuer)))) == (keys, issuer)
    boundary = Boundary("u", 3, stopped=True, reason="x", namespaces={"crm": "y"})
    value = json.loads(json.dumps(remember(keys, issuer, boundary)))
    assert (recall(value), recall_boundary(value)) == ((keys, issuer), boundary)


@pytest.mark.parametrize("value", [None, {}, [], {"keys": "{", "master": ""}, {"keys": "{}", "master": "!"}])
def test_what_was_remembered_badly_is_as_nothing(value: Any) -> None:
    assert recall(value) == (None, None)
    assert recall_boundary(value) is None


async def test_the_boundary_of_the_files_is_known_after_a_restart(tmp_path: Path) -> None:
    running = Running(tmp_path)
    assert running.writer.boundary is None
    running.world.boundary = Boundary("u", 3, stopped=True)
    async with running():
        await running.until(lambda: running.writer.boundary == Boundary("u", 3, stopped=True))
    assert Running(tmp_path).writer.boundary == Boundary("u", 3, stopped=True)


async def test_secrets_on_disk_are_the_gateways_own(tmp_path: Path) -> None:
    running = Running(tmp_path)
    async with running():
        await running.until(lambda: running.writer.written)
    assert (tmp_path / KNOWN).stat().st_mode & 0o077 == 0


async def test_what_lies_there_is_judged_again(tmp_path: Path) -> None:
    """The proof of the seal: not what was meant to be written counts, but what is there, and where Envoy leads."""
    running = Running(tmp_path)
    async with running():
        await until(lambda: running.writer.written)
    assert await running.writer.outside({BOT: frozenset({("10.0.0.1", 8080)})}) == []
    running.renderer.leaky = "10.0.0.1"
    assert await running.writer.outside({}) == ["xds/eds/support.bot.json -> 10.0.0.1"]
    running.renderer.leaky = "/elsewhere.sock"
    assert await running.writer.outside({BOT: frozenset({("/elsewhere.sock", 0)})}) == [f"{BOT} -> /elsewhere.sock"]


async def test_a_file_somebody_else_has_changed_is_found(tmp_path: Path) -> None:
    running = Running(tmp_path)
    changed = versioned({"resources": [{"name": "checked"}]})
    changed["resources"][0]["name"] = "not checked"
    (tmp_path / "xds").mkdir(exist_ok=True)
    (tmp_path / "xds" / "cds.json").write_text(json.dumps(changed))
    assert await running.writer.outside({}) == ["xds/cds.json: somebody else has changed it"]
