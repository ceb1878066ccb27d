"""The one ClusterBoundary as a gateway knows it: in a cluster without the kind, while lists fail, after it is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import until

from smallmodel_operator.boundary.seal import Boundary
from smallmodel_operator.cluster import informer
from smallmodel_operator.gateway.boundary import watch as module
from smallmodel_operator.gateway.boundary.watch import BoundaryWatch

GROUP = "/apis/smallmodel.dev/v1alpha1"
PATH = f"{GROUP}/clusterboundaries"
STOPPED = Boundary("u", 3, stopped=True)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in ((module, "ABSENT_SECONDS"), (informer, "CONFIRM_SECONDS"), (informer, "FIRST_RETRY")):
        monkeypatch.setattr(owner, name, 0.02)


def listed(*objects: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": "7"}, "items": list(objects)}


def stopped(generation: int = 3) -> dict[str, Any]:
    meta = {"name": "cluster", "uid": "u", "generation": generation, "resourceVersion": "7"}
    return {"metadata": meta, "spec": {"inference": "Stopped"}}


@asynccontextmanager
async def watching(
    api: FakeApiServer, remembered: Boundary | None = None
) -> AsyncIterator[tuple[BoundaryWatch, list[int]]]:
    changes: list[int] = []
    watch = BoundaryWatch(api.client(), lambda: changes.append(1), remembered, 0.05)
    task = asyncio.create_task(watch.run())
    try:
        yield watch, changes
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_listed_counts(api: FakeApiServer) -> None:
    api.answers[PATH] = listed(stopped())
    async with watching(api) as (watch, changes):
        assert not watch.known
        await until(lambda: watch.known)
        assert (watch.now, len(changes)) == (STOPPED, 1)
        assert api.sent[0].query["fieldSelector"] == "metadata.name=cluster"


@pytest.mark.parametrize("status", [404, 403])
async def test_a_cluster_without_the_kind_stops_nothing(api: FakeApiServer, status: int) -> None:
    """Whoever may not read a kind that does not exist is told so, not that there is none."""
    api.refuse("GET", "clusterboundaries", status, "X", "no")
    api.answers[GROUP] = {"resources": [{"name": "smallmodels"}]}
    async with watching(api) as (watch, _):
        await until(lambda: watch.known)
        assert watch.now == Boundary()
        await asyncio.sleep(0.1)
        assert watch.problem == ""
        api.heal()
        api.answers[PATH] = listed(stopped())
        await until(lambda: watch.now == STOPPED)


async def test_a_new_word_on_the_network_is_known_and_changes_no_configuration(api: FakeApiServer) -> None:
    api.answers[PATH] = listed(stopped())
    async with watching(api) as (watch, changes):
        await until(lambda: watch.synced)
        assert watch.said is None
        condition = {"type": "BoundaryEnforced", "status": "True", "reason": "PoliciesEnforced"}
        api.answers[PATH] = listed({**stopped(), "status": {"conditions": [condition]}})
        await until(lambda: watch.said is not None)
        assert watch.said is not None
        assert (watch.said.status, watch.now, len(changes)) == ("True", STOPPED, 1)
        # A status nobody can read must not keep a stop, or its end, from being seen.
        api.answers[PATH] = listed({**stopped(4), "spec": {}, "status": {"conditions": [condition], "canary": 7}})
        await until(lambda: watch.now == Boundary("u", 4))
        assert (watch.said, len(changes)) == (None, 2)


async def test_a_proof_that_is_asked_for_changes_no_configuration(api: FakeApiServer) -> None:
    api.answers[PATH] = listed(stopped())
    async with watching(api) as (watch, changes):
        await until(lambda: watch.synced)
        assert watch.asked == ""
        asked = stopped()
        asked["metadata"]["annotations"] = {"smallmodel.dev/prove": "word" * 100}
        api.answers[PATH] = listed(asked)
        await until(lambda: bool(watch.asked))
        assert (watch.asked, len(changes)) == (("word" * 100)[:64], 1)


async def test_who_may_not_read_it_does_not_know_it(api: FakeApiServer) -> None:
    api.refuse("GET", "clusterboundaries", 403, "Forbidden", "may not list")
    api.answers[GROUP] = {"resources": [{"name": "clusterboundaries"}]}
    async with watching(api) as (watch, _):
        await until(lambda: bool(watch.problem))
        assert "may not list" in watch.problem
        assert not watch.known, "a switch nobody can read may be off"


async def test_what_was_remembered_counts_until_a_list_says_otherwise(api: FakeApiServer) -> None:
    api.refuse("GET", "clusterboundaries", 500, "X", "broken")
    async with watching(api, STOPPED) as (watch, changes):
        await until(lambda: bool(watch.problem))
        assert (watch.known, watch.now) == (True, STOPPED)
        api.answers[PATH] = listed()
        api.heal()
        await until(lambda: watch.now == Boundary())
        assert changes == [1]
        lists = [s for s in api.sent if s.path == PATH and "watch" not in s.query]
        assert len(lists) >= 3, "one that lacks it is not believed alone"


async def test_one_that_was_known_to_stop_nothing_is_known(api: FakeApiServer) -> None:
    api.refuse("GET", "clusterboundaries", 500, "X", "broken")
    async with watching(api, Boundary()) as (watch, _):
        assert (watch.known, watch.now) == (True, Boundary())
