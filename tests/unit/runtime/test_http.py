"""The port of probes and metrics."""

import aiohttp
import pytest
from aiohttp import web

from smallmodel_operator.runtime import http


def ipv4_port(runner: web.AppRunner) -> int:
    """Port 0 is another one for each family."""
    return int(next(a[1] for a in runner.addresses if a[0] == "0.0.0.0"))


@pytest.mark.parametrize(("healthy", "status"), [(True, 200), (False, 503)])
async def test_probes_tell_whether_the_watches_run(healthy: bool, status: int) -> None:
    runner = await http.serve(0, lambda: healthy, lambda: None)
    port = ipv4_port(runner)
    async with aiohttp.ClientSession() as session:
        for path in ("healthz", "readyz"):
            async with session.get(f"http://127.0.0.1:{port}/{path}") as answer:
                assert answer.status == status
    await runner.cleanup()


async def test_metrics_are_fresh_at_each_scrape() -> None:
    scrapes: list[int] = []
    runner = await http.serve(0, lambda: True, lambda: scrapes.append(1))
    port = ipv4_port(runner)
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/metrics") as answer:
        text = await answer.text()
    await runner.cleanup()
    assert scrapes == [1]
    assert "smallmodel_operator_reconcile_duration_seconds_bucket" in text
    assert "smallmodel_operator_apiserver_writes" in text
