"""A download's pod is asked how far it is; whatever it answers or does not, a pass goes on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from tests.fakes.clock import Clock

from smallmodel_operator.cli.progress import Board, answering
from smallmodel_operator.cluster.downloads import SILENT_SECONDS, Downloads
from smallmodel_operator.core.facts import Progress


def pod(name: str = "d", role: str = "download", phase: str = "Running", created: str = "1") -> dict[str, Any]:
    meta = {"name": name, "uid": name, "labels": {"smallmodel.dev/role": role}, "creationTimestamp": created}
    return {"metadata": meta, "status": {"phase": phase, "podIP": "127.0.0.1"}}


@asynccontextmanager
async def asking(port: int, clock: Clock | None = None) -> AsyncIterator[Downloads]:
    downloads = Downloads(port, clock or Clock())
    try:
        yield downloads
    finally:
        await downloads.close()


async def test_the_port_of_a_download_says_how_far_it_is() -> None:
    board = Board()
    with answering(board, 0) as port:
        async with asking(port) as downloads:
            assert await downloads.ask([pod()]) == Progress(0, 0, None)
            board.progress = Progress(5, 10, 3, "SourceStalled", "Nothing comes.")
            assert await downloads.ask([pod()]) == board.progress


async def test_only_running_downloads_are_asked() -> None:
    async with asking(1) as downloads:
        assert await downloads.ask([]) is None
        assert await downloads.ask([pod(role="server"), pod(phase="Pending"), {"metadata": {}}]) is None
        assert downloads._session is None, "nobody was asked"


async def test_a_pod_that_does_not_answer_is_left_alone_for_a_while() -> None:
    board, clock = Board(), Clock()
    with answering(board, 0) as port:
        pass  # it is gone
    async with asking(port, clock) as downloads:
        assert await downloads.ask([pod()]) is None
        with answering(board, port):
            assert await downloads.ask([pod()]) is None
            assert await downloads.ask([pod("younger", created="2"), pod()]) is not None, "another one is asked"
            clock.forward(SILENT_SECONDS + 1)
            assert await downloads.ask([pod()]) is not None


async def test_an_answer_that_is_not_ours_is_none() -> None:
    answers = [
        web.Response(text="{}"),
        web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        web.Response(text='{"pad": "%s", "done": 1, "total": 2, "secondsLeft": null, "trouble": null}' % ("x" * 9000)),
        web.Response(body=b"\xff\xfe"),
    ]

    async def answer(_: web.Request) -> web.Response:
        return answers[0]

    app = web.Application()
    app.add_routes([web.get("/progress", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    while answers:
        async with asking(port) as downloads:
            assert await downloads.ask([pod()]) is None
        answers.pop(0)
    await runner.cleanup()


async def test_a_port_that_is_taken_costs_only_the_progress() -> None:
    with answering(Board(), 0) as port, answering(Board(), port) as second:
        assert second == 0
