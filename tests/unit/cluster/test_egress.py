"""The only way out: made of what routes offer, gone when nothing may leave, and never started anew for nothing."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from tests.fakes.apiserver import FakeApiServer
from tests.fakes.clock import until

from smallmodel_operator.api.names import API_VERSION, BOUNDARY, EGRESS
from smallmodel_operator.boundary.declared import MOST, load, parse
from smallmodel_operator.boundary.egress_build import CREDENTIALS
from smallmodel_operator.boundary.offers import Offer, Way
from smallmodel_operator.boundary.passes import Signer
from smallmodel_operator.cluster import egress as module
from smallmodel_operator.cluster.egress import Egress, EgressSite
from smallmodel_operator.core.keys import Masters, egress_seed

SITE = EgressSite("registry/gateway@sha256:1", "authorities-1", "smallmodel-system")
MASTERS = Masters(b"c" * 32, b"e" * 32)
DESK, FRONT = ("support", "desk"), ("crm", "front")
CLOUD = Offer(parse("support/desk/cloud", "https://api.example.com/v1"), "sk-cloud")
OTHER = Offer(parse("crm/front/other", "https://other.example.com", credential=False))
DENY = f"{EGRESS}-default-deny"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.0)
    monkeypatch.setattr(module, "FIRST_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)


@pytest.fixture
async def api() -> AsyncIterator[FakeApiServer]:
    async with FakeApiServer() as server:
        yield server


class Kept:
    """One at work."""

    def __init__(self, api: FakeApiServer, site: EgressSite | None = SITE) -> None:
        self.api = api
        self.told: list[Way] = []
        self.egress = Egress(api.client(), site, MASTERS, lambda: self.told.append(self.egress.way))

    def object(self, kind: str, name: str = EGRESS) -> dict[str, Any] | None:
        return self.api.get(kind, name, EGRESS)

    def hosts(self) -> set[str]:
        found = self.object("ConfigMap")
        return {host.name for host in load(found["data"]["hosts.json"])} if found else set()

    def credentials(self) -> dict[str, str]:
        found = self.object("Secret", CREDENTIALS) or {}
        return {k: base64.b64decode(v).decode() for k, v in (found.get("data") or {}).items()}

    def template(self) -> Any:
        found = self.object("Deployment")
        return found and found["spec"]["template"]

    def runs(self) -> None:
        """As the cluster's controllers have it."""
        found = self.object("Deployment")
        assert found
        self.api.put({**found, "status": {"updatedReplicas": 1, "readyReplicas": 1}}, "controllers")

    async def passes(self) -> None:
        """Two whole passes."""
        for _ in range(2):
            asked = len(self.api.sent)
            self.egress.heard()
            await until(lambda asked=asked: len(self.api.sent) >= asked + 8)  # type: ignore[misc]
            await asyncio.sleep(0.02)


@asynccontextmanager
async def keeping(api: FakeApiServer, site: EgressSite | None = SITE) -> AsyncIterator[Kept]:
    kept = Kept(api, site)
    task = asyncio.create_task(kept.egress.run())
    try:
        yield kept
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def declare(api: FakeApiServer, **spec: Any) -> None:
    meta = {"name": BOUNDARY, "generation": 2}
    api.put({"apiVersion": API_VERSION, "kind": "ClusterBoundary", "metadata": meta, "spec": spec})


def exist(api: FakeApiServer, *routes: tuple[str, str]) -> None:
    for namespace, name in routes:
        api.put({"apiVersion": API_VERSION, "kind": "ModelRoute", "metadata": {"name": name, "namespace": namespace}})


async def test_where_it_is_not_installed_nothing_is_made(api: FakeApiServer) -> None:
    kept = Kept(api, None)
    kept.egress.offer(DESK, [CLOUD], "u")
    await kept.egress.run()
    assert api.sent == []
    assert not kept.egress.way.installed


async def test_without_an_offer_nothing_is_made(api: FakeApiServer) -> None:
    async with keeping(api) as kept:
        await kept.passes()
        kept.egress.offer(DESK, [], "u")
        await kept.passes()
    assert api.writes == []
    assert kept.egress.way == Way(installed=True)


async def test_an_offer_makes_it_and_it_serves_once_its_pod_does(api: FakeApiServer) -> None:
    async with keeping(api) as kept:
        kept.egress.offer(DESK, [CLOUD], "u")
        await until(kept.template)
        assert kept.hosts() == {"support/desk/cloud"}
        assert kept.credentials() == {"support.desk.cloud": "sk-cloud"}
        keys = {e["name"]: e.get("value") for c in kept.template()["spec"]["initContainers"] for e in c["env"]}
        assert keys["SLM_EGRESS_KEYS"] == Signer(egress_seed(MASTERS.engine)).public
        assert {o[1] for o in api.objects} == {EGRESS}
        assert not kept.egress.way.serving
        kept.runs()
        await until(lambda: kept.egress.way.serving == {"support/desk/cloud"})
        assert kept.told[-1] == kept.egress.way
        before = len(api.writes)
        await kept.passes()
        assert len(api.writes) == before, "at rest nothing is written"


async def test_its_policies_and_credentials_are_there_before_its_pod(api: FakeApiServer) -> None:
    async with keeping(api) as kept:
        kept.egress.offer(DESK, [CLOUD], "u")
        await until(kept.template)
    written = [sent.path.split("/")[-2] for sent in api.writes]
    assert written[-1] == "deployments"
    assert written.count("networkpolicies") == 2
    assert written[0] == "secrets"


async def test_another_credential_is_another_pod_and_its_text_is_nowhere_else(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with keeping(api) as kept:
            kept.egress.offer(DESK, [CLOUD], "u")
            await until(kept.template)
            first = kept.template()
            kept.egress.offer(DESK, [Offer(CLOUD.host, "sk-second")], "u")
            await until(lambda: kept.template() != first)
            assert kept.credentials() == {"support.desk.cloud": "sk-second"}
    beside = [o for key, o in api.objects.items() if key[0] != "Secret"]
    assert "sk-" not in str(beside)
    assert "sk-" not in caplog.text


async def test_a_host_that_is_withdrawn_goes_with_its_credential(api: FakeApiServer) -> None:
    async with keeping(api) as kept:
        kept.egress.offer(DESK, [CLOUD], "u")
        kept.egress.offer(FRONT, [OTHER], "v")
        await until(lambda: kept.hosts() == {"support/desk/cloud", "crm/front/other"})
        kept.egress.offer(DESK, [], "u")
        await until(lambda: kept.hosts() == {"crm/front/other"})
        await until(lambda: kept.credentials() == {})
        kept.egress.forget(FRONT, "another of that name")
        await kept.passes()
        assert kept.hosts() == {"crm/front/other"}
        kept.egress.forget(FRONT, "v")
        await until(lambda: not api.objects)


@pytest.mark.parametrize(
    "spec",
    [
        {"external": "Denied"},
        {"inference": "Stopped"},
        {"namespaces": [{"name": "support", "external": "Denied"}]},
        {"namespaces": [{"name": "support", "inference": "Stopped"}]},
    ],
)
async def test_a_seal_takes_it_away_and_nothing_comes_back_before_it_is_lifted(
    api: FakeApiServer, spec: dict[str, Any]
) -> None:
    api.put({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "egress-1", "namespace": EGRESS}})
    async with keeping(api) as kept:
        kept.egress.offer(DESK, [CLOUD], "u")
        await until(kept.template)
        kept.runs()
        await until(lambda: kept.egress.way.serving)
        declare(api, **spec)
        kept.egress.heard()
        await until(lambda: not kept.egress.way.serving)
        await kept.passes()
        left = {key for key in api.objects if key[1] == EGRESS}
        assert left == {("Pod", EGRESS, "egress-1"), ("NetworkPolicy", EGRESS, DENY)}, "a pod that ends is kept shut"
        kept.egress.offer(DESK, [Offer(CLOUD.host, "sk-new")], "u")
        await kept.passes()
        assert not kept.template()
        del api.objects["Pod", EGRESS, "egress-1"]
        await kept.passes()
        assert not {key for key in api.objects if key[1] == EGRESS}
        declare(api)
        kept.egress.heard()
        await until(kept.template)


async def test_a_seal_of_one_namespace_leaves_the_others(api: FakeApiServer) -> None:
    declare(api, namespaces=[{"name": "support", "external": "Denied"}])
    async with keeping(api) as kept:
        kept.egress.offer(DESK, [CLOUD], "u")
        kept.egress.offer(FRONT, [OTHER], "v")
        await until(lambda: kept.hosts() == {"crm/front/other"})
        assert kept.credentials() == {}


async def test_who_takes_over_goes_on_from_what_is_there(api: FakeApiServer) -> None:
    exist(api, DESK, FRONT)
    async with keeping(api) as kept:
        kept.egress.offer(DESK, [CLOUD], "u")
        kept.egress.offer(FRONT, [OTHER], "v")
        await until(lambda: len(kept.hosts()) == 2 and kept.template())
        kept.runs()
        await until(lambda: kept.egress.way.serving)
    before = len(api.writes)
    async with keeping(api) as kept:
        await until(lambda: len(kept.egress.way.serving) == 2)
        kept.egress.offer(DESK, [CLOUD], "u")
        await kept.passes()
        kept.egress.offer(FRONT, [OTHER], "v")
        await kept.passes()
        assert len(api.writes) == before, "it is not started anew for that"
        kept.egress.offer(FRONT, [], "v")
        await until(lambda: kept.hosts() == {"support/desk/cloud"})


async def test_who_takes_over_drops_what_went_meanwhile(api: FakeApiServer) -> None:
    exist(api, DESK, FRONT)
    async with keeping(api) as kept:
        kept.egress.offer(DESK, [CLOUD], "u")
        kept.egress.offer(FRONT, [OTHER], "v")
        await until(lambda: len(kept.hosts()) == 2 and kept.template())
    del api.objects["ModelRoute", *FRONT]
    async with keeping(api) as kept:
        await until(lambda: kept.hosts() == {"support/desk/cloud"})


async def test_a_seal_counts_for_who_takes_over_before_any_route_was_heard(api: FakeApiServer) -> None:
    exist(api, DESK)
    async with keeping(api) as kept:
        kept.egress.offer(DESK, [CLOUD], "u")
        await until(kept.template)
    declare(api, external="Denied")
    async with keeping(api) as kept:
        await until(lambda: not kept.template())


async def test_there_is_room_for_so_many_and_a_new_one_waits(api: FakeApiServer) -> None:
    many = [Offer(parse(f"support/desk/t{i}", "https://a.example.com", credential=False)) for i in range(MOST)]
    async with keeping(api) as kept:
        kept.egress.offer(DESK, many, "u")
        await until(lambda: len(kept.hosts()) == MOST)
        kept.egress.offer(("a", "a"), [Offer(parse("a/a/a", "https://a.example.com", credential=False))], "v")
        await until(lambda: kept.egress.way.beyond == {"a/a/a"})
        assert len(kept.hosts()) == MOST
        kept.egress.offer(DESK, many[1:], "u")
        await until(lambda: "a/a/a" in kept.hosts())


async def test_what_somebody_changed_is_put_right(api: FakeApiServer) -> None:
    async with keeping(api) as kept:
        kept.egress.offer(DESK, [CLOUD], "u")
        await until(kept.template)
        found = kept.object("Secret", CREDENTIALS)
        assert found
        api.put({**found, "data": {**found["data"], "more": "eA=="}})
        kept.egress.heard()
        await until(lambda: kept.credentials() == {"support.desk.cloud": "sk-cloud"})


async def test_an_outage_is_survived_and_tells_no_credential(
    api: FakeApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    api.refuse("PATCH", "/secrets/", 500, "InternalError", "etcd is away")
    async with keeping(api) as kept:
        kept.egress.offer(DESK, [CLOUD], "u")
        await until(lambda: "could not be brought up to date" in caplog.text)
        assert not kept.template()
        api.heal()
        await until(kept.template)
    assert "sk-cloud" not in caplog.text
