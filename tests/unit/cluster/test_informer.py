"""Lists and watches against a server that does what real ones do on a bad day."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from smallmodel_operator.cluster import informer as module
from smallmodel_operator.cluster.client import Client
from smallmodel_operator.cluster.fence import Fence
from smallmodel_operator.cluster.informer import Informer, Key
from smallmodel_operator.cluster.kinds import KINDS

PATH = "/apis/smallmodel.dev/v1alpha1/smallmodels"


def model(name: str, value: int = 1) -> dict[str, Any]:
    return {"metadata": {"namespace": "support", "name": name, "resourceVersion": "7"}, "spec": {"value": value}}


class Server:
    """Lists `objects`; a watch sends what is put into `events` until it is None (the end)."""

    def __init__(self) -> None:
        self.objects: list[dict[str, Any]] = []
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.lists = 0
        self.watches: list[dict[str, str]] = []
        self.status = 200
        self.stop = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.status != 200:
            return web.json_response({"reason": "Broken", "message": "broken on purpose"}, status=self.status)
        if "watch" not in request.query:
            self.lists += 1
            return web.json_response({"metadata": {"resourceVersion": "100"}, "items": self.objects})
        self.watches.append(dict(request.query))
        answer = web.StreamResponse()
        await answer.prepare(request)
        while (event := await self.events.get()) is not None:
            text = json.dumps(event) + "\n"
            middle = len(text) // 2  # an event comes in pieces
            await answer.write(text[:middle].encode())
            await answer.write(text[middle:].encode())
        return answer

    def say(self, kind: str, obj: dict[str, Any], version: str = "101") -> None:
        obj = {**obj, "metadata": {**obj.get("metadata", {}), "resourceVersion": version}}
        self.events.put_nowait({"type": kind, "object": obj})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.router.add_get(PATH, made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.host = f"http://127.0.0.1:{runner.addresses[0][1]}"  # type: ignore[attr-defined]
    yield made
    made.events.put_nowait(None)
    await runner.cleanup()


class Watched:
    """A running informer and what it reported."""

    def __init__(self, server: Server, **options: Any) -> None:
        self.seen: list[tuple[str, int | None, int | None]] = []
        self.client = Client(Configuration(host=server.host), Fence.open())  # type: ignore[attr-defined]
        self.informer: Informer[int] = Informer(
            self.client, KINDS["SmallModel"], lambda o: int(o["spec"]["value"]), self._changed, **options
        )

    def _changed(self, key: Key, before: int | None, now: int | None) -> None:
        self.seen.append((key[1], before, now))

    async def __aenter__(self) -> "Watched":
        self.task = asyncio.create_task(self.informer.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.client.close()


async def until(check: Callable[[], bool], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_events_are_taken_in_once_each(server: Server) -> None:
    server.objects = [model("a"), model("b")]
    async with Watched(server) as watched:
        await until(lambda: watched.informer.synced)
        server.say("MODIFIED", model("a"))  # nothing we keep is different
        server.say("MODIFIED", model("a", 2))
        server.say("ADDED", model("c"))
        server.say("DELETED", model("b"))
        server.say("DELETED", model("b"))
        await until(lambda: len(watched.seen) == 5)
        assert watched.seen == [("a", None, 1), ("b", None, 1), ("a", 1, 2), ("c", None, 1), ("b", 1, None)]
        assert watched.informer.objects == {("support", "a"): 2, ("support", "c"): 1}
        assert server.lists == 1


async def test_a_watch_that_ends_goes_on_from_the_last_bookmark(server: Server) -> None:
    async with Watched(server) as watched:
        await until(lambda: len(server.watches) == 1)
        server.say("BOOKMARK", {"metadata": {}}, version="150")
        server.events.put_nowait(None)
        await until(lambda: len(server.watches) == 2)
        assert [w["resourceVersion"] for w in server.watches] == ["100", "150"]
        assert server.watches[0]["allowWatchBookmarks"] == "true"
        assert server.lists == 1
        assert not watched.informer.problem


@pytest.mark.parametrize("how", ["status", "event"])
async def test_gone_is_listed_again_at_once(server: Server, how: str) -> None:
    async with Watched(server) as watched:
        await until(lambda: len(server.watches) == 1)
        server.objects = [model("new")]
        if how == "event":
            server.events.put_nowait({"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "old"}})
        else:
            server.status = 410
            server.events.put_nowait(None)
            await asyncio.sleep(0.25)
            server.status = 200
        await until(lambda: watched.informer.objects == {("support", "new"): 1}, 2)
        server.say("BOOKMARK", {"metadata": {}}, version="150")  # a watch that speaks again ends any doubt
        await until(lambda: not watched.informer.problem)


async def test_what_cannot_be_listed_is_kept_and_said(server: Server) -> None:
    server.objects = [model("a")]
    async with Watched(server) as watched:
        await until(lambda: watched.informer.synced)
        await until(lambda: len(server.watches) == 1)
        server.status = 503
        server.events.put_nowait(None)
        await until(lambda: bool(watched.informer.problem))
        assert "smallmodels cannot be followed since" in watched.informer.problem
        assert "broken on purpose" in watched.informer.problem
        assert watched.informer.objects == {("support", "a"): 1}
        age = watched.informer.age
        await asyncio.sleep(0.1)
        assert watched.informer.age >= age + 0.1
        server.status = 200
        await until(lambda: not watched.informer.problem)
        assert watched.informer.age < age


async def test_an_event_that_was_lost_shows_in_the_next_list(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATE_SECONDS", 0.2)
    server.objects = [model("a"), model("b"), model("c")]
    async with Watched(server, relist=0.6) as watched:
        await until(lambda: len(server.watches) == 1)
        server.objects = [model("a", 5), model("b")]  # and not a word of it in the watch
        await asyncio.sleep(0.05)
        assert len(watched.informer.objects) == 3
        await until(lambda: watched.informer.objects == {("support", "a"): 5, ("support", "b"): 1}, 8)
        assert ("c", 1, None) in watched.seen


async def test_an_object_that_cannot_be_read_stays_as_it_was(server: Server) -> None:
    server.objects = [model("a")]
    async with Watched(server) as watched:
        await until(lambda: watched.informer.synced)
        server.say("MODIFIED", {"metadata": model("a")["metadata"], "spec": {}})
        server.say("ADDED", model("b"))
        await until(lambda: ("support", "b") in watched.informer.objects)
        assert watched.informer.objects[("support", "a")] == 1


def nothing_less(before: Collection[Key], now: Collection[Key]) -> bool:
    return not set(before) <= set(now)


@pytest.mark.parametrize("true", [True, False])
async def test_a_doubted_list_is_asked_for_again(server: Server, monkeypatch: pytest.MonkeyPatch, true: bool) -> None:
    monkeypatch.setattr(module, "CONFIRM_SECONDS", 0.3)
    server.objects = [model("a"), model("b")]
    async with Watched(server, doubt=nothing_less) as watched:
        await until(lambda: len(server.watches) == 1)
        server.objects = [model("c")]
        server.events.put_nowait({"type": "ERROR", "object": {"code": 410}})
        await until(lambda: server.lists == 2)
        await until(lambda: ("support", "c") in watched.informer.objects)
        assert len(watched.informer.objects) == 3, "what is new is taken in, nothing is forgotten yet"
        assert "suddenly lists 2 of 2" in watched.informer.problem
        if not true:
            server.objects = [model("a"), model("b"), model("c")]
        await until(lambda: not watched.informer.problem)
        assert len(watched.informer.objects) == (1 if true else 3)
        assert server.lists == 3


async def test_the_first_list_is_doubted_by_what_was_there_before_the_restart(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CONFIRM_SECONDS", 0.3)
    async with Watched(server, doubt=nothing_less, known=[("support", "a")]) as watched:
        await until(lambda: server.lists == 1)
        await asyncio.sleep(0.05)
        assert not watched.informer.synced
        await until(lambda: watched.informer.synced)
        assert server.lists == 2


async def test_a_server_that_says_nothing_is_left(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that hangs must not keep a gateway from asking again."""
    monkeypatch.setattr(module, "LATE_SECONDS", 0.2)
    async with Watched(server, relist=0.5):
        await until(lambda: len(server.watches) == 1)
        await until(lambda: server.lists >= 2, 4)
